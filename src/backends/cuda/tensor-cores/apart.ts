import { ROW, type Axis } from '../../../ir/common/axes.js';
import { isRows } from '../../../ir/tile/domain.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import { prune } from '../../../ir/tile/prune.js';
import {
  withKernels, type TileBuffer, type TileId, type TileKernel, type TileLoop, type TileModule, type TileOp, type TileStmt,
} from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { isPointwise } from './block-parts.js';
import { definitions } from './kernel.js';
import { STEP } from './forms.js';

type Contract = Extract<TileOp, { op: 'contract' }>;

/** Products that stand for themselves, in a kernel of their own. */
interface Apart {
  readonly kernel: TileKernel;
  readonly rest: TileKernel;
  /** What hands them over, where no result does. */
  readonly buffers: readonly TileBuffer[];
}

/**
 * A module in which products of rows with matrices are kernels of their own, where what is made of them looks at all of a row (a choice
 * among scores, a softmax), and sums of products of rows where other sums stand beside them: such products are for blocks, the rest is not.
 */
export function productsApart(module: TileModule): TileModule {
  const made = new Map(module.kernels.flatMap((kernel) => {
    const found = kernel.outer === 'chunk' ? apart(module, kernel) : sumsApart(kernel);
    return found === undefined ? [] : [[kernel.name, found] as const];
  }));
  const kernels = new Map([...made].map(([name, { kernel, rest }]) => [name, [kernel, rest]]));
  return withKernels(module, kernels, [...made.values()].flatMap(({ buffers }) => buffers));
}

function apart(module: TileModule, kernel: TileKernel): Apart | undefined {
  const { body, tiles } = kernel;
  if (kernel.outer !== 'chunk' || kernel.inner !== 'once' || kernel.split !== undefined) return undefined;
  if (body.some(({ kind }) => kind === 'loop')) return undefined;
  const defs = definitions(kernel);
  const products = [...defs].flatMap(([tile, op]) => (op.op === 'contract' && isForBlocks(module, kernel, defs, tile, op) ? [tile] : []));
  const [first] = products;
  if (first === undefined) return undefined;
  const columns = (tile: TileId) => tiles[tile].axes.filter((axis) => axis !== ROW);
  // Of a kernel, those that share blocks.
  const shared = products.filter((tile) => columns(tile).join() === columns(first).join() && axisOf(defs, tile) === axisOf(defs, first));
  const stores = shared.map((tile) => {
    const known = body.find((stmt) => stmt.kind === 'store' && stmt.value === tile && isWide(module, stmt.buffer));
    const buffer = known?.kind === 'store' ? module.buffers.find(({ name }) => name === known.buffer) : undefined;
    return { tile, buffer: buffer ?? handedOn(module, kernel, tile, columns(tile)), isNew: buffer === undefined };
  });
  const split = columns(first).reduce((a, b) => (axisSize(module, b) > axisSize(module, a) ? b : a));
  const store = ({ tile, buffer }: typeof stores[number]): TileStmt => ({ kind: 'store', buffer: buffer.name, value: tile });
  const isStore = (stmt: TileStmt) => stmt.kind === 'store'
    && stores.some(({ tile, buffer, isNew }) => !isNew && stmt.value === tile && stmt.buffer === buffer.name);
  const handed = new Map(stores.map(({ tile, buffer }) => [tile, buffer.name]));
  return {
    kernel: prune({
      ...kernel, name: `${kernel.name}_product`, doc: 'Products of rows.', split,
      body: [...body.filter(({ kind }) => kind === 'let'), ...stores.map(store)],
    }),
    rest: prune({
      ...kernel, body: body.filter((stmt) => !isStore(stmt)).map((stmt): TileStmt => {
        const buffer = stmt.kind === 'let' ? handed.get(stmt.tile) : undefined;
        return stmt.kind === 'let' && buffer !== undefined ? { ...stmt, op: { op: 'load', buffer, rows: 'row' } } : stmt;
      }),
    }),
    buffers: stores.flatMap(({ buffer, isNew }) => (isNew ? [buffer] : [])),
  };
}

/** Of a kernel that sums over rows, the sums of products apart from others, such as those of columns. */
function sumsApart(kernel: TileKernel): Apart | undefined {
  const [loop, ...others] = kernel.body.filter((stmt) => stmt.kind === 'loop');
  if (kernel.split === undefined || loop?.over !== 'chunks' || others.length > 0 || loop.carry.length < 2) return undefined;
  if (loop.body.some(({ kind }) => kind !== 'let')) return undefined;
  const defs = definitions(kernel);
  const isProduct = (tile: TileId): boolean => {
    const op = defs.get(tile);
    if (op?.op === 'map' && op.fn === 'add') return op.args.some(isProduct);
    return op?.op === 'contract' && kernel.tiles[tile].axes.length > 1;
  };
  const products = loop.carry.filter(({ next }) => isProduct(next));
  const part = (name: string, doc: string, carry: TileLoop['carry']): TileKernel | undefined => {
    const left = new Set(loop.carry.flatMap((one) => (carry.includes(one) ? [] : [one.tile])));
    const needs = (tile: TileId): boolean => left.has(tile) || operandsOf(defs.get(tile) ?? { op: 'zeros' }).some(needs);
    if (carry.some(({ next }) => needs(next))) return undefined;
    const body = kernel.body.filter((stmt) => stmt.kind !== 'store' || !needs(stmt.value));
    return prune({ ...kernel, name, doc, body: body.map((stmt) => (stmt === loop ? { ...loop, carry } : stmt)) });
  };
  if (products.length === 0 || products.length === loop.carry.length) return undefined;
  const made = part(`${kernel.name}_product`, 'Sums of products of rows.', products);
  const rest = part(kernel.name, kernel.doc, loop.carry.filter((one) => !products.includes(one)));
  const stores = (one: TileKernel | undefined) => one?.body.filter(({ kind }) => kind === 'store').length ?? 0;
  if (made === undefined || rest === undefined || stores(made) + stores(rest) < stores(kernel)) return undefined;
  return { kernel: made, rest, buffers: [] };
}

const axisOf = (defs: ReadonlyMap<TileId, TileOp>, tile: TileId): Axis | undefined => {
  const op = defs.get(tile);
  return op?.op === 'contract' ? op.axis : undefined;
};

/** Is it a product of a row of each with a matrix, over steps of what is pointwise? */
function isForBlocks(module: TileModule, { tiles }: TileKernel, defs: ReadonlyMap<TileId, TileOp>, tile: TileId, op: Contract): boolean {
  const [left, right] = tiles[op.a].axes.includes(ROW) ? [op.a, op.b] : [op.b, op.a];
  const own = tiles[tile].axes.filter((axis) => axis !== ROW);
  if (
    tiles[left].axes.length !== 2 || !tiles[left].axes.includes(ROW) || own.length === 0 || axisSize(module, op.axis) < STEP
  ) return false;
  if (tiles[right].axes.length !== own.length + 1 || tiles[right].axes.includes(ROW)) return false;
  const pointwise = (of: TileId): boolean => {
    const made = defs.get(of);
    return made !== undefined && (isPointwise(made) || made.op === 'literal') && operandsOf(made).every(pointwise);
  };
  return [left, right].every(pointwise);
}

/** Does a buffer keep all digits of rows? */
function isWide({ buffers }: TileModule, name: string): boolean {
  return buffers.some((buffer) => buffer.name === name && buffer.dtype === 'f32' && isRows(buffer));
}

function handedOn({ buffers }: TileModule, { name, domain }: TileKernel, tile: TileId, axes: readonly Axis[]): TileBuffer {
  let free = `${name}_of${tile}`;
  while (buffers.some((buffer) => buffer.name === free)) free += '_';
  return { name: free, outer: 'row', domain, inner: 'once', axes, dtype: 'f32', role: 'workspace' };
}
