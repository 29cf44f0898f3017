import { COL, ROW, type Axis } from '../../../ir/common/axes.js';
import { buffersRead, storedBuffers } from '../../../ir/tile/buffers.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLet, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import type { CudaContext } from '../lowered.js';
import { isRefused, refused, type Refused } from '../refused.js';
import { tilesReadBy, usesOf } from '../uses.js';
import { STEP } from './forms.js';
import { definitions } from './kernel.js';

/** Steps along an axis that products sum over: ROW are all rows of a run, or all that there are. */
export interface BlockLoop {
  readonly axis: Axis;
  /** Operands and products. */
  readonly inside: readonly TileLet[];
}

/** A kernel of products, its statements divided by where they stand around the loops of steps, one for each axis that is summed over. */
export interface BlockParts {
  readonly kernel: TileKernel;
  /** Rows of the results: a block has 64 of them. Others than those of a chunk are shared out as the columns are. */
  readonly rows: Axis;
  /** Columns of the results, which blocks share out. */
  readonly split: Axis;
  readonly loops: readonly BlockLoop[];
  /** Products, each with the tile that sums it up: its own, or that of a sum of products that nobody else reads. */
  readonly sums: ReadonlyMap<TileId, TileId>;
  /** What steps need, and what there is beside them. */
  readonly before: readonly TileStmt[];
  readonly after: readonly TileStmt[];
}

export function blockParts(cx: CudaContext, kernel: TileKernel): BlockParts | Refused {
  const { split } = kernel;
  if (split === undefined) return refused('blocks of a kernel without a split axis');
  const axesOf = (tile: TileId) => kernel.tiles[tile].axes;
  const lets = kernel.body.filter((stmt): stmt is TileLet => stmt.kind === 'let');
  if (kernel.body.some((stmt) => stmt.kind === 'loop')) return refused('loops in split chunk kernels');
  const stored = new Set(storedBuffers(kernel.body));
  if (lets.some(({ op }) => buffersRead(op).some((name) => stored.has(name)))) return refused('a block that reads what it stores');
  const products = new Map(lets.flatMap(({ tile, op }) => (op.op === 'contract' && axesOf(tile).length === 2 ? [[tile, op.axis]] : [])));
  const axes = [...new Set(products.values())];
  const isAlong = isAlongRows(kernel);
  const wrong = axes.find((axis) => axis === COL || isAlong !== (axis === ROW));
  if (wrong !== undefined || axes.length === 0) return refused(`blocks of products along ${wrong ?? 'nothing'}`);
  const stepsOf = (tile: TileId) => axes.filter((axis) => axesOf(tile).includes(axis));
  const inStep = (tile: TileId) => stepsOf(tile).length > 0;
  const isProduct = ({ tile }: TileLet) => products.has(tile);
  const shares = isAlong ? sidesOf(kernel, products.keys()) : { rows: ROW, split };
  if (isRefused(shares)) return shares;
  for (const tile of products.keys()) {
    if (!axesOf(tile).every((one) => one === shares.rows || one === shares.split)) {
      return refused(`blocks of products [${axesOf(tile).join()}]`);
    }
  }
  const inside = lets.filter((stmt) => inStep(stmt.tile) || isProduct(stmt));
  const crossed = inside.find(({ tile }) => stepsOf(tile).length > (products.has(tile) ? 0 : 1));
  if (crossed !== undefined) return refused(`a tile along ${axesOf(crossed.tile).join()}`);
  const odd = inside.find((stmt) => !isProduct(stmt) && !isPointwise(stmt.op));
  if (odd !== undefined) return refused(`${odd.op.op} in a block`);
  if (lets.some((stmt) => !inside.includes(stmt) && stmt.op.op === 'gather')) return refused('gathered rows beside products');
  const folded = lets.find((stmt) => !inside.includes(stmt) && operandsOf(stmt.op).some(inStep));
  if (folded !== undefined) return refused(`${folded.op.op} over ${operandsOf(folded.op).flatMap(stepsOf)[0]}`);
  const kept = kernel.body.find((stmt) => stmt.kind === 'store' && inStep(stmt.value));
  if (kept?.kind === 'store') return refused(`a store with ${stepsOf(kept.value).join()}`);
  const worked = inside.filter((stmt) => !isProduct(stmt) && !['load', 'gather', 'swap'].includes(stmt.op.op));
  // Of what fills up a step nobody knows what it becomes.
  const partly = worked.flatMap(({ tile }) => stepsOf(tile)).find((axis) => axisSize(cx.module, axis) % STEP !== 0);
  if (partly !== undefined) return refused(`operands along ${partly}, which is no multiple of ${STEP}`);
  const wanted = needs(inside.flatMap(({ op }) => operandsOf(op)).filter((tile) => !inStep(tile)), definitions(kernel));
  if ([...products.keys()].some((tile) => wanted.has(tile))) return refused('blocks of products of products');
  const { sums, through } = sumsOf(kernel, lets, products.keys());
  const made = new Set<TileId>([...inside.map(({ tile }) => tile), ...through]);
  const outside = kernel.body.filter((stmt) => stmt.kind !== 'let' || !made.has(stmt.tile));
  const isBefore = (stmt: TileStmt) => stmt.kind === 'let' && wanted.has(stmt.tile);
  return {
    kernel, ...shares, sums, before: outside.filter(isBefore),
    loops: axes.map((axis) => ({ axis, inside: inside.filter(({ tile }) => (products.get(tile) ?? stepsOf(tile)[0]) === axis) })),
    // What is read then is asked for at once.
    after: loadsFirst(outside.filter((stmt) => !isBefore(stmt))),
  };
}

const isLoad = (stmt: TileStmt): boolean => stmt.kind === 'let' && stmt.op.op === 'load';
const loadsFirst = (body: readonly TileStmt[]): readonly TileStmt[] => [...body.filter(isLoad), ...body.filter((stmt) => !isLoad(stmt))];

/** Matrices that registers hold at once after the loop: all but those that are read from shared memory whenever they are needed. */
export function heldAfter({ kernel, sums, after }: BlockParts): number {
  const isMatrix = (tile: TileId) => kernel.tiles[tile].axes.length === 2;
  const last = new Map<TileId, number>();
  after.forEach((stmt, at) => {
    for (const tile of tilesReadBy(stmt)) last.set(tile, at);
  });
  const loaded = new Set(after.flatMap((stmt) => (stmt.kind === 'let' && isLoad(stmt) ? [stmt.tile] : [])));
  const live = new Set(sums.values());
  let most = live.size;
  after.forEach((stmt, at) => {
    if (stmt.kind === 'let' && isMatrix(stmt.tile) && !loaded.has(stmt.tile)) live.add(stmt.tile);
    const read = stmt.kind === 'let' ? operandsOf(stmt.op).filter((tile) => loaded.has(tile) && isMatrix(tile)).length : 0;
    most = Math.max(most, live.size + read);
    for (const tile of live) if ((last.get(tile) ?? at) <= at) live.delete(tile);
  });
  return most;
}

/**
 * Rows and columns of products along rows: blocks have many columns and few rows, so that rows are the axis of which operands are read more
 * often.
 */
function sidesOf(kernel: TileKernel, products: Iterable<TileId>): { readonly rows: Axis; readonly split: Axis } | Refused {
  const [first, ...more] = products;
  const [x, y] = kernel.tiles[first].axes;
  if (kernel.split === undefined || ![x, y].includes(kernel.split)) return refused('products along rows without the split axis');
  const defs = definitions(kernel);
  const read = new Set([first, ...more].flatMap((tile) => operandsOf(defs.get(tile) ?? { op: 'zeros' })));
  const readers = (axis: Axis) => [...read].filter((tile) => kernel.tiles[tile].axes.includes(axis)).length;
  const other = x === kernel.split ? y : x;
  return readers(other) < readers(kernel.split) ? { rows: kernel.split, split: other } : { rows: other, split: kernel.split };
}

/** Sums of products, and of such sums: what adds up in the same registers. */
function sumsOf(kernel: TileKernel, lets: readonly TileLet[], products: Iterable<TileId>): {
  readonly sums: ReadonlyMap<TileId, TileId>;
  /** All sums on the way. */
  readonly through: readonly TileId[];
} {
  const { counts } = usesOf(kernel);
  const sums = new Map([...products].map((tile) => [tile, tile]));
  const through: TileId[] = [];
  for (const { tile, op } of lets) {
    if (op.op !== 'map' || op.fn !== 'add') continue;
    const [x, y] = op.args;
    const known = new Set(sums.values());
    if (x === y || ![x, y].every((arg) => known.has(arg) && counts.get(arg) === 1)) continue;
    for (const [product, sum] of sums) if (sum === x || sum === y) sums.set(product, tile);
    through.push(tile);
  }
  return { sums, through };
}

/** Does a kernel go along all rows of a run, or of all, without a loop over their chunks? */
export const isAlongRows = ({ outer }: TileKernel): boolean => outer !== 'chunk';

/** Operations that may stand in a step: they are worked out element by element. */
export const isPointwise = (op: TileOp): boolean => ['load', 'gather', 'map', 'keep', 'round', 'swap', 'draw'].includes(op.op);

/** Tiles that some need, themselves included. */
function needs(tiles: Iterable<TileId>, defs: ReadonlyMap<TileId, TileOp>): ReadonlySet<TileId> {
  const found = new Set<TileId>();
  const visit = (tile: TileId): void => {
    const op = defs.get(tile);
    if (op === undefined || found.has(tile)) return;
    found.add(tile);
    operandsOf(op).forEach(visit);
  };
  for (const tile of tiles) visit(tile);
  return found;
}
