import type { Span } from '../common/span.js';
import type { Graph, GraphNode } from './graph.js';
import { operandsOf } from './operands.js';

const tokenwise = new WeakMap<Graph, boolean>();

/** Does a part look at one token at a time, and neither count nor fold them? Then it may be called wherever its arguments are. */
export function isTokenwise(graph: Graph): boolean {
  const known = tokenwise.get(graph);
  if (known !== undefined) return known;
  const found = graph.losses.length === 0 && graph.updates.length === 0 && graph.nodes.every((node) => {
    switch (node.kind) {
      case 'count': case 'before': case 'conv': case 'past': case 'rope': case 'sinkhorn': return false;
      case 'index': return node.over === undefined;
      case 'fold': case 'top': return node.silent.length === 0;
      case 'call': {
        const { part } = graph.instances[node.instance];
        return part.kind !== 'scan' && isTokenwise(part);
      }
      default: return true;
    }
  });
  tokenwise.set(graph, found);
  return found;
}

/** Where a part reads tokens before this one, itself or below. */
export function lookingBack(graph: Graph): Span | undefined {
  for (const node of graph.nodes) {
    if (node.kind === 'before' || node.kind === 'conv' || node.kind === 'past') return node.origin;
    const part = node.kind === 'call' ? graph.instances[node.instance].part : undefined;
    const found = part === undefined ? undefined : part.kind === 'scan' ? node.origin : lookingBack(part);
    if (found !== undefined) return found;
  }
  return undefined;
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
