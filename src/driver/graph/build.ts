import { hasErrors } from '../../diagnostics/diagnostic.js';
import { graphSurface } from '../../emit/bindings/graph-surface.js';
import { flowJson } from '../../ir/flow/json.js';
import type { Graph } from '../../ir/graph/graph.js';
import { graphJson } from '../../ir/graph/json.js';
import { signatureOf } from '../../ir/graph/signature.js';
import { printTiles } from '../../ir/tile/print.js';
import { updateAlone } from '../../passes/flow/update-alone.js';
import { jsonText } from '../../support/text.js';
import type { Host } from '../host.js';
import { compilerVersion } from '../installed.js';
import type { BuildRequest, Built, Declaration } from '../kind.js';
import { cudaJobs, type CudaJob } from '../nvcc.js';
import { settingsFor, withUnsaid } from '../parts.js';
import type { Failed } from '../problem.js';
import { defaultDtype, variantFolder } from '../targets.js';
import { compileGraph, type CompiledGraph } from './kernels.js';

type Program = 'train' | 'eval';

/** Kernels of one program for one target and dtype. */
interface Variant {
  /** `webgpu.f32/train` */
  readonly folder: string;
  readonly made: CompiledGraph;
}

/** The graphs of a layer, mixture or model, in training and outside, which the interpreter runs; and kernels for the targets. */
export async function buildGraph(host: Host, declaration: Declaration, request: BuildRequest): Promise<Built | Failed> {
  const { source, part } = declaration;
  const { given, command, evalOnly } = request;
  const own = withUnsaid(part, settingsFor(part, given));
  const [training, other] = [true, false].map((mode) => source.parts.elaborate(part.name, own, mode));
  const diagnostics = [...training.diagnostics, ...other.diagnostics];
  if (training.graph === undefined || other.graph === undefined || hasErrors(diagnostics)) return { diagnostics };
  const graphs = evalOnly ? { eval: other.graph } : { train: training.graph, eval: other.graph };
  const variants = await variantsOf(host, declaration, request, graphs);
  if (!Array.isArray(variants)) return variants;
  const folders = [...new Set(variants.map(({ made }) => variantFolder(made.plan)))];
  const levels = new Set(request.levels);
  return {
    ...declaration,
    files: new Map([
      ['train.json', `${graphJson(training.graph)}\n`], ['eval.json', `${graphJson(other.graph)}\n`],
      ...updateFile(variants), ...variants.flatMap((variant) => filesOf(variant, part.name, levels)),
    ]),
    binding: graphSurface(
      signatureOf(other.graph), other.graph.settings, { compiler: compilerVersion(host), hash: source.hash, command }, folders, evalOnly,
    ),
    jobs: variants.flatMap(({ folder, made }): readonly CudaJob[] => cudaJobs(`${part.name}/${folder}/`, made.plan, made.files)),
    identity: [part.name, source.hash, [...other.graph.settings], folders, evalOnly],
    summary: folders.length === 0 ? `${part.kind}, in the interpreter; --target makes kernels where there are some`
      : variants.filter(({ folder }) => folder.endsWith('/eval')).map(({ made: { plan } }) => `${plan.target} ${plan.dtype}`).join(', '),
    text: variants.map((variant) => textOf(variant, levels)).filter((text) => text !== '').join('\n'),
  };
}

async function variantsOf(
  host: Host, { source }: Declaration, { targets, dtypes, command }: BuildRequest, graphs: Readonly<Partial<Record<Program, Graph>>>,
): Promise<Variant[] | Failed> {
  const variants: Variant[] = [];
  for (const target of targets) for (const dtype of dtypes ?? [defaultDtype(target)]) for (const program of ['train', 'eval'] as const) {
    const graph = graphs[program];
    if (graph === undefined) continue;
    const made = await compileGraph(host, source, graph, { target, dtype, command, backward: program === 'train' });
    if (!('plan' in made)) return made;
    variants.push({ folder: `${variantFolder(made.plan)}/${program}`, made });
  }
  return variants;
}

/** How buffers move after a step, for hosts of kernels of training. */
function updateFile(variants: readonly Variant[]): [string, string][] {
  const flow = variants.find(({ folder }) => folder.endsWith('/train'))?.made.flow;
  return flow?.params.some(({ buffer }) => buffer) === true ? [['update.json', `${flowJson(updateAlone(flow))}\n`]] : [];
}

function filesOf({ folder, made: { plan, files, lowered } }: Variant, name: string, levels: ReadonlySet<string>): [string, string][] {
  return [
    [`${folder}/plan.json`, `${jsonText(plan, 1)}\n`],
    ...[...files].map(([file, text]): [string, string] => [`${folder}/${file}`, text]),
    ...(levels.has('tile') ? [[`${folder}/${name}.tile.txt`, printTiles(lowered.module)] satisfies [string, string]] : []),
  ];
}

function textOf({ made: { plan, files, lowered } }: Variant, levels: ReadonlySet<string>): string {
  return [
    ...(levels.has('tile') ? [printTiles(lowered.module)] : []),
    ...(levels.has('plan') ? [`${jsonText(plan, 1)}\n`] : []),
    ...(levels.has('kernel') ? [...files].map(([name, text]) => `// ${name}\n${text}`) : []),
  ].join('\n');
}
