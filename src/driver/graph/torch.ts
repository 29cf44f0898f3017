import { hasErrors } from '../../diagnostics/diagnostic.js';
import type { PackagePart } from '../../emit/torch/part/package.js';
import { forbiddenParam } from '../../emit/torch/part/functions.js';
import { partSignature, type PartSignature } from '../../emit/torch/part/part.js';
import { lastName, MODES, type Mode } from '../../emit/torch/part/program.js';
import type { Graph } from '../../ir/graph/graph.js';
import { paramsOf } from '../../ir/graph/paths.js';
import { signatureOf } from '../../ir/graph/signature.js';
import { adjointOf } from '../../passes/flow/adjoint.js';
import { flowOf, isRefused } from '../../passes/flow/flow.js';
import type { Host } from '../host.js';
import type { Declaration, PythonRequest } from '../kind.js';
import { formulaOf, settingsFor, withUnsaid, type Settings } from '../parts.js';
import { problem, type Failed } from '../problem.js';
import { defaultDtype } from '../targets.js';
import { dividedFlows, portionPlans } from './divided.js';
import { compileGraph, type CompiledGraph } from './kernels.js';

type Graphs = Readonly<Record<Mode, Graph>>;

/**
 * What a Python package has of a layer or mixture: plans and the reference in training and outside, and the same formula at small sizes.
 */
export async function packagePart(host: Host, declaration: Declaration, request: PythonRequest): Promise<PackagePart | Failed> {
  const { source, part } = declaration;
  const [given, ...others] = request.given;
  if (others.length > 0) return problem(
    'E403', `a package has \`${part.name}\` at one set of sizes`, 'give one --size, and build a package of its own for each with --package',
  );
  const own = withUnsaid(part, settingsFor(part, given));
  const graphs = graphsAt(declaration, own);
  if ('diagnostics' in graphs) return graphs;
  const forbidden = forbiddenParam(paramsOf(graphs.train).map(({ path }) => path));
  if (forbidden !== undefined) return problem(
    'E705', `\`${part.name}\` has a param \`${forbidden}\`, and every module of torch has something else of that name`, 'rename the param',
  );
  const modes = request.evalOnly ? ['eval'] as const : MODES;
  const plans: { readonly mode: Mode; readonly made: CompiledGraph }[] = [];
  for (const target of request.targets) for (const dtype of request.dtypes ?? [defaultDtype(target)]) for (const mode of modes) {
    const made = await compileGraph(host, source, graphs[mode], { target, dtype, command: request.command, backward: !request.evalOnly });
    if (!('plan' in made)) return made;
    plans.push({ mode, made });
    await host.breathe();
  }
  const io = ioOf(plans.map(({ made }) => made));
  const portions = await portionPlans(host, declaration, graphs, request);
  if (!('length' in portions)) return portions;
  const signature = partOf(declaration, graphs, io);
  if (signature === undefined) throw new Error(`${part.name} has kernels and no flow`);
  return {
    signature, formula: formulaOf(declaration),
    plans: [...plans, ...portions].map(({ mode, made: { plan, files } }) => ({ mode, plan, files })),
    small: smallPart(declaration, graphs, own, io),
  };
}

export function graphsAt({ source, part }: Declaration, settings: Settings): Graphs | Extract<Failed, { diagnostics: object }> {
  const [train, other] = [true, false].map((training) => source.parts.elaborate(part.name, settings, training));
  const diagnostics = [...train.diagnostics, ...other.diagnostics];
  if (train.graph === undefined || other.graph === undefined || hasErrors(diagnostics)) return { diagnostics };
  return { train: train.graph, eval: other.graph };
}

/** Tensors of users that kernels have in the dtype of a build. */
export function ioOf(made: readonly Pick<CompiledGraph, 'names' | 'lowered'>[]): (name: string) => boolean {
  const names = new Set(made.flatMap(({ names: { given, results }, lowered: { module } }) => {
    const io = new Set(module.buffers.filter(({ dtype }) => dtype === 'io').map(({ name }) => name));
    return [
      ...Object.entries(given).flatMap(([tensor, source]) => (source.kind === 'user' && io.has(tensor) ? [source.name] : [])),
      ...Object.entries(results['forward'] ?? {}).flatMap(([name, { tensors }]) => (
        tensors.some((tensor) => io.has(tensor)) ? [name] : []
      )),
    ];
  }));
  return (name) => names.has(name);
}

/** Its reference, or nothing where its flow is refused. */
export function partOf({ part: { kind } }: Declaration, graphs: Graphs, io: (name: string) => boolean): PartSignature | undefined {
  const flows = MODES.map((mode) => flowOf(graphs[mode])).flatMap((flow) => (isRefused(flow) ? [] : [flow]));
  const [train, other] = flows.map(adjointOf);
  if (train === undefined || other === undefined || isRefused(train) || isRefused(other)) return undefined;
  return partSignature(
    kind, signatureOf(graphs.train), { train, eval: other }, paramsOf(graphs.train), io, dividedFlows({ train: flows[0], eval: flows[1] }),
  );
}

/** Sizes that axes get in turn for what a package tests on the CPU; numbers of choices become small with them. */
const SMALL = [6, 5, 4, 7];

/** The same formula at small sizes: tests of a package would take gigabytes at those of real models. */
function smallPart(declaration: Declaration, graphs: Graphs, settings: Settings, io: (name: string) => boolean): PartSignature | undefined {
  const made = graphsAt(declaration, smallSettings(declaration, graphs.train, settings));
  return 'diagnostics' in made ? undefined : partOf(declaration, made, io);
}

/** A setting stays as it is where the formula is none with a smaller one. */
export function smallSettings(declaration: Declaration, graph: Graph, settings: Settings): Settings {
  const axes = new Set(signatureOf(graph).required.flatMap((tensor) => (
    (tensor.sizes ?? []).map((size, i) => `${lastName(tensor.axes[i])} ${size}`)
  )));
  const large = [...graph.settings].flatMap(([name, value]) => (
    typeof value === 'number' && Number.isInteger(value) && value > 2 ? [{ name, value, isAxis: axes.has(`${name} ${value}`) }] : []
  ));
  let small = settings;
  let turn = 0;
  // How many are chosen first: of an axis there are no fewer.
  for (const { name, value, isAxis } of [...large.filter((one) => !one.isAxis), ...large.filter((one) => one.isAxis)]) {
    const tried = new Map<string, number | string>([...small, [name, Math.min(value, isAxis ? SMALL[turn % SMALL.length] : 2)]]);
    const made = graphsAt(declaration, tried);
    if ('diagnostics' in made || partOf(declaration, made, () => true) === undefined) continue;
    small = tried;
    if (isAxis) turn++;
  }
  return small;
}
