import type { Axis } from '../../../ir/common/axes.js';
import type { TileId } from '../../../ir/tile/tile.js';
import type { Frag } from './forms.js';
import type { Team } from './team.js';

/** Text of an argument inside a loop over `i`. */
export function argument(team: Team, tile: TileId, where: 'vector' | 'matrix', frag: Frag | undefined): string {
  const axes = team.axesOf(tile);
  if (axes.length === 0) return team.scalar(tile);
  if (axes.length === 1) {
    if (where === 'vector') return team.element(tile);
    return `${team.vec(tile, 'any')}[${frag === undefined || axes[0] === frag.row ? team.rowText : team.colText(frag.col)}]`;
  }
  if (axes.length === 2 && frag !== undefined) return `${team.frag(tile, frag.row).name}[i]`;
  return team.refuse(`tile ${tile} with axes ${axes.join()} in an elementwise expression`, '0.f');
}

export function elementwise(team: Team, tile: TileId, text: (args: readonly string[]) => string, args: readonly TileId[]): void {
  const axes = team.axesOf(tile);
  if (axes.length === 0) {
    const value = text(args.map((arg) => team.scalar(arg)));
    team.putScalar(tile, value);
  } else if (axes.length === 1) vector(team, tile, axes[0], () => text(args.map((arg) => argument(team, arg, 'vector', undefined))));
  else matrix(team, tile, (frag) => text(args.map((arg) => argument(team, arg, 'matrix', frag))));
}

/** `value` is asked for before the vector's own line, so that what it needs is written above. */
export function vector(team: Team, tile: TileId, axis: Axis, value: () => string): void {
  team.putVec(tile, axis, value());
}

export function matrix(team: Team, tile: TileId, value: (frag: Frag) => string): void {
  const row = team.options.rowOf(team.axesOf(tile));
  if (row === undefined) return team.refuse(`tile ${tile} [${team.axesOf(tile).join()}] has no row axis`);
  const col = team.otherAxis(tile, row);
  if (team.pad(row) !== team.fragRows) return team.refuse(`rows ${row} exceed a fragment`);
  const text = value({ name: '', row, col });
  const frag = team.newFrag(tile, row, col);
  team.each(frag, `${frag.name}[i] = ${team.within(frag, text)};`);
  if (team.options.exported.has(tile)) team.t16(tile);
}
