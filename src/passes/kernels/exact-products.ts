import { map } from '../../ir/flow/build.js';
import type { Flow, FlowValue, ValueId } from '../../ir/flow/flow.js';
import { includes } from '../../ir/graph/typing.js';
import type { Axis } from '../../ir/graph/types.js';
import { pruned } from '../flow/prune.js';
import { rebuilt } from '../flow/rebuild.js';

/**
 * A flow whose products of `f32(x)` are f32 products on devices that multiply operands of 16 bits (docs/language.md): an operand that is
 * computed in f32 comes as round(x) + (x - round(x)), a product for each part. What lies in memory in 16 bits has one part.
 */
export function withExactProducts(flow: Flow): Flow {
  const split = flow.values.map((value) => operandsToSplit(flow, value));
  if (split.every((ids) => ids.length === 0)) return flow;
  let at = 0;
  return pruned(rebuilt(flow, (b, value, to): ValueId | undefined => {
    const ids = split[at++];
    if (value.kind !== 'contract' || ids.length === 0) return undefined;
    const { origin, along } = value;
    const parts = (id: ValueId): readonly ValueId[] => {
      if (!ids.includes(id)) return [to(id)];
      const first = b.add({ kind: 'rounded', arg: to(id) }, origin);
      return [first, map(b, 'sub', [to(id), first], origin)];
    };
    const products = parts(value.left).flatMap((left, i) => parts(value.right).flatMap((right, j) => (
      // What rounding leaves out of both is less than f32 holds of the whole.
      i > 0 && j > 0 ? [] : [b.add({ kind: 'contract', left, right, along }, origin)]
    )));
    return products.reduce((x, y) => map(b, 'add', [x, y], origin));
  }));
}

/** The operands of an f32 product that have more digits than memory would keep. */
function operandsToSplit(flow: Flow, value: FlowValue): readonly ValueId[] {
  if (value.kind !== 'contract') return [];
  const { left, right, along: { axes } } = value;
  if (![left, right].some((id) => isSaid(flow, id))) return [];
  return [left, right].filter((id) => isComputed(flow, id) && isKept(flow, id, axes));
}

/** Is it `f32(x)`? */
function isSaid(flow: Flow, id: ValueId): boolean {
  const value = flow.values[id];
  return value.kind === 'f32' || (isView(value) && isSaid(flow, value.arg));
}

/** The same, or made of such, element by element along what the product sums. */
function isKept(flow: Flow, id: ValueId, axes: readonly Axis[]): boolean {
  const value = flow.values[id];
  if (value.kind === 'f32') return true;
  if (isView(value)) return isKept(flow, value.arg, axes);
  return value.kind === 'map' && value.args.some((arg) => (
    axes.every((axis) => includes(flow.values[arg].type.axes, axis)) && isKept(flow, arg, axes)
  ));
}

/** Is it in memory as somebody gave it? */
function isComputed(flow: Flow, id: ValueId): boolean {
  const value = flow.values[id];
  if (value.kind === 'f32' || isView(value)) return isComputed(flow, value.arg);
  return value.kind !== 'input' && value.kind !== 'param';
}

type View = Extract<FlowValue, { kind: 'restrict' | 'gather' | 'stop' }>;

const isView = (value: FlowValue): value is View => value.kind === 'restrict' || value.kind === 'gather' || value.kind === 'stop';
