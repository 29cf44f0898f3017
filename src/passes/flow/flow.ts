import { flowBuilder, gather } from '../../ir/flow/build.js';
import { TOKEN, type Flow, type FlowResult } from '../../ir/flow/flow.js';
import { verifyFlow } from '../../ir/flow/verify.js';
import type { Graph } from '../../ir/graph/graph.js';
import { paramsOf } from '../../ir/graph/paths.js';
import { verified } from '../../support/verified.js';
import { gatherLosses } from './calls.js';
import { valueAt, valueOf } from './lower.js';
import { pruned } from './prune.js';
import { updatesOf } from './update.js';
import { scaled } from './scale.js';
import type { Making, Refusal, Scope } from './scope.js';

export type { Refusal } from './scope.js';

export interface Refused {
  readonly refusals: readonly Refusal[];
}

/** A Graph as a Flow, or why it is none. */
export function flowOf(graph: Graph): Flow | Refused {
  const b = flowBuilder();
  const making: Making = {
    b, value: valueOf, at: valueAt, refusals: [], losses: [], counts: [], counted: new Map(), takes: [], updated: [],
  };
  const inputs = graph.inputs.map(({ name, type, origin }) => {
    return b.input({ name, domain: TOKEN, axes: type.axes, of: type.of }, origin);
  });
  const scope: Scope = {
    making, graph, path: '', place: '', domain: TOKEN, family: [], lanes: [], some: false, before: undefined,
    there: () => undefined, named: (axis) => axis,
    input: (index) => ({ id: inputs[index], picked: [] }), made: new Map(), calls: new Map(),
  };
  calledFirst(scope);
  gatherLosses(scope);
  if (graph.updates.length > 0) making.updated.push(scope);
  const outputs = graph.outputs.map(({ name, axes, value, origin }): FlowResult => {
    const { id } = valueOf(scope, value);
    return { name, axes, value: gather(b, b.add({ kind: 'lift', arg: id }, origin), TOKEN, origin) };
  });
  const updates = making.updated.flatMap(updatesOf);
  if (making.refusals.length > 0) return { refusals: distinct(making.refusals) };
  // Those that nothing reads have gradients too: zeros.
  for (const { path, axes, buffer, origin } of paramsOf(graph)) b.param({ path, axes, buffer }, origin);
  const { domains, params, values } = b;
  const flow: Flow = {
    name: graph.name, training: graph.training, domains, inputs: b.inputs, params, scans: b.scans, values, outputs, losses: making.losses,
    counts: making.counts, checks: [], update: { takes: making.takes, results: updates }, backward: undefined,
  };
  const made = pruned(scaled(pruned(flow)));
  return verified(`the flow of ${graph.name}`, made, verifyFlow(made));
}

export function isRefused(made: object): made is Refused {
  return 'refusals' in made;
}

/** Calls in a row are inlined in that order, so that nothing is reached through a long chain. */
function calledFirst(scope: Scope): void {
  scope.graph.nodes.forEach((node, id) => {
    if (node.kind !== 'result' || node.type.restricted.length > 0) return;
    const call = scope.graph.nodes[node.call];
    if (call.kind === 'call' && call.mapped.length === 0) valueOf(scope, id);
  });
}

function distinct(refusals: readonly Refusal[]): readonly Refusal[] {
  const key = ({ reason, origin }: Refusal): string => `${reason} ${origin.file} ${origin.start}`;
  return [...new Map(refusals.map((one) => [key(one), one])).values()];
}
