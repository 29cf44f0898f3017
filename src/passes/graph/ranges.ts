import { ANY, type Range } from '../../ir/common/range.js';
import type { Graph, GraphInput, GraphNode, GraphParam, Instance } from '../../ir/graph/graph.js';
import { math } from '../../math/index.js';

/** What intervals are read off: a graph, or one that is being made. */
export interface Ranged {
  readonly nodes: readonly GraphNode[];
  readonly inputs: readonly GraphInput[];
  readonly params: readonly GraphParam[];
  readonly instances: readonly Instance[];
}

const known = new WeakMap<Graph, readonly Range[]>();

/** Where a value is known to lie, from declared ranges and the functions used. `found` keeps what is known of earlier nodes. */
export function rangeOf(of: Ranged, id: number, found: Range[]): Range {
  while (found.length <= id) found.push(rangeOfNode(of, of.nodes[found.length], found));
  return found[id];
}

function rangesOf(graph: Graph): readonly Range[] {
  const made = known.get(graph);
  if (made !== undefined) return made;
  const found: Range[] = [];
  if (graph.nodes.length > 0) rangeOf(graph, graph.nodes.length - 1, found);
  known.set(graph, found);
  return found;
}

function rangeOfNode(of: Ranged, node: GraphNode, found: readonly Range[]): Range {
  switch (node.kind) {
    case 'literal': return { lo: node.value, hi: node.value };
    case 'input': return of.inputs[node.input].range;
    case 'param': return of.params[node.param].range;
    case 'count': return { lo: 1, hi: Infinity };
    case 'index': return { lo: 0, hi: node.over === undefined ? node.axes.reduce((n, axis) => n * axis.size, 1) - 1 : Infinity };
    case 'map': {
      if (node.fn === '%') return ANY;
      const [x, y = x] = node.args;
      return math[node.fn].range(found[x], found[y], x === y);
    }
    case 'fold': {
      const x = found[node.arg];
      switch (node.op) {
        // Nothing at all gives 0.
        case 'sum': return { lo: x.lo >= 0 ? 0 : -Infinity, hi: x.hi <= 0 ? 0 : Infinity };
        case 'mean': return { lo: Math.min(x.lo, 0), hi: Math.max(x.hi, 0) };
        case 'max': case 'min': return x;
        case 'prod': return x.lo >= 0 ? { lo: 0, hi: x.hi <= 1 ? 1 : Infinity } : ANY;
        case 'logsumexp': return { lo: x.lo, hi: Infinity };
      }
    }
    case 'contract': {
      const [x, y] = [found[node.left], found[node.right]];
      return x.lo >= 0 && y.lo >= 0 ? { lo: 0, hi: Infinity } : ANY;
    }
    case 'softmax': case 'mask': return { lo: 0, hi: 1 };
    case 'uniform': return { lo: node.lo, hi: node.hi };
    case 'restrict': case 'past': case 'stop': case 'f32': return found[node.arg];
    // 0 where there is nothing.
    case 'lift': case 'before': case 'pick': case 'dropout': return withZero(found[node.arg], node.kind === 'dropout');
    case 'number': return { lo: -Infinity, hi: (node.type.of?.size ?? Infinity) - 1 };
    case 'result': {
      const call = of.nodes[node.call];
      const part = call.kind === 'call' ? of.instances[call.instance].part : undefined;
      return part === undefined || part.kind === 'scan' ? ANY : rangesOf(part)[part.outputs[node.output].value];
    }
    case 'normal': case 'call': case 'conv': case 'rope': case 'sinkhorn': case 'top': case 'compare': case 'logic': return ANY;
  }
}

function withZero({ lo, hi }: Range, scaled: boolean): Range {
  return { lo: lo >= 0 ? 0 : scaled ? -Infinity : lo, hi: hi <= 0 ? 0 : scaled ? Infinity : hi };
}

/** `-inf..0`. */
export function rangeText({ lo, hi }: Range): string {
  return `${lo}..${hi}`.replaceAll('Infinity', 'inf');
}

/** Does one range lie within another? */
export function within(inner: Range, outer: Range): boolean {
  return inner.lo >= outer.lo && inner.hi <= outer.hi;
}
