import type { Flow } from '../../ir/flow/flow.js';
import { printFlow } from '../../ir/flow/print.js';
import type { Graph } from '../../ir/graph/graph.js';
import { printGraph } from '../../ir/graph/print.js';
import { printTiles } from '../../ir/tile/print.js';
import { clustersOf } from '../../passes/cluster/cluster.js';
import { printClusters } from '../../passes/cluster/print.js';
import { adjointOf } from '../../passes/flow/adjoint.js';
import { flowOf, isRefused, type Refused } from '../../passes/flow/flow.js';
import { kernelsOf } from '../../passes/kernels/kernels.js';
import { withoutPicks } from '../../passes/kernels/picks.js';
import { countedBySlots } from '../../passes/kernels/counted.js';
import { forKernels } from '../../passes/kernels/results.js';

/**
 * The meaning in training; the same with its calls inlined and its gradients, or why it has no such form; the kernels that this is to be
 * made of, and these as tiles.
 */
export function levelsText(graph: Graph, levels: readonly string[]): string {
  const texts = [
    ...(levels.includes('graph') ? [printGraph(graph)] : []),
    ...(levels.includes('flow') ? [flowText(graph, printFlow)] : []),
    ...(levels.includes('clusters') ? [flowText(graph, (flow) => clustersText(graph, flow))] : []),
    ...(levels.includes('tile') ? [flowText(graph, (flow) => tilesText(graph, flow))] : []),
  ];
  return texts.join('\n');
}

function flowText(graph: Graph, print: (flow: Flow) => string): string {
  const flow = flowOf(graph);
  const made = isRefused(flow) ? flow : adjointOf(countedBySlots(withoutPicks(flow)));
  return isRefused(made) ? whyNot(graph, 'flow', made) : print(made);
}

function clustersText(graph: Graph, whole: Flow): string {
  const flow = forKernels(whole);
  const made = clustersOf(flow);
  return isRefused(made) ? whyNot(graph, 'kernels', made) : printClusters(flow, made);
}

/** Rows of a block of the kernels that are printed. */
const CHUNK = 64;

function tilesText(graph: Graph, whole: Flow): string {
  const flow = forKernels(whole);
  const clusters = clustersOf(flow);
  if (isRefused(clusters)) return whyNot(graph, 'kernels', clusters);
  const made = kernelsOf(flow, clusters, CHUNK);
  return isRefused(made) ? whyNot(graph, 'kernels', made) : printTiles(made.module);
}

function whyNot({ name }: Graph, what: string, { refusals }: Refused): string {
  return refusals.map(({ reason }) => `${name} has no ${what}: ${reason}\n`).join('');
}
