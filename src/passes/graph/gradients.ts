import type { Graph, GraphNode } from '../../ir/graph/graph.js';

/** What a gradient reaches: nodes of a graph, and so its inputs and params. */
export interface Reached {
  readonly inputs: ReadonlySet<number>;
  readonly params: ReadonlySet<number>;
}

const known = new WeakMap<Graph, Map<string, Reached>>();

/** What an output of a part, or its losses, send gradients to. */
export function reachedFrom(graph: Graph, from: number | 'losses'): Reached {
  const made = known.get(graph) ?? new Map<string, Reached>();
  known.set(graph, made);
  const found = made.get(String(from));
  if (found !== undefined) return found;
  const roots = from === 'losses' ? graph.losses.map((loss) => loss.value) : [graph.outputs[from].value];
  const reached = reach(graph, roots, from === 'losses');
  made.set(String(from), reached);
  return reached;
}

/** `losses`: those of the parts below count as well. */
export function reach(graph: Pick<Graph, 'nodes' | 'instances'>, roots: readonly number[], losses: boolean): Reached {
  const { nodes, instances } = graph;
  const seen = new Set<number>();
  const inputs = new Set<number>();
  const params = new Set<number>();
  const open = [...roots];
  if (losses) {
    for (const node of nodes) {
      const part = node.kind === 'call' ? instances[node.instance].part : undefined;
      if (node.kind === 'call' && part !== undefined
        && part.kind !== 'scan') for (const input of reachedFrom(part, 'losses').inputs) open.push(node.args[input]);
    }
  }
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    const node = nodes[id];
    if (node.kind === 'input') inputs.add(node.input);
    if (node.kind === 'param') params.add(node.param);
    open.push(...sources(nodes, instances, node));
  }
  return { inputs, params };
}

/** The operands that a gradient of the node goes on to. */
function sources(nodes: readonly GraphNode[], instances: Graph['instances'], node: GraphNode): readonly number[] {
  switch (node.kind) {
    case 'map': return node.fn === 'floor' || node.fn === 'ceil' || node.fn === 'round' || node.fn === 'sign' ? [] : node.args;
    case 'contract': return [node.left, node.right];
    case 'fold': case 'restrict': case 'lift': case 'pick': case 'before': case 'past': case 'dropout': case 'f32': return [node.arg];
    case 'softmax': return node.sink === undefined ? [node.arg] : [node.arg, node.sink];
    case 'conv': return [node.arg, node.weight];
    case 'rope': return [node.arg, node.frequency];
    case 'result': {
      const call = nodes[node.call];
      if (call.kind !== 'call') return [];
      const { part } = instances[call.instance];
      if (part.kind === 'scan') return call.args;
      return [...reachedFrom(part, node.output).inputs].map((input) => call.args[input]);
    }
    case 'literal': case 'input': case 'param': case 'count': case 'index': case 'normal': case 'uniform': case 'call': return [];
    // Choices have no gradient, and what only counts or orders has none.
    case 'top': case 'compare': case 'logic': case 'mask': case 'number': case 'sinkhorn': case 'stop': return [];
  }
}
