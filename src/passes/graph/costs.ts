import type { Axis as Name } from '../../ir/common/axes.js';
import type { Graph, GraphNode, ScanPart } from '../../ir/graph/graph.js';
import { operandsOf } from '../../ir/graph/operands.js';
import type { ValueType } from '../../ir/graph/types.js';
import { elements, without } from '../../ir/graph/typing.js';
import { mostChosen, mostRead } from './counts.js';

/** What one token costs. Values that exist once a sequence, a call or in all cost nothing here. */
export interface Costs {
  /** Operations of the formula, a product and its sum as two; a token sees half of the context on average. */
  readonly forward: number;
  /** Of the gradients, without what is computed again. */
  readonly backward: number;
  /**
   * Numbers that backward reads and that are not cheap to make again: what products, scans and convolutions give, and what parts are given.
   */
  readonly kept: number;
}

const NOTHING: Costs = { forward: 0, backward: 0, kept: 0 };

/** Of one token in sequences of `context` tokens; of families the members that are chosen. `only`: of the calls of one part alone. */
export function costsOf(graph: Graph, context: number, only?: number): Costs {
  const known = new Map<Graph, Costs>();
  const of = (part: Graph): Costs => {
    const found = known.get(part);
    if (found !== undefined) return found;
    const given = part.inputs.reduce((n, { type }) => n + (type.kind === 'number' ? elements(type.axes) : 0), 0);
    const made = sum([{ ...NOTHING, kept: given }, ...part.nodes.map((_, id) => nodeCosts(part, id, context, of))]);
    known.set(part, made);
    return made;
  };
  if (only === undefined) return of(graph);
  return sum(graph.nodes.map((node, id) => (node.kind === 'call' && node.instance === only ? nodeCosts(graph, id, context, of) : NOTHING)));
}

function nodeCosts(graph: Graph, id: number, context: number, of: (part: Graph) => Costs): Costs {
  const { nodes } = graph;
  const node = nodes[id];
  if (node.type.level !== 'token' && node.kind !== 'fold') return NOTHING;
  // What is made of values of the past alone is made once for each token, and read at all later ones.
  const seen = ofPastAlone(nodes, id) ? 1 : (context + 1) / 2;
  const own = (type: ValueType): number => present(nodes, type, seen);
  switch (node.kind) {
    case 'contract': {
      const [left, right] = [nodes[node.left], nodes[node.right]];
      const all = own({ ...node.type, axes: [...node.type.axes, ...node.axes],
        restricted: [...new Set([...left.type.restricted, ...right.type.restricted])] });
      const operands = [node.left, node.right].filter((arg) => varies(nodes, arg)).length;
      return { forward: 2 * all, backward: 2 * all * operands, kept: node.type.axes.some((axis) => axis.past) ? 0 : own(node.type) };
    }
    case 'map': case 'compare': case 'rope': case 'sinkhorn': return both(own(node.type) * (node.kind === 'rope' ? 3 : 1));
    case 'fold': case 'top': return nodes[node.arg].type.level === 'token' ? both(own(nodes[node.arg].type)) : NOTHING;
    case 'softmax': return both(4 * own(node.type));
    case 'conv': return { forward: 2 * node.taps.size * own(node.type), backward: 4 * node.taps.size * own(node.type),
      kept: own(node.type) };
    case 'call': {
      const { part, family } = graph.instances[node.instance];
      const members = family.length === 0 ? 1 : mostRead(graph, node.instance);
      return times(part.kind === 'scan' ? scanCosts(part) : of(part), members * elements(without(node.mapped, family)));
    }
    case 'literal': case 'input': case 'param': case 'count': case 'index': case 'logic': case 'mask': case 'restrict': case 'lift':
    case 'pick': case 'number': case 'before':
    case 'past': case 'normal': case 'uniform': case 'dropout': case 'stop': case 'f32': case 'result': return NOTHING;
  }
}

/** Numbers of a value at one token: `seen` of a past, or its window, and of axes that something is chosen along those chosen. */
function present(nodes: readonly GraphNode[], { axes, restricted }: ValueType, seen: number): number {
  const past = axes.filter((axis) => axis.past).reduce((n, { size }) => n * Math.min(size, seen), 1);
  const named = axes.filter((axis) => !axis.past);
  return past * Math.min(elements(named), ...restricted.map((choice) => {
    const along = named.filter((axis) => nodes[choice].type.axes.some(({ name }) => name === axis.name));
    return mostChosen(nodes, choice, along) * elements(without(named, along));
  }));
}

/** Does it depend on nothing of the token that looks back, but on values at the tokens it looks at? */
function ofPastAlone(nodes: readonly GraphNode[], id: number): boolean {
  const { kind, type } = nodes[id];
  if (kind === 'past') return true;
  if (!type.axes.some((axis) => axis.past) || kind === 'result') return false;
  return operandsOf(nodes[id]).every((arg) => nodes[arg].type.level === 'static' || ofPastAlone(nodes, arg));
}

/** Does a gradient flow into it? */
function varies(nodes: readonly GraphNode[], id: number): boolean {
  const open = [id];
  const seen = new Set<number>();
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    const { kind } = nodes[at];
    if (kind === 'param' || kind === 'call' || (kind === 'input' && nodes[at].type.kind === 'number')) return true;
    if (kind !== 'stop') open.push(...operandsOf(nodes[at]));
  }
  return false;
}

/** One head at one step, as the recurrence is written; chunks of tokens take about as many, in products. */
function scanCosts({ spec, sizes }: ScanPart): Costs {
  const count = (axes: readonly Name[]): number => axes.reduce((n, axis) => n * (sizes.get(axis) ?? 1), 1);
  const forward = spec.nodes.reduce((n, node) => {
    if (node.kind === 'map') return n + count(node.axes);
    return node.kind === 'reduce' ? n + count([...node.axes, node.axis]) : n;
  }, 0);
  return { forward, backward: 2 * forward, kept: [...spec.inputs, ...spec.outputs].reduce((n, { axes }) => n + count(axes), 0) };
}

function both(n: number): Costs {
  return { forward: n, backward: 2 * n, kept: 0 };
}

function times({ forward, backward, kept }: Costs, n: number): Costs {
  return { forward: n * forward, backward: n * backward, kept: n * kept };
}

function sum(all: readonly Costs[]): Costs {
  return all.reduce((a, b) => ({ forward: a.forward + b.forward, backward: a.backward + b.backward, kept: a.kept + b.kept }), NOTHING);
}
