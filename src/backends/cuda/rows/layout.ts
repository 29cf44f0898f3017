import { COL, ROW, withoutAxes, type Axis } from '../../../ir/common/axes.js';
import { bytesOf } from '../../../ir/common/dtype.js';
import { isRows } from '../../../ir/tile/domain.js';
import { isElementwise, operandsOf } from '../../../ir/tile/facts.js';
import type { TileKernel, TileOp } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { bufferNamed } from '../address.js';
import type { CudaContext } from '../lowered.js';
import { refused, type Refused } from '../refused.js';
import { isProduct } from '../registers/layout.js';

export const WARP = 32;

/** An axis over the lanes of a warp: a lane has `pieces` of `vec` neighbours, those of all lanes lie one behind the other. */
export interface Spread {
  readonly vec: number;
  readonly pieces: number;
  readonly total: number;
}

export interface RowsLayout {
  readonly spread: ReadonlyMap<Axis, Spread>;
  /** Warps that share a row: nothing of it meets. */
  readonly units: number;
}

/** Elements of a tile that a lane may hold, and of an expression that it may go through. */
const MOST_HELD = 64;
const MOST_SEEN = 1024;
/** Numbers of a row that one thread goes through. */
const SHORT = 16;
/** Bytes of one access. */
const WIDEST = 16;

/** From a row to a list of it, or back. */
export type Listing = Extract<TileOp, { op: 'pack' | 'unpack' }>;

export const isListing = (op: TileOp): op is Listing => op.op === 'pack' || op.op === 'unpack';

export const seatsOf = (op: Listing): Axis => (op.op === 'pack' ? op.to : op.from);

/** A kernel over chunks whose rows have nothing to do with each other, spread over the lanes of warps. */
export function layoutOf(cx: CudaContext, kernel: TileKernel): RowsLayout | Refused {
  const { module } = cx;
  if (kernel.outer !== 'chunk' || kernel.split !== undefined) return refused('no rows of chunks');
  const ops: TileOp[] = [];
  const together: (readonly Axis[])[] = [];
  const first: Axis[] = [];
  const seats: Axis[] = [];
  const meeting = new Set<Axis>();
  const [loaded, stored] = [new Set<string>(), new Set<string>()];
  // Axes of indices, and those of which single elements are read.
  const [picks, whole] = [new Set<Axis>(), new Set<Axis>()];
  for (const stmt of kernel.body) {
    if (stmt.kind === 'loop' || (stmt.kind === 'store' && stmt.only !== undefined)) return refused('rows that meet');
    if (stmt.kind === 'store') {
      const buffer = bufferNamed(module, stmt.buffer);
      if (!isRows(buffer)) return refused('what rows have in common');
      stored.add(stmt.buffer);
      const by = stmt.by === undefined ? [] : bufferNamed(module, stmt.by).axes;
      for (const axis of by) picks.add(axis);
      together.push([...by, ...buffer.axes]);
      continue;
    }
    const { op, tile } = stmt;
    if (!staysInRow(kernel, op)) return refused('rows that meet');
    ops.push(op);
    together.push(kernel.tiles[tile].axes);
    if (op.op === 'load' || op.op === 'gather') loaded.add(op.buffer);
    if (op.op === 'gather') for (const axis of bufferNamed(module, op.index).axes) picks.add(axis);
    if (op.op === 'draw') whole.add(op.axis);
    if (op.op === 'contract') together.push([...kernel.tiles[op.a].axes, ...kernel.tiles[op.b].axes]);
    if (op.op === 'reduce' || op.op === 'contract') meeting.add(op.axis);
    if (op.op === 'cumsum' && op.axis !== undefined) first.push(op.axis);
    if (op.op === 'top' || isListing(op)) first.push(op.axes[op.axes.length - 1]);
    if (isListing(op)) {
      together.push([...new Set(operandsOf(op).flatMap((arg) => kernel.tiles[arg].axes))]);
      seats.push(seatsOf(op));
    }
  }
  if ([...stored].some((name) => loaded.has(name))) return refused('rows that are read and written');
  const sizeOf = (axis: Axis) => axisSize(module, axis);
  const all = withoutAxes([...new Set(together.flat())], [ROW]);
  if (all.includes(COL)) return refused('rows that meet');
  const chosen: Axis[] = [];
  for (const axis of [...first, ...seats, ...[...all].sort((a, b) => sizeOf(b) - sizeOf(a))]) {
    const free = !whole.has(axis) && !together.some((set) => set.includes(axis) && chosen.some((one) => set.includes(one)));
    if (free) chosen.push(axis);
  }
  // A row of few numbers is one thread's, where nothing of it has to be put in order.
  const few = (axes: readonly Axis[]): boolean => axes.reduce((n, axis) => n * (axis === ROW ? 1 : sizeOf(axis)), 1) <= SHORT;
  if (first.length === 0 && together.every((axes) => few([...new Set(axes)]))) chosen.length = 0;
  const [only] = chosen;
  const apart = chosen.length === 1 && !meeting.has(only) && first.length === 0;
  const spread = new Map(chosen.map((axis): [Axis, Spread] => {
    const total = sizeOf(axis);
    const vec = picks.has(axis) || first.length > 0 ? 1 : widthOf(cx, [...loaded, ...stored], axis, total);
    return [axis, { vec, pieces: apart ? 1 : Math.ceil(total / (WARP * vec)), total }];
  }));
  const units = apart ? Math.ceil(sizeOf(only) / (WARP * (spread.get(only)?.vec ?? 1))) : 1;
  const layout = { spread, units };
  const fits = together.every((axes) => heldBy(layout, [...new Set(axes)], sizeOf) <= MOST_SEEN) && ordered(spread, sizeOf, ops);
  if (!seats.every((axis) => spread.has(axis))) return refused('lists beside what they are of');
  return fits ? layout : refused('rows that are too long');
}

/** Elements of a tile in the registers of one lane. */
export function heldBy({ spread }: RowsLayout, axes: readonly Axis[], sizeOf: (axis: Axis) => number): number {
  return withoutAxes(axes, [ROW]).reduce((n, axis) => {
    const one = spread.get(axis);
    return n * (one === undefined ? sizeOf(axis) : one.pieces * one.vec);
  }, 1);
}

/** Is a tile small enough for the registers of a lane? */
export const fitsIn = (layout: RowsLayout, axes: readonly Axis[], sizeOf: (axis: Axis) => number): boolean => (
  heldBy(layout, axes, sizeOf) <= MOST_HELD
);

/** Is every row of the result made of the same row of the operands? */
function staysInRow({ tiles }: TileKernel, op: TileOp): boolean {
  switch (op.op) {
    case 'load': return op.rows !== 'col' && op.rows !== 'one' && op.whole === undefined;
    case 'gather': return op.rows === 'row';
    case 'reduce': return op.axis !== ROW;
    case 'contract': return op.axis !== ROW && !isProduct(tiles[op.a].axes, tiles[op.b].axes, op.axis);
    case 'cumsum': return op.axis !== undefined && !op.reverse && !op.decays;
    case 'top': case 'pack': case 'unpack': return !op.axes.includes(ROW);
    case 'identity': case 'swap': case 'pick': case 'shift': case 'put': case 'take': case 'mask': return false;
    default: return isElementwise(op);
  }
}

/** Neighbours along an axis that all buffers have in one piece: of 16 bytes, and enough for every lane. */
function widthOf(cx: CudaContext, names: readonly string[], axis: Axis, total: number): number {
  const buffers = names.map((name) => bufferNamed(cx.module, name)).filter(({ axes }) => axes.includes(axis));
  if (buffers.some(({ axes }) => axes[axes.length - 1] !== axis)) return 1;
  const least = Math.min(4, ...buffers.map(({ dtype }) => bytesOf(dtype === 'io' ? cx.dtype : dtype)));
  return [8, 4, 2].find((n) => n * least <= WIDEST && total % n === 0 && total >= WARP * n) ?? 1;
}

/** Where elements are put in order, those of all lanes come before the next piece: other axes in front of them are whole warps. */
function ordered(spread: RowsLayout['spread'], sizeOf: (axis: Axis) => number, ops: readonly TileOp[]): boolean {
  return ops.every((op) => {
    if (op.op !== 'top') return true;
    const last = op.axes[op.axes.length - 1];
    const rest = op.axes.slice(0, -1);
    return spread.has(last) && rest.every((axis) => !spread.has(axis)) && (rest.length === 0 || sizeOf(last) % WARP === 0);
  });
}
