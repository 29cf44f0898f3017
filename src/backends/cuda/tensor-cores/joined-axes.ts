import type { Axis } from '../../../ir/common/axes.js';
import { buffersRead, storedBuffers } from '../../../ir/tile/buffers.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileBuffer, TileId, TileKernel, TileLet, TileModule, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { freeName } from '../../../support/free-name.js';
import { axisSize } from '../../describe.js';
import type { CudaContext } from '../lowered.js';
import { eachStatement, usesOf } from '../uses.js';

/** Axes that lie next to each other, and the name of the one that stands for both. */
interface Joint {
  readonly outer: Axis;
  readonly inner: Axis;
  readonly name: Axis;
}

/**
 * A kernel in which axes that are next to each other wherever they are (groups of experts, and experts of a group) are one, with buffers
 * that have it: products know one axis of rows and one of columns.
 */
export function withJoinedAxes(cx: CudaContext, kernel: TileKernel): { readonly cx: CudaContext; readonly kernel: TileKernel } {
  const names = new Set([...storedBuffers(kernel.body), ...lets(kernel).flatMap(({ op }) => buffersRead(op))]);
  const buffers = cx.module.buffers.filter(({ name }) => names.has(name));
  for (const joint of jointsOf(cx.module, buffers)) {
    const joined = isApart(buffers, joint) ? undefined : joinedKernel(kernel, joint);
    if (joined !== undefined) return withJoinedAxes({ ...cx, module: joinedModule(cx.module, names, joint) }, joined);
  }
  return { cx, kernel };
}

function lets({ body }: Pick<TileKernel, 'body'>): readonly TileLet[] {
  const found: TileLet[] = [];
  eachStatement(body, (stmt) => {
    if (stmt.kind === 'let') found.push(stmt);
  });
  return found;
}

function jointsOf({ sizes }: TileModule, buffers: readonly TileBuffer[]): readonly Joint[] {
  const found = new Map<string, Joint>();
  for (const { axes } of buffers) {
    axes.slice(1).forEach((inner, i) => {
      const name = freeName(`${axes[i]}_${inner}`, (one) => sizes.has(one));
      found.set(name, { outer: axes[i], inner, name });
    });
  }
  return [...found.values()];
}

/** Is there a buffer with one axis without the other, or elsewhere? */
const isApart = (buffers: readonly TileBuffer[], { outer, inner }: Joint): boolean => buffers.some(({ axes }) => (
  axes.includes(outer) || axes.includes(inner) ? axes.indexOf(outer) + 1 !== axes.indexOf(inner) || !axes.includes(outer) : false
));

const joinedAxes = (axes: readonly Axis[], { outer, inner, name }: Joint): readonly Axis[] => (
  axes.flatMap((axis) => (axis === outer ? [name] : axis === inner ? [] : [axis]))
);

function joinedModule(module: TileModule, names: ReadonlySet<string>, joint: Joint): TileModule {
  return {
    ...module, sizes: new Map(module.sizes).set(joint.name, axisSize(module, joint.outer) * axisSize(module, joint.inner)),
    buffers: module.buffers.map((buffer) => (names.has(buffer.name) ? { ...buffer, axes: joinedAxes(buffer.axes, joint) } : buffer)),
  };
}

/** undefined: a tile has only one of the axes, or something looks along one of them. */
function joinedKernel(kernel: TileKernel, joint: Joint): TileKernel | undefined {
  const both = (tile: TileId) => [joint.outer, joint.inner].every((axis) => kernel.tiles[tile].axes.includes(axis));
  const one = (tile: TileId) => !both(tile) && [joint.outer, joint.inner].some((axis) => kernel.tiles[tile].axes.includes(axis));
  const sums = jointSums(kernel, joint, both);
  const products = new Set([...sums.values()].map(({ product }) => product));
  const used = [...new Set(lets(kernel).flatMap(({ tile, op }) => [tile, ...operandsOf(op)]))];
  if (used.some((tile) => one(tile) && !products.has(tile))) return undefined;
  const looks = (op: TileOp) => ('axis' in op && op.axis !== undefined ? [op.axis] : op.op === 'swap' ? op.axes ?? [] : []).some((axis) => (
    [joint.outer, joint.inner].some((name) => axis === name || axis.startsWith(`${name}'`) || axis.startsWith(`${name}/`))
  ));
  if (lets(kernel).some(({ tile, op }) => looks(op) && !sums.has(tile) && !products.has(tile))) return undefined;
  const joinedBody = (body: readonly TileStmt[]): readonly TileStmt[] => body.flatMap((stmt): readonly TileStmt[] => {
    if (stmt.kind === 'loop') return [{ ...stmt, body: joinedBody(stmt.body) }];
    if (stmt.kind === 'store' || !(sums.has(stmt.tile) || products.has(stmt.tile))) return [stmt];
    const sum = sums.get(stmt.tile);
    return sum === undefined ? [] : [{ ...stmt, op: sum.op }];
  });
  const { split } = kernel;
  return {
    ...kernel, split: split === joint.outer || split === joint.inner ? joint.name : split, body: joinedBody(kernel.body),
    tiles: kernel.tiles.map((tile) => ({ axes: joinedAxes(tile.axes, joint) })),
  };
}

/** Sums along one of the axes of products along the other: products along both. */
function jointSums(
  kernel: TileKernel, { outer, inner, name }: Joint, both: (tile: TileId) => boolean,
): ReadonlyMap<TileId, { readonly product: TileId; readonly op: TileOp }> {
  const { defs, counts } = usesOf(kernel);
  return new Map(lets(kernel).flatMap(({ tile, op }) => {
    const of = op.op === 'reduce' && op.reduce === 'sum' ? defs.get(op.arg)?.op : undefined;
    if (op.op !== 'reduce' || of?.op !== 'contract' || counts.get(op.arg) !== 1 || !both(of.a) || !both(of.b)) return [];
    const along = [op.axis, of.axis];
    return [outer, inner].every((axis) => along.includes(axis)) ? [[tile, { product: op.arg, op: { ...of, axis: name } }] as const] : [];
  }));
}
