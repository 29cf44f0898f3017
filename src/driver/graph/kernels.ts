import { overflows } from '../../backends/cuda/chunk.js';
import { chunkFor, type WgslCapabilities } from '../../backends/wgsl/capabilities.js';
import type { Code } from '../../diagnostics/codes.js';
import { diagnostic, distinct } from '../../diagnostics/diagnostic.js';
import type { IoDtype } from '../../ir/common/dtype.js';
import type { Flow } from '../../ir/flow/flow.js';
import type { Graph } from '../../ir/graph/graph.js';
import type { PlanNames } from '../../ir/plan/names.js';
import type { Plan, Target } from '../../ir/plan/plan.js';
import { verifyPlan } from '../../ir/plan/verify.js';
import { clustersOf } from '../../passes/cluster/cluster.js';
import type { Clusters } from '../../passes/cluster/kernel.js';
import { adjointOf } from '../../passes/flow/adjoint.js';
import { flowOf, isRefused, type Refusal } from '../../passes/flow/flow.js';
import { kernelsOf, type Lowered } from '../../passes/kernels/kernels.js';
import { namesOf } from '../../passes/kernels/names.js';
import { withoutPicks } from '../../passes/kernels/picks.js';
import { countedBySlots } from '../../passes/kernels/counted.js';
import { withExactProducts } from '../../passes/kernels/exact-products.js';
import { forKernels } from '../../passes/kernels/results.js';
import { briefList } from '../../support/brief.js';
import { verified } from '../../support/verified.js';
import type { Host } from '../host.js';
import { compilerVersion, templatesOf } from '../installed.js';
import { ownParts } from '../parts.js';
import type { Failed } from '../problem.js';
import type { Source } from '../session.js';

/** A layer or mixture on its way to kernels. */
export interface LoweredGraph {
  readonly flow: Flow;
  readonly clusters: Clusters;
  readonly lowered: Lowered;
  readonly names: PlanNames;
}

/** Graph -> Flow -> kernels -> Tile in f32, or why there are none yet. `backward`: gradients too. */
export function lowerGraph(graph: Graph, backward: boolean, chunk: number): LoweredGraph | Failed {
  const made = clustered(graph, { backward, dtype: 'f32' });
  return 'flow' in made ? tiled(graph, made, chunk) : made;
}

/** The same of a Flow, without gradients yet, that was made of a graph. */
export function lowerFlow(subject: Subject, flow: Flow, backward: boolean, chunk: number): LoweredGraph | Failed {
  const made = clusteredFlow(subject, flow, { backward, dtype: 'f32' });
  return 'flow' in made ? tiled(subject, made, chunk) : made;
}

type Clustered = Pick<LoweredGraph, 'flow' | 'clusters'>;

/** What kernels are made for: its name and what is said of it. */
type Subject = Pick<Graph, 'name' | 'doc'>;

/** What does not depend on the rows of a block. */
function clustered(graph: Graph, asked: Asked): Clustered | Failed {
  const made = flowOf(graph);
  return isRefused(made) ? unmade(graph, made.refusals) : clusteredFlow(graph, made, asked);
}

type Asked = Pick<KernelRequest, 'backward' | 'dtype'>;

function clusteredFlow(subject: Subject, made: Flow, { backward, dtype }: Asked): Clustered | Failed {
  const there = countedBySlots(withoutPicks(made));
  const whole = backward ? adjointOf(there) : there;
  if (isRefused(whole)) return unmade(subject, whole.refusals);
  const flow = forKernels(dtype === 'f32' ? whole : withExactProducts(whole));
  const clusters = clustersOf(flow);
  return isRefused(clusters) ? unmade(subject, clusters.refusals) : { flow, clusters };
}

function tiled(graph: Subject, { flow, clusters }: Clustered, chunk: number): LoweredGraph | Failed {
  const lowered = kernelsOf(flow, clusters, chunk);
  if (isRefused(lowered)) return unmade(graph, lowered.refusals);
  const names = namesOf(flow, lowered);
  return isRefused(names) ? unmade(graph, names.refusals) : { flow, clusters, lowered, names };
}

/** Each place once. */
function unmade({ name }: Subject, refusals: readonly Refusal[]): Failed {
  return {
    diagnostics: distinct(refusals.map(({ reason, origin, form }) => {
      const { code, what, help }: Unmade = UNMADE[form ?? 'other'];
      return diagnostic(code, `\`${name}\` has no kernels${what}`, origin, reason, { help: [...help, INTERPRETED] });
    })),
  };
}

const INTERPRETED = '--backend oracle, and a build without --target, run it in the interpreter, with gradients';

interface Unmade {
  readonly code: Code;
  readonly what: string;
  readonly help: readonly string[];
}

const UNMADE = {
  past: { code: 'E812', what: ': no device has one for what looks back', help: [] },
  choice: {
    code: 'E813', what: ' for this choice',
    help: ['what each token chooses by itself has some, as in `top[E, 2](s)`, and what is chosen among all tokens of the call'],
  },
  other: { code: 'E815', what: ' yet', help: ['`lmoec check FILE --emit clusters` shows which kernels it is to have'] },
} as const satisfies Readonly<Record<NonNullable<Refusal['form']> | 'other', Unmade>>;

/** Where one declaration of several has no kernels, another one can be asked for. */
function otherNames(source: Source, { name }: Graph, failed: Failed): Failed {
  const others = ownParts(source).flatMap((part) => (part.name === name || part.kind === 'model' ? [] : [part.name]));
  if (!('diagnostics' in failed) || others.length === 0) return failed;
  const [last] = failed.diagnostics.slice(-1);
  const help = [...last.help, `--name chooses another declaration of this file: ${briefList(others)}`];
  return { diagnostics: [...failed.diagnostics.slice(0, -1), { ...last, help }] };
}

/** What to make of a layer or mixture. */
export interface KernelRequest {
  readonly target: Target;
  readonly dtype: IoDtype;
  readonly backward: boolean;
  /** The command as generated files name it. */
  readonly command: string;
  /** What an adapter offers; WebGPU's defaults if not given. */
  readonly capabilities?: WgslCapabilities;
}

export interface CompiledGraph extends LoweredGraph {
  readonly plan: Plan;
  /** Kernel sources by the names in the plan. */
  readonly files: ReadonlyMap<string, string>;
}

/** Rows of a block: tensor cores want 64. Other kernels may have fewer, where their tiles would not fit in shared memory. */
const CUDA_CHUNKS = { f32: [64, 32, 16], bf16: [64], f16: [64] } as const;

/** Graph -> kernels and plan for one target and dtype. Same input, same output. */
export async function compileGraph(host: Host, source: Source, graph: Graph, request: KernelRequest): Promise<CompiledGraph | Failed> {
  const whole = clustered(graph, request);
  const made = 'flow' in whole ? await compiled(host, source, graph, whole, request) : whole;
  return 'plan' in made ? made : otherNames(source, graph, made);
}

/** The same of a Flow. */
export async function compileFlow(
  host: Host, source: Source, subject: Subject, flow: Flow, request: KernelRequest,
): Promise<CompiledGraph | Failed> {
  const whole = clusteredFlow(subject, flow, request);
  return 'flow' in whole ? compiled(host, source, subject, whole, request) : whole;
}

async function compiled(
  host: Host, source: Source, graph: Subject, whole: Clustered, request: KernelRequest,
): Promise<CompiledGraph | Failed> {
  const { target, dtype, command, capabilities } = request;
  const provenance: Plan['source'] = { hash: source.hash, compiler: compilerVersion(host), command };
  const options = { dtype, source: provenance, doc: graph.doc };
  if (target === 'webgpu') {
    const { emitWgsl } = await import('../../backends/wgsl/emit.js');
    const made = tiled(graph, whole, chunkFor(new Map(), capabilities));
    if (!('lowered' in made)) return made;
    return named(made, emitWgsl(made.lowered.module, { ...options, capabilities, templates: templatesOf(host, 'wgsl') }));
  }
  const { emitCuda } = await import('../../backends/cuda/emit.js');
  const compile = (chunk: number): CompiledGraph | Failed => {
    const made = tiled(graph, whole, chunk);
    return 'lowered' in made
      ? named(made, emitCuda(made.lowered.module, { ...options, target, templates: templatesOf(host, 'cuda') })) : made;
  };
  const [first, ...others] = CUDA_CHUNKS[dtype];
  let made = compile(first);
  for (const chunk of others) if ('plan' in made && overflows(made.plan, made.lowered.module)) made = compile(chunk);
  return made;
}

function named(
  made: LoweredGraph, { plan: unnamed, files }: { readonly plan: Plan; readonly files: ReadonlyMap<string, string> },
): CompiledGraph {
  const plan: Plan = { ...unnamed, names: made.names };
  return { ...made, plan: verified(`the plan of ${plan.scan}`, plan, verifyPlan(plan)), files };
}
