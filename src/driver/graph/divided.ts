import { diagnostic } from '../../diagnostics/diagnostic.js';
import type { DividedFlows } from '../../emit/torch/part/divided.js';
import { planKey } from '../../emit/torch/part/package.js';
import { MODES, type Mode } from '../../emit/torch/part/program.js';
import { ONCE, TOKEN, type Flow } from '../../ir/flow/flow.js';
import { printFlow } from '../../ir/flow/print.js';
import { elements } from '../../ir/graph/typing.js';
import type { Graph } from '../../ir/graph/graph.js';
import { adjointOf } from '../../passes/flow/adjoint.js';
import { alike, dividedIn, isDivided, type Divided } from '../../passes/flow/divide.js';
import { flowOf, isRefused, type Refusal } from '../../passes/flow/flow.js';
import { bitsOf } from '../../passes/kernels/memory.js';
import type { Host } from '../host.js';
import type { Declaration, PythonRequest } from '../kind.js';
import type { Failed } from '../problem.js';
import { defaultDtype } from '../targets.js';
import { compileFlow, type CompiledGraph } from './kernels.js';

/** A mixture in training and outside, cut in the same way. */
interface Both {
  readonly train: Divided;
  readonly route: readonly Flow[];
  readonly combine: readonly Flow[] | undefined;
  readonly columns: number;
}

/** Or why it cannot be cut. */
function bothOf(flows: Readonly<Record<Mode, Flow>>): Both | Refusal {
  const [train, other] = MODES.map((mode) => dividedIn(flows[mode]));
  if (!isDivided(train)) return train;
  if (!isDivided(other)) return other;
  if (seen(train) !== seen(other)) return { reason: 'what experts do is something else in training', origin: flows.train.values[0].origin };
  const combine = train.combine === undefined || other.combine === undefined ? undefined : alike([train.combine, other.combine]);
  return { train, route: alike([train.route, other.route]), combine, columns: Math.max(train.perToken, other.perToken) };
}

/** All that users see of how it is cut. */
function seen({ rows, scores, groups, work, sums, combine }: Divided): string {
  const text = printFlow({ ...work(elements(groups), undefined), training: false });
  return JSON.stringify([rows.map(({ name, given }) => [name, given]), scores, sums, combine === undefined, text]);
}

/** The parts of a mixture with their gradients, for printed references; or why there are none. */
export function dividedFlows(flows: Readonly<Record<Mode, Flow>>): DividedFlows | string {
  const both = bothOf(flows);
  if ('reason' in both) return both.reason;
  const { train, columns } = both;
  const { rows, scores, held, counts, ids, sums, groups, work } = train;
  const reasons: string[] = [];
  const differentiated = (flow: Flow): Flow => {
    const made = adjointOf(flow);
    if (!isRefused(made)) return made;
    reasons.push(...made.refusals.map(({ reason }) => reason));
    return flow;
  };
  const pair = ([first, second]: readonly Flow[]) => ({ train: differentiated(first), eval: differentiated(second) });
  const made: DividedFlows = {
    route: pair(both.route), experts: differentiated(work(elements(groups), undefined)),
    byIds: differentiated(work(elements(groups), columns)),
    combine: both.combine && pair(both.combine), rows, scores, held, counts, ids, sums, columns,
    local: groups.map(({ name }) => name).join('_'), isIo,
  };
  return reasons[0] ?? made;
}

function isIo(flow: Flow, name: string): boolean {
  const input = flow.inputs.find((one) => one.name === name);
  if (input !== undefined) {
    return bitsOf(flow, { domain: input.domain, kind: input.of === undefined ? 'number' : 'index', axes: input.axes }, false) === 'io';
  }
  const param = flow.params.find(({ path }) => path === name);
  if (param !== undefined) return bitsOf(flow, { domain: ONCE, kind: 'number', axes: param.axes }, true) === 'io';
  const output = flow.outputs.find((one) => one.name === name);
  return output !== undefined && bitsOf(flow, { domain: TOKEN, kind: 'number', axes: output.axes }, false) === 'io';
}

export interface PortionFlow {
  /** In which folder a package has its plans. */
  readonly key: string;
  readonly flow: Flow;
}

/** Flows of the parts, without gradients yet, for as many experts of a rank; or why there are no parts. */
export function portionFlows(graphs: Readonly<Record<Mode, Graph>>, experts: readonly number[]): readonly PortionFlow[] | Refusal {
  const [train, other] = MODES.map((mode) => flowOf(graphs[mode]));
  const refused = [train, other].find(isRefused);
  if (isRefused(train) || isRefused(other)) return refused?.refusals[0] ?? [];
  const both = bothOf({ train, eval: other });
  if ('reason' in both) return both;
  const { train: { work }, columns } = both;
  return [
    ...both.route.map((flow, i) => ({ key: `route_${MODES[i]}`, flow })),
    ...(both.combine ?? []).map((flow, i) => ({ key: `combine_${MODES[i]}`, flow })),
    ...experts.flatMap((local) => [
      { key: planKey('experts', local), flow: work(local, undefined) }, {
        key: planKey('experts_by_id', local), flow: work(local, columns),
      },
    ]),
  ];
}

export interface PortionPlan {
  readonly mode: string;
  readonly made: CompiledGraph;
}

/** Kernels of the parts, where somebody asked for them. */
export async function portionPlans(
  host: Host, { source, part }: Declaration, graphs: Readonly<Record<Mode, Graph>>,
  { experts, targets, dtypes, command, evalOnly }: PythonRequest,
): Promise<readonly PortionPlan[] | Failed> {
  const flows = experts.length === 0 || part.kind !== 'moe' ? [] : portionFlows(graphs, experts);
  if ('reason' in flows) return { diagnostics: [diagnostic(
    'E815', `\`${part.name}\` cannot be cut into parts for several ranks`, flows.origin, flows.reason,
    { help: ['leave --experts out: the whole has kernels, and each rank runs it with all experts'] },
  )] };
  const plans: PortionPlan[] = [];
  for (const target of targets) for (const dtype of dtypes ?? [defaultDtype(target)]) for (const { key, flow } of flows) {
    if (evalOnly && key.endsWith('_train')) continue;
    const made = await compileFlow(host, source, { name: flow.name, doc: '' }, flow, { target, dtype, command, backward: !evalOnly });
    if (!('plan' in made)) return made;
    plans.push({ mode: key, made });
    await host.breathe();
  }
  return plans;
}
