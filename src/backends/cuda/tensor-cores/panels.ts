import { COL, ROW, type Axis } from '../../../ir/common/axes.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileOp } from '../../../ir/tile/tile.js';
import type { Piece } from '../instructions/pieces.js';
import { timesText } from './forms.js';
import type { Team } from './team.js';

/** Columns or rows of a matrix that products take at a time: what the swizzle of a tile is made for. */
const PANEL = 64;

/**
 * Matrices that may stay in memory, since only products with tokens read them, panel by panel, and inner products of two of them. `large`:
 * loads that are worth it.
 */
export function panelled(kernel: TileKernel, defs: ReadonlyMap<TileId, TileOp>, large: ReadonlySet<TileId>): ReadonlySet<TileId> {
  const sourceOf = (tile: TileId): TileId => {
    const op = defs.get(tile);
    return op?.op === 'swap' ? sourceOf(op.arg) : tile;
  };
  const perToken = (tile: TileId) => kernel.tiles[tile].axes.some((axis) => axis === ROW || axis === COL);
  const mayRead = (op: TileOp, result: TileId, tile: TileId, among: ReadonlySet<TileId>): boolean => {
    if (op.op !== 'contract') return false;
    const other = sourceOf(op.a) === tile ? op.b : op.a;
    return kernel.tiles[result].axes.length === 2 ? perToken(other) : among.has(sourceOf(other));
  };
  let found = large;
  for (;;) {
    const left = new Set([...found].filter((tile) => kernel.body.every((stmt) => {
      if (stmt.kind === 'store') return sourceOf(stmt.value) !== tile;
      if (stmt.kind !== 'let' || stmt.op.op === 'swap' || !operandsOf(stmt.op).some((arg) => sourceOf(arg) === tile)) return true;
      return mayRead(stmt.op, stmt.tile, tile, found);
    })));
    if (left.size === found.size) return left;
    found = left;
  }
}

export interface PanelProduct {
  readonly tile: TileId;
  readonly left: TileId;
  readonly right: TileId;
  /** Summed over; rows and columns of the result. */
  readonly axis: Axis;
  readonly row: Axis;
  readonly col: Axis;
  /** What element i of the result begins with; undefined: 0. */
  readonly init: string | undefined;
}

/** A product whose right operand stays in memory: panels along the summed axis come one ahead, or, where that has no room, in turn. */
export function productInPanels(team: Team, { tile, left, right, axis, row, col, init }: PanelProduct): void {
  const { id, own } = team.resolve(right);
  const { far } = team.formsOf(id);
  if (far === undefined) return team.refuse(`tile ${id} does not lie in memory`);
  const { draft, threads, parts } = team;
  draft.await();
  const a = team.t16(left);
  const back = timesText(team.backOf(a));
  const width = team.pad(col);
  const down = far.rows === own(axis);
  const rows = down ? PANEL : width;
  const count = Math.ceil(team.size(axis) / PANEL);
  const depth = team.options.panels?.depth ?? 1;
  const pieces: Piece[] = [];
  const bring = (s: number): void => {
    if (s >= count) return;
    const piece = draft.take(PANEL * width * 2, false);
    pieces.push(piece);
    const [from, limit, across] = down
      ? [`${far.pointer} + ${s * PANEL} * ${far.rowStride}`, `${far.limit} - ${s * PANEL}`, far.width]
      : [`${far.pointer} + ${s * PANEL}`, far.limit, `${far.width} - ${s * PANEL}`];
    team.add({
      kind: 'copy', piece, group: true, fn: 'tile_load', shape: [rows, down ? width / PANEL : 1, threads],
      args: [team.address(piece), from, far.rowStride, limit, across, 't'],
    });
  };
  const out = team.newFrag(tile, row, col);
  if (init !== undefined) team.each(out, `${out.name}[i] = ${team.within(out, init)};`);
  const raw = back === '' ? out.name : `${out.name}_raw`;
  if (back !== '') team.add({ kind: 'registers', name: raw, count: team.values(col) });
  const across = a.rows !== row;
  const step = PANEL * 128 * (across ? 1 : team.pad(a.rows) / PANEL);
  for (let s = 0; s < depth; s++) bring(s);
  for (let s = 0; s < count; s++) {
    const packed = team.fresh(`a${tile}`);
    team.need(pieces[s], 'any');
    team.add({
      kind: 'call', fn: 'load_as', shape: [PANEL / 16, team.pad(a.rows), across], args: [packed, `${a.address} + ${s * step}`],
      declares: [`u32 ${packed}[${PANEL / 16}][4];`], reads: [a.piece],
    });
    const fresh = s === 0 && (init === undefined || back !== '');
    team.add({
      kind: 'product', name: out.name, sum: raw, pieces: [pieces[s]], shape: [width / parts, PANEL / 16, rows, down, fresh],
      args: [raw, packed, team.address(pieces[s]), ...(parts === 1 ? [] : [`part * ${width / parts}`])],
      then: back === '' || s < count - 1 ? [] : [team.eachOf(out, `${out.name}[i] ${init === undefined ? '=' : '+='} ${raw}[i]${back};`)],
    });
    draft.await(out.name);
    team.begin();
    if (s + depth < count) team.add({ kind: 'meet' });
    bring(s + depth);
  }
}
