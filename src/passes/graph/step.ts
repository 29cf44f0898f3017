import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import { reachable } from '../../ir/graph/facts.js';
import type { Graph, GraphNode } from '../../ir/graph/graph.js';

const known = new WeakMap<Graph, GraphNode | undefined>();

/**
 * E813 where outputs depend on other tokens of the call than those before: token by token there is no such value, so there is no program
 * `step`.
 */
export function stepProblem(graph: Graph): Diagnostic | undefined {
  const node = acrossTokens(graph);
  if (node === undefined) return undefined;
  const chooses = node.kind === 'top';
  return diagnostic('E813', `\`${graph.name}\` has no program \`step\``, node.origin,
    `${chooses ? 'chosen' : 'computed'} among tokens of the whole call`, {
    help: [
      `where it is meant for training, write it in a branch: \`if training { ... }\``,
      ...(chooses
        ? ['a choice that one token makes alone is along a named axis: `top[E, 2](s)`']
        : ['what was seen so far is `sum[past](x[past])`, or a scan']),
    ],
  });
}

/** The first node that outputs need and that chooses, folds or counts along tokens, in the part or below it. */
function acrossTokens(graph: Graph): GraphNode | undefined {
  if (known.has(graph)) return known.get(graph);
  const needed = [...reachable(graph.nodes, graph.outputs.map((output) => output.value))].sort((a,
    b) => a - b).map((id) => graph.nodes[id]);
  const found = needed.find((node) => node.kind === 'sinkhorn' || ((node.kind === 'fold' || node.kind === 'top') && node.silent.length > 0))
    ?? needed.find((node) => (node.kind === 'index' && node.over === 'tokens') || (node.kind === 'count' && node.of !== 'ranks'))
    ?? needed.flatMap((node) => belowOf(graph, node))[0];
  known.set(graph, found);
  return found;
}

function belowOf(graph: Graph, node: GraphNode): readonly GraphNode[] {
  const part = node.kind === 'call' ? graph.instances[node.instance].part : undefined;
  const found = part === undefined || part.kind === 'scan' ? undefined : acrossTokens(part);
  return found === undefined ? [] : [found];
}
