import { distinct } from '../../diagnostics/diagnostic.js';
import { printFlow } from '../../ir/flow/print.js';
import type { Graph } from '../../ir/graph/graph.js';
import { printGraph } from '../../ir/graph/print.js';
import { adjointOf } from '../../passes/flow/adjoint.js';
import { flowOf, isRefused } from '../../passes/flow/flow.js';
import type { Checked, CheckRequest, Declaration } from '../kind.js';
import { settingsFor, withUnsaid } from '../parts.js';

/** A layer, mixture or model at the settings that it has of these, in training and outside. */
export function checkGraph({ source, part }: Declaration, { given: all, levels }: CheckRequest): Checked {
  const given = withUnsaid(part, settingsFor(part, all));
  const [training, other] = [true, false].map((mode) => source.parts.elaborate(part.name, given, mode));
  const diagnostics = distinct([...training.diagnostics, ...other.diagnostics]).filter((d) => !source.diagnostics.includes(d));
  return {
    found: diagnostics.length === 0 ? [] : [{ diagnostics }],
    text: training.graph === undefined ? '' : levelsText(training.graph, levels),
  };
}

/** The meaning in training, and the same with its calls inlined and its gradients; or why it has no such form. */
function levelsText(graph: Graph, levels: readonly string[]): string {
  const texts = [...(levels.includes('graph') ? [printGraph(graph)] : []), ...(levels.includes('flow') ? [flowText(graph)] : [])];
  return texts.join('\n');
}

function flowText(graph: Graph): string {
  const flow = flowOf(graph);
  const made = isRefused(flow) ? flow : adjointOf(flow);
  return isRefused(made) ? made.refusals.map(({ reason }) => `${graph.name} has no flow: ${reason}\n`).join('') : printFlow(made);
}
