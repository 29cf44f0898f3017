import { along, contract, gather, literal, map, restrict, type FlowBuilder } from '../../ir/flow/build.js';
import { ONCE, type Along, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import { groupsOf } from '../../ir/flow/typing.js';
import { elements, includes, union, without } from '../../ir/graph/typing.js';
import { math } from '../../math/index.js';
import type { MathBuilder } from '../../math/math.js';

/** Hands a cotangent on to an operand. */
export type Hand = (operand: ValueId, cotangent: ValueId) => void;

/**
 * One step back: what the cotangent `d` of a value gives to those that it reads. `d` has the value's domain, and its axes or fewer: it is
 * the same along those that are missing. A reason, if the step has none.
 */
export function pullBack(b: FlowBuilder, id: ValueId, d: ValueId, hand: Hand): string | undefined {
  const value = b.values[id];
  const { origin } = value;
  switch (value.kind) {
    case 'map': pullMap(b, id, value, d, hand); return undefined;
    case 'contract': {
      const { left, right } = value;
      const [l, r] = [b.typeOf(left), b.typeOf(right)];
      const ends = [...l.where, ...r.where];
      const back = spreadBack(b, d, value.along, Math.max(l.domain, r.domain), ends, value);
      for (const [own, other] of [[left, right], [right, left]] as const) {
        const gone = without(union(b.typeOf(back).axes, b.typeOf(other).axes), b.typeOf(own).axes);
        const both = gone.filter((axis) => includes(b.typeOf(back).axes, axis) && includes(b.typeOf(other).axes, axis));
        hand(own, contract(b, back, other, both, origin));
      }
      return undefined;
    }
    case 'fold': {
      const { arg, op } = value;
      const type = b.typeOf(arg);
      const back = spreadBack(b, d, value.along, type.domain, type.where, value);
      hand(arg, op === 'sum' ? back : map(b, 'mul', [back, foldSlope(b, id, value)], origin));
      return undefined;
    }
    case 'softmax': {
      const { arg, sink } = value;
      const { domain, where } = b.typeOf(arg);
      const product = map(b, 'mul', [d, id], origin);
      const mean = b.add({ kind: 'fold', op: 'sum', arg: product, along: value.along }, origin);
      const means = spreadBack(b, mean, value.along, domain, where, value);
      hand(arg, map(b, 'mul', [id, map(b, 'sub', [d, means], origin)], origin));
      if (sink !== undefined) {
        const all = b.add({ kind: 'fold', op: 'sum', arg: id, along: value.along }, origin);
        const rest = map(b, 'sub', [literal(b, 1, origin), all], origin);
        hand(sink, map(b, 'neg', [map(b, 'mul', [mean, rest], origin)], origin));
      }
      return undefined;
    }
    case 'gather': {
      const type = b.typeOf(value.arg);
      const kept = groupsOf(b.domains[value.to]).filter((axis) => includes(type.axes, axis));
      hand(value.arg, b.add({ kind: 'fold', op: 'sum', arg: d, along: along([], type.domain, { kept, by: value.by }) }, origin));
      return undefined;
    }
    case 'restrict': case 'lift': case 'f32': case 'rounded': hand(value.arg, d); return undefined;
    case 'pick': hand(value.arg, b.add({ kind: 'place', arg: d, axis: value.axis, index: value.index }, origin)); return undefined;
    case 'taps': {
      const whole = includes(b.typeOf(d).axes, value.axis) ? d : map(b, 'mul', [d, literal(b, 1, origin, [value.axis])], origin);
      hand(value.arg, b.add({ kind: 'untap', arg: whole, axis: value.axis }, origin));
      return undefined;
    }
    case 'rope': {
      const whole = includes(b.typeOf(d).axes, value.axis) ? d : map(b, 'mul', [d, literal(b, 1, origin, [value.axis])], origin);
      hand(value.arg, b.add({ ...value, arg: whole, back: !value.back }, origin));
      return undefined;
    }
    case 'literal': case 'input': case 'param': case 'count': case 'index': case 'draw': case 'top': case 'first': case 'compare':
    case 'logic':
    case 'mask': case 'stop': case 'sinkhorn': return undefined;
    case 'scan': {
      const { scan, args, output, heads, domain } = value;
      args.forEach((arg, of) => {
        const axes = [...heads, ...b.scans[scan].args[of]];
        const to = b.typeOf(arg).domain;
        hand(arg, b.add({ kind: 'unscan', scan, args, output, cotangent: d, of, heads, domain, to, axes }, origin));
      });
      return undefined;
    }
    case 'others': case 'place': case 'untap': case 'unscan': return 'it is a gradient itself';
  }
}

/** The cotangent of a fold, at every element that it folded. */
function spreadBack(
  b: FlowBuilder, d: ValueId, { axes, to, by }: Along, domain: number, where: readonly ValueId[], { origin }: FlowValue,
): ValueId {
  const back = to === domain ? d : gather(b, d, domain, origin, by);
  return where.reduce((x, choice) => {
    const folded = to !== domain || b.typeOf(choice).axes.some((axis) => includes(axes, axis));
    return folded ? restrict(b, x, choice, origin) : x;
  }, back);
}

function foldSlope(b: FlowBuilder, id: ValueId, value: Extract<FlowValue, { kind: 'fold' }>): ValueId {
  const { op, arg, origin } = value;
  const group = value.along;
  switch (op) {
    case 'max': case 'min': return b.add({ kind: 'mask', choice: b.add({ kind: 'first', op, arg, along: group }, origin) }, origin);
    case 'logsumexp': {
      const { domain, where } = b.typeOf(arg);
      return map(b, 'exp', [map(b, 'sub', [arg, spreadBack(b, id, group, domain, where, value)], origin)], origin);
    }
    case 'prod': return b.add({ kind: 'others', arg, along: group }, origin);
    case 'sum': return literal(b, 1, origin);
  }
}

function pullMap(b: FlowBuilder, id: ValueId, value: Extract<FlowValue, { kind: 'map' }>, d: ValueId, hand: Hand): void {
  const { fn, args, origin, type } = value;
  const builder: MathBuilder<ValueId> = {
    literal: (number) => literal(b, number, origin), map: (name, ...of) => map(b, name, of, origin),
  };
  const partials = fn === '%' ? [builder.literal(1), builder.map('neg', builder.map('floor', builder.map('div', ...args)))]
    : math[fn].derivative(builder, args, id);
  partials.forEach((partial, i) => {
    if (partial === null) return;
    // Where the slope may be beyond all numbers, a cotangent of 0 stays one.
    const tame = fn === '%' || math[fn].total || b.values[partial].kind === 'literal';
    const product = map(b, tame ? 'mul' : 'chain', [d, partial], origin);
    const times = elements(without(without(type.axes, b.typeOf(product).axes), b.typeOf(args[i]).axes));
    hand(args[i], times === 1 ? product : map(b, 'mul', [literal(b, times, origin), product], origin));
  });
}

/** A cotangent as it comes from a reader, as one of the value: summed over what the value does not have, 0 where the reader was absent. */
export function fitted(b: FlowBuilder, d: ValueId, own: ValueId): ValueId {
  const [from, to] = [b.typeOf(d), b.typeOf(own)];
  const { origin } = b.values[d];
  const gone = without(from.axes, to.axes);
  const coarse = to.domain === ONCE ? ONCE : from.domain;
  const sum = gone.length === 0 && coarse === from.domain ? d
    : b.add({ kind: 'fold', op: 'sum', arg: d, along: along(gone, coarse) }, origin);
  const placed = from.domain === ONCE && to.domain !== ONCE ? gather(b, sum, to.domain, origin) : sum;
  return b.typeOf(placed).where.every((choice) => to.where.includes(choice)) ? placed : b.add({ kind: 'lift', arg: placed }, origin);
}
