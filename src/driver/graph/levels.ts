import { printFlow } from '../../ir/flow/print.js';
import type { Graph } from '../../ir/graph/graph.js';
import { printGraph } from '../../ir/graph/print.js';
import { adjointOf } from '../../passes/flow/adjoint.js';
import { flowOf, isRefused } from '../../passes/flow/flow.js';

/** The meaning in training, and the same with its calls inlined and its gradients; or why it has no such form. */
export function levelsText(graph: Graph, levels: readonly string[]): string {
  const texts = [...(levels.includes('graph') ? [printGraph(graph)] : []), ...(levels.includes('flow') ? [flowText(graph)] : [])];
  return texts.join('\n');
}

function flowText(graph: Graph): string {
  const flow = flowOf(graph);
  const made = isRefused(flow) ? flow : adjointOf(flow);
  return isRefused(made) ? made.refusals.map(({ reason }) => `${graph.name} has no flow: ${reason}\n`).join('') : printFlow(made);
}
