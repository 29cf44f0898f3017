import { keyOf } from '../../support/key.js';
import { unionAxes, withoutAxes, type Axis } from '../common/axes.js';
import type { MathName } from '../common/dag.js';
import { NO_SPAN, type Span } from '../common/span.js';
import type { NodeId, ScanNode } from './scan.js';

/** Appends nodes to a list, sharing equal ones, so that equal expressions have equal ids. */
export interface ScanBuilder {
  readonly nodes: ScanNode[];
  node(node: ScanNode): NodeId;
  literal(value: number): NodeId;
  map(fn: MathName, ...args: NodeId[]): NodeId;
  reduce(op: 'sum' | 'max' | 'min', axis: Axis, arg: NodeId): NodeId;
  /** A value at the token before, which state `state` remembers. */
  past(arg: NodeId, state: number, origin: Span): NodeId;
  /** Product of all, 1 for none. */
  product(factors: readonly NodeId[]): NodeId;
  axesOf(node: NodeId): readonly Axis[];
  literalValue(node: NodeId): number | undefined;
  /** The same list; what is made through it comes from that place of the text. */
  at(origin: Span): ScanBuilder;
}

/** Starts from `given` (not changed). */
export function scanBuilder(given: readonly ScanNode[] = []): ScanBuilder {
  const nodes: ScanNode[] = [];
  const known = new Map<string, NodeId>();
  // Copied as they are: indices must stay, even where two are equal.
  for (const n of given) {
    const { origin: _, ...rest } = n;
    nodes.push(n);
    const key = keyOf(rest);
    if (!known.has(key)) known.set(key, nodes.length - 1);
  }
  return builderOver(nodes, known, NO_SPAN);
}

function builderOver(nodes: ScanNode[], known: Map<string, NodeId>, origin: Span): ScanBuilder {
  const node = (n: ScanNode): NodeId => {
    const { origin: _, ...rest } = n;
    const key = keyOf(rest);
    const found = known.get(key);
    if (found !== undefined) return found;
    nodes.push(n);
    known.set(key, nodes.length - 1);
    return nodes.length - 1;
  };
  const axesOf = (id: NodeId): readonly Axis[] => nodes[id].axes;
  const literalValue = (id: NodeId): number | undefined => {
    const n = nodes[id];
    return n.kind === 'literal' ? n.value : undefined;
  };
  const literal = (value: number) => node({ kind: 'literal', value, axes: [], origin });

  const map = (
    fn: MathName, ...args: NodeId[]
  ): NodeId => simplify(fn, args) ?? node({ kind: 'map', fn, args, axes: unionAxes(...args.map(axesOf)), origin });

  // Only identities that are exact and keep the axes.
  const simplify = (fn: MathName, args: readonly NodeId[]): NodeId | undefined => {
    const [a, b] = args;
    const [x, y] = args.map(literalValue);
    const scalar = (id: NodeId) => axesOf(id).length === 0;
    if (fn === 'mul') {
      if (x === 1) return b;
      if (y === 1) return a;
      if (x !== undefined && y !== undefined) return literal(x * y);
      if (x === -1 && scalar(a)) return map('neg', b);
      if (y === -1 && scalar(b)) return map('neg', a);
    }
    if (fn === 'add') {
      if (x === 0) return b;
      if (y === 0) return a;
      if (x !== undefined && y !== undefined) return literal(x + y);
    }
    if (fn === 'div' && y === 1) return a;
    if (fn === 'neg') {
      if (x !== undefined) return literal(-x);
      const inner = nodes[a];
      if (inner.kind === 'map' && inner.fn === 'neg') return inner.args[0];
    }
    return undefined;
  };

  return {
    nodes,
    node,
    literal,
    map,
    reduce: (op, axis, arg) => node({ kind: 'reduce', op, axis, arg, axes: withoutAxes(axesOf(arg), [axis]), origin }),
    past(arg, state, at) {
      const before = nodes[arg];
      // The token before the one before.
      if (before.kind === 'past') return node({ ...before, states: [...before.states, state], origin: at });
      return node({ kind: 'past', arg, states: [state], axes: axesOf(arg), origin: at });
    },
    product(factors) {
      if (factors.length === 0) return literal(1);
      return factors.slice(1).reduce((product, factor) => map('mul', product, factor), factors[0]);
    },
    axesOf,
    literalValue,
    at: (place) => builderOver(nodes, known, place),
  };
}
