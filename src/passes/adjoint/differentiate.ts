import type { Axis } from '../../ir/common/axes.js';
import { withoutAxes } from '../../ir/common/axes.js';
import type { ScanBuilder } from '../../ir/scan/build.js';
import type { NodeId } from '../../ir/scan/scan.js';
import { math } from '../../math/index.js';
import type { MathBuilder } from '../../math/math.js';

/** Cotangents gathered so far, by node. */
export type Cotangents = Map<NodeId, NodeId>;

/** Adds to the cotangent of a node. A cotangent may have fewer axes than its node: it is then the same along the missing ones. */
export function accumulate(b: ScanBuilder, cotangents: Cotangents, node: NodeId, more: NodeId): void {
  const known = cotangents.get(node);
  cotangents.set(node, known === undefined ? more : b.map('add', known, more));
}

/**
 * One step of reverse mode: hands the cotangent of `id` on to its arguments. Where it or the slope may be beyond all numbers (`overflow`),
 * the other's 0 is what their product goes to: sqrt(1 - e^g) has an infinite slope at g = 0, and g, a sigmoid that has underflowed, none.
 */
export function pullBack(b: ScanBuilder, cotangents: Cotangents, id: NodeId, overflow: (id: NodeId) => boolean): void {
  const cotangent = cotangents.get(id);
  const node = b.nodes[id];
  if (cotangent === undefined) return;
  if (node.kind === 'map') {
    const builder: MathBuilder<NodeId> = { literal: (v) => b.literal(v), map: (fn, ...args) => b.map(fn, ...args) };
    const [first, second] = node.args;
    if (node.fn === 'mul' && first === second) {
      return accumulate(
        b, cotangents, first, b.map(overflow(cotangent) || overflow(first) ? 'chain' : 'mul', b.map('mul', b.literal(2), cotangent), first),
      );
    }
    math[node.fn].derivative(builder, node.args, id).forEach((partial, i) => {
      if (partial === null) return;
      const fn = b.literalValue(partial) === undefined && (overflow(cotangent) || overflow(partial)) ? 'chain' : 'mul';
      const product = b.map(fn, cotangent, partial);
      const folded = withoutAxes(node.axes, b.axesOf(node.args[i]));
      accumulate(b, cotangents, node.args[i], sumOver(b, product, folded));
    });
  }
  if (node.kind === 'reduce') {
    if (node.op === 'sum') return accumulate(b, cotangents, node.arg, cotangent);
    // The extremum is one of its arguments; equal ones share nothing, since a tie has no derivative.
    const [low, high] = node.op === 'max' ? [node.arg, id] : [id, node.arg];
    const chosen = b.map('sub', b.literal(1), b.map('less', low, high));
    accumulate(b, cotangents, node.arg, b.map('mul', cotangent, chosen));
  }
}

/**
 * Sums over axes; an axis the value does not have counts as often as it is long. Factors that lack the axis multiply the sum, of which
 * there is less than of its terms.
 */
export function sumOver(b: ScanBuilder, value: NodeId, axes: readonly Axis[]): NodeId {
  return axes.reduce((sum, axis) => {
    if (b.axesOf(sum).includes(axis)) return sumAlong(b, axis, sum);
    const size = b.node({ kind: 'size', axis, axes: [], origin: b.nodes[value].origin });
    return b.map('mul', sum, size);
  }, value);
}

function sumAlong(b: ScanBuilder, axis: Axis, value: NodeId): NodeId {
  const [terms, scales] = apart(b, axis, value);
  return scales.reduce((sum, scale) => scale(sum), b.reduce('sum', axis, terms));
}

type Scale = (value: NodeId) => NodeId;

/** A value without the factors that lack the axis, and what those do to it, the innermost first. */
function apart(b: ScanBuilder, axis: Axis, value: NodeId): readonly [NodeId, readonly Scale[]] {
  const node = b.nodes[value];
  if (node.kind !== 'map') return [value, []];
  const [x, y] = node.args;
  const lacks = (id: NodeId) => !b.axesOf(id).includes(axis);
  const then = (inner: NodeId, scale: Scale): readonly [NodeId, readonly Scale[]] => {
    const [rest, scales] = apart(b, axis, inner);
    return [rest, [...scales, scale]];
  };
  if (node.fn === 'neg') return then(x, (sum) => b.map('neg', sum));
  if (node.fn === 'div' && lacks(y)) return then(x, (sum) => b.map('div', sum, y));
  if (node.fn !== 'mul') return [value, []];
  if (lacks(y)) return then(x, (sum) => b.map('mul', sum, y));
  if (lacks(x)) return then(y, (sum) => b.map('mul', sum, x));
  const [[p, left], [q, right]] = [apart(b, axis, x), apart(b, axis, y)];
  return left.length + right.length === 0 ? [value, []] : [b.map('mul', p, q), [...left, ...right]];
}
