import { unionAxes, type Axis } from '../../ir/common/axes.js';
import { ANY } from '../../ir/common/range.js';
import { scanBuilder, type ScanBuilder } from '../../ir/scan/build.js';
import { nodeArguments, type NodeId, type ScanNode } from '../../ir/scan/scan.js';
import { math } from '../../math/index.js';
import { pairs, type Pairs } from '../../support/pairs.js';

/** What rows beyond the sequence hold when a value is computed from loads, which give 0 there. */
export type Padding = 'zero' | 'finite' | 'unknown';

/** Questions about the values of one program, answered from their definitions. */
export interface Graph {
  /** May be appended to (constants that factoring makes). */
  readonly builder: ScanBuilder;
  node(id: NodeId): ScanNode;
  axesOf(id: NodeId): readonly Axis[];
  /** Highest stage that a value depends on; -1 for none. */
  home(id: NodeId): number;
  /** The same at every token. */
  isStatic(id: NodeId): boolean;
  /** Made of inputs and params alone. */
  isGiven(id: NodeId): boolean;
  /** A number once the sizes are known. */
  literal(id: NodeId): number | undefined;
  padding(id: NodeId): Padding;
  /** The same where all that it is made of is made there, too: what the numbers are tells more than what functions are. */
  paddingMade(id: NodeId): Padding;
  /** Is it made of what is found at tokens before? */
  readsBack(id: NodeId): boolean;
  /** Is it made of what kernels leave at tokens after? */
  readsAhead(id: NodeId): boolean;
  /** Results of stages that values depend on, by stage and slot. */
  results(ids: readonly NodeId[]): Pairs<true>;
}

const ZERO = { lo: 0, hi: 0 };
/** Of less than this, and of what is more than its inverse, every device has numbers. */
const MOST = 1e30;

/** Answers a question about a value once. */
export function memo<T>(compute: (id: NodeId) => T): (id: NodeId) => T {
  // In boxes, since undefined is an answer too.
  const known = new Map<NodeId, { readonly value: T }>();
  return (id) => {
    const box = known.get(id) ?? { value: compute(id) };
    known.set(id, box);
    return box.value;
  };
}

export function graphOf(nodes: readonly ScanNode[], sizeOf: (axis: Axis) => number): Graph {
  const builder = scanBuilder(nodes);
  const node = (id: NodeId) => builder.nodes[id];

  const home = memo((id): number => {
    const n = node(id);
    return n.kind === 'result' ? n.stage : Math.max(-1, ...nodeArguments(n).map(home));
  });

  const isStatic = memo((id): boolean => {
    const n = node(id);
    switch (n.kind) {
      case 'literal': case 'size': case 'head': case 'heads': case 'param': return true;
      case 'input': case 'past': case 'ahead': case 'last': case 'cotangent': case 'result': return false;
      case 'map': case 'reduce': return nodeArguments(n).every(isStatic);
    }
  });

  const isGiven = memo((id): boolean => {
    const n = node(id);
    return n.kind !== 'result' && n.kind !== 'cotangent' && nodeArguments(n).every(isGiven);
  });

  const literal = memo((id): number | undefined => {
    const n = node(id);
    switch (n.kind) {
      case 'literal': return n.value;
      case 'size': return sizeOf(n.axis);
      case 'map': {
        const args = n.args.map(literal);
        if (args.some((x) => x === undefined)) return undefined;
        return math[n.fn].f64(args[0] ?? NaN, args[1] ?? NaN);
      }
      case 'head': case 'heads': case 'param': case 'input': case 'cotangent': case 'result': case 'reduce': case 'past': case 'ahead':
      case 'last': return undefined;
    }
  });

  const beyond = memo((id): number | undefined => {
    const n = node(id);
    switch (n.kind) {
      case 'input': case 'cotangent': case 'result': case 'ahead': case 'last': return 0;
      case 'past': return beyond(n.arg);
      case 'reduce': {
        const each = beyond(n.arg);
        return each === undefined || n.op !== 'sum' ? each : each * sizeOf(n.axis);
      }
      case 'map': {
        const [x, y = x] = n.args.map(beyond);
        const value = x === undefined || y === undefined ? NaN : math[n.fn].f64(x, y);
        return value === 0 || (Math.abs(value) > 1 / MOST && Math.abs(value) < MOST) ? value : undefined;
      }
      case 'literal': case 'size': case 'head': case 'heads': case 'param': return literal(id);
    }
  });

  const paddingBy = (loadsAlone: boolean) => {
    const found = memo((id: NodeId): Padding => {
      const n = node(id);
      const value = literal(id);
      if (value !== undefined) return value === 0 ? 'zero' : Number.isFinite(value) ? 'finite' : 'unknown';
      switch (n.kind) {
        case 'input': case 'cotangent': case 'result': case 'ahead': case 'last': return 'zero';
        case 'literal': case 'size': case 'head': case 'heads': case 'param': return 'finite';
        case 'reduce': case 'past': return found(n.arg);
        case 'map': {
          const args = n.args.map(found);
          if (args.includes('unknown')) return 'unknown';
          if (n.fn === 'div' && isNonZero(loadsAlone ? beyond(n.args[1]) : literal(n.args[1]))) return args[0];
          const fn = math[n.fn];
          const [x, y = x] = args.map((arg) => (arg === 'zero' ? ZERO : ANY));
          const { lo, hi } = fn.range(x, y, n.args[0] === n.args[1]);
          if (lo === 0 && hi === 0) return 'zero';
          return fn.total || (loadsAlone && beyond(id) !== undefined) ? 'finite' : 'unknown';
        }
      }
    });
    return found;
  };

  const reaches = (kind: ScanNode['kind']) => {
    const found = memo((id: NodeId): boolean => node(id).kind === kind || nodeArguments(node(id)).some(found));
    return found;
  };

  return {
    builder, node, home, isStatic, isGiven, literal, padding: paddingBy(false), paddingMade: paddingBy(true),
    readsBack: reaches('past'), readsAhead: reaches('ahead'),
    axesOf: (id) => builder.axesOf(id),
    results(ids) {
      const found = pairs<true>();
      const seen = new Set<NodeId>();
      const visit = (id: NodeId): void => {
        if (seen.has(id)) return;
        seen.add(id);
        const n = node(id);
        if (n.kind === 'result') found.set(n.stage, n.slot, true);
        nodeArguments(n).forEach(visit);
      };
      ids.forEach(visit);
      return found;
    },
  };
}

function isNonZero(x: number | undefined): boolean {
  return x !== undefined && x !== 0;
}

/** literal * product of `scalars` (values without axes) * base (undefined: 1). */
export interface Factored {
  readonly literal: number;
  readonly scalars: readonly NodeId[];
  readonly base: NodeId | undefined;
}

/** Takes the factors without axes out of a vector, so that they can be applied to accumulators or scores. */
export function factored(graph: Graph, id: NodeId): Factored {
  const { builder } = graph;
  let constant = 1;
  const scalars: NodeId[] = [];
  const vectors: NodeId[] = [];
  const visit = (at: NodeId): void => {
    const value = graph.literal(at);
    const n = graph.node(at);
    if (value !== undefined) constant *= value;
    else if (graph.axesOf(at).length === 0) scalars.push(at);
    else if (n.kind === 'map' && n.fn === 'neg') {
      constant = -constant;
      visit(n.args[0]);
    } else if (n.kind === 'map' && n.fn === 'mul') n.args.forEach(visit);
    else if (n.kind === 'map' && n.fn === 'div' && graph.axesOf(n.args[1]).length === 0) {
      const divisor = graph.literal(n.args[1]);
      if (divisor !== undefined) constant /= divisor;
      else scalars.push(builder.map('div', builder.literal(1), n.args[1]));
      visit(n.args[0]);
    } else vectors.push(at);
  };
  visit(id);
  const axes = unionAxes(...vectors.map((v) => graph.axesOf(v)));
  if (axes.length === 0) return { literal: constant, scalars, base: undefined };
  return { literal: constant, scalars, base: builder.product(vectors) };
}
