import type { Span } from '../common/span.js';
import type { Graph, GraphNode, Instance } from './graph.js';
import { operandsOf } from './operands.js';

/** What follows from the text of a part and of those below it; made once for each. */
export interface Facts {
  /** Does it look at one token at a time, and neither count nor fold them? Then it may be called wherever its arguments are. */
  readonly tokenwise: boolean;
  /** Where it reads tokens before this one. */
  readonly back: Span | undefined;
  /** Does a call do anything but give values: has it losses or updates? */
  readonly effects: boolean;
  readonly weights: boolean;
  /** Instances of it and below it, itself included, of families one each. */
  readonly instances: number;
}

const known = new WeakMap<Graph, Facts>();

export function factsOf(part: Instance['part']): Facts {
  if (part.kind === 'scan') return { tokenwise: false, back: part.origin, effects: false, weights: part.spec.params.length > 0,
    instances: 1 };
  const found = known.get(part) ?? makeFacts(part);
  known.set(part, found);
  return found;
}

function makeFacts(graph: Graph): Facts {
  const below = graph.instances.map(({ part }) => factsOf(part));
  const calls = graph.nodes.flatMap((node) => (node.kind === 'call' ? [{ node, facts: below[node.instance] }] : []));
  const effects = graph.losses.length > 0 || graph.updates.length > 0;
  const back = graph.nodes.find(({ kind }) => kind === 'before' || kind === 'conv' || kind === 'past')
    ?? calls.find(({ facts }) => facts.back !== undefined)?.node;
  return {
    tokenwise: !effects && graph.nodes.every((node) => (node.kind === 'call' ? below[node.instance].tokenwise : looksAtOneToken(node))),
    back: back?.origin,
    effects: effects || below.some((part) => part.effects),
    weights: graph.params.length > 0 || below.some((part) => part.weights),
    instances: below.reduce((sum, part) => sum + part.instances, 1),
  };
}

function looksAtOneToken(node: GraphNode): boolean {
  switch (node.kind) {
    case 'count': case 'before': case 'conv': case 'past': case 'rope': case 'sinkhorn': return false;
    case 'index': return node.over === undefined;
    case 'fold': case 'top': return node.silent.length === 0;
    default: return true;
  }
}

/** Nodes that others need, these included. */
export function reachable(nodes: readonly GraphNode[], roots: readonly number[]): ReadonlySet<number> {
  const seen = new Set<number>();
  const open = [...roots];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    open.push(...operandsOf(nodes[id]), ...nodes[id].type.restricted);
  }
  return seen;
}
