import type { Span } from '../../ir/common/span.js';
import { contract, literal, map, restrict, type FlowBuilder } from '../../ir/flow/build.js';
import { ONCE, type Flow, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import type { Axis } from '../../ir/graph/types.js';
import { includes } from '../../ir/graph/typing.js';
import { pruned } from '../flow/prune.js';
import { rebuilt } from '../flow/rebuild.js';

/** More elements than these are not looked through for one of them, or multiplied one by one. */
const [MOST_PICKED, MOST_FACTORS] = [1024, 32];

/**
 * A flow without elements that are picked by their numbers, and without products of elements: an element is the sum of all, each times 1 or
 * 0, which is exact, and what is made of such sums has gradients that kernels have too.
 */
export function withoutPicks(flow: Flow): Flow {
  const found = flow.values.some((value) => value.kind === 'pick' || (value.kind === 'fold' && value.op === 'prod'));
  return found ? pruned(rebuilt(flow, summed)) : flow;
}

function summed(b: FlowBuilder, value: FlowValue, to: (id: ValueId) => ValueId): ValueId | undefined {
  const { origin } = value;
  if (value.kind === 'pick' && value.axis.size <= MOST_PICKED && value.type.kind !== 'index') {
    const [arg, index] = [to(value.arg), to(value.index)];
    if (b.typeOf(arg).kind !== 'choice') return element(b, arg, value.axis, index, origin);
    const held = element(b, b.add({ kind: 'mask', choice: arg }, origin), value.axis, index, origin);
    return b.add({ kind: 'compare', op: '>', left: held, right: literal(b, 0, origin) }, origin);
  }
  if (value.kind !== 'fold' || value.op !== 'prod' || value.along.to !== b.typeOf(to(value.arg)).domain) return undefined;
  const factors = value.along.axes.reduce((n, { size }) => n * size, 1);
  return factors <= MOST_FACTORS ? value.along.axes.reduce((arg, axis) => multiplied(b, arg, axis, origin), to(value.arg)) : undefined;
}

/** The element of that number. */
function element(b: FlowBuilder, arg: ValueId, axis: Axis, number: ValueId, origin: Span): ValueId {
  const own = b.add({ kind: 'index', axes: [axis], over: undefined, domain: ONCE }, origin);
  const same = b.add({ kind: 'compare', op: '==', left: number, right: own }, origin);
  return contract(b, arg, b.add({ kind: 'mask', choice: same }, origin), [axis], origin);
}

/** The product of elements: what is absent counts as 1. */
function multiplied(b: FlowBuilder, arg: ValueId, axis: Axis, origin: Span): ValueId {
  const { where } = b.typeOf(arg);
  const one = literal(b, 1, origin);
  const ended = where.some((choice) => includes(b.typeOf(choice).axes, axis));
  const there = ended ? map(b, 'add', [b.add({ kind: 'lift', arg: map(b, 'sub', [arg, one], origin) }, origin), one], origin) : arg;
  const factors = Array.from({ length: axis.size }, (_, i) => element(b, there, axis, literal(b, i, origin), origin));
  const all = factors.reduce((x, y) => map(b, 'mul', [x, y], origin));
  const left = ended ? where.filter((choice) => !includes(b.typeOf(choice).axes, axis)) : [];
  return left.reduce((x, choice) => restrict(b, x, choice, origin), all);
}
