import type { Axis } from '../../../ir/common/axes.js';
import type { TileId } from '../../../ir/tile/tile.js';
import type { Frag } from './forms.js';
import type { Team } from './team.js';

/** Does a team share registers among tiles? Scaled operands have values of their own, and parts of a fragment meet in shared memory. */
const shares = ({ options, fits, parts }: Team): boolean => options.frugal === true && !fits && parts === 1;

/** The registers of a tile that nobody else reads become those of its sum, products that add to them and all; undefined: it has none. */
export function takeOver(team: Team, tile: TileId, sum: TileId, row: Axis): Frag | undefined {
  const forms = team.formsOf(tile);
  const found = forms.frags.find((one) => one.row === row);
  if (!shares(team) || found === undefined || found.read === true) return undefined;
  forms.frags = [];
  const taken: Frag = { name: found.name, row, col: found.col };
  team.formsOf(sum).frags.push(taken);
  return taken;
}

/**
 * A matrix rounded as operands of products are: its values are those of the operand that products take of the matrix, and stay where that
 * is. False: as any other values.
 */
export function roundedMatrix(team: Team, tile: TileId, arg: TileId): boolean {
  const row = team.options.rowOf(team.axesOf(tile));
  const { frags, t16 } = team.formsOf(arg);
  if (!shares(team) || row === undefined || t16 !== undefined || !frags.some((one) => one.row === row)) return false;
  const col = team.otherAxis(tile, row);
  if (team.pad(row) !== team.fragRows || team.size(col) % 16 !== 0) return false;
  const { name, steps } = team.packed(arg, row);
  team.formsOf(tile).packs = [{ name, row, steps }];
  const made = team.newFrag(tile, row, col);
  team.add({ kind: 'call', fn: 'unpack', shape: [steps], args: [made.name, name] });
  return true;
}
