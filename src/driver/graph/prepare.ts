import type { Diagnostic } from '../../diagnostics/diagnostic.js';
import { hasErrors } from '../../diagnostics/diagnostic.js';
import { coneOf } from '../../interp/graph/scope.js';
import type { Graph } from '../../ir/graph/graph.js';
import { signatureOf } from '../../ir/graph/signature.js';
import type { Host } from '../host.js';
import { withUnsaid, type PartInfo, type Settings } from '../parts.js';
import { problem, type Problem } from '../problem.js';
import { readInputs } from '../run/inputs.js';
import type { AnyTensor } from '../run/validate.js';
import { isProblem, type Source } from '../session.js';
import { drawnTensors } from './draw.js';
import { givenCall, rangeWarnings } from './given.js';
import { runGraph, type GraphReport } from './run.js';
import { settingsTold } from './settings.js';
import { elementsOf } from './shape.js';

export interface GraphRequest {
  /** In place of those of the header. */
  readonly settings: Settings;
  readonly training: boolean;
  /** Of random tensors, and of draws in the formula. */
  readonly seed: number;
  readonly from:
    | { readonly file: string }
    | { readonly batch: number; readonly tokens: number; readonly lengths: readonly number[] | undefined };
}

export type GraphFailure = { readonly problems: readonly Problem[] } | { readonly diagnostics: readonly Diagnostic[] };

export interface PreparedGraph {
  readonly warnings: readonly string[];
  run(): GraphReport | { readonly diagnostics: readonly Diagnostic[] };
}

/** Reads or draws the tensors of a run and checks them; nothing has been computed then. */
export function prepareGraph(host: Host, source: Source, part: PartInfo, request: GraphRequest): PreparedGraph | GraphFailure {
  const { from, training, seed } = request;
  const file = 'file' in from ? readInputs(host, from.file) : undefined;
  if (file !== undefined && isProblem(file)) return { problems: [file] };
  const graph = graphFor(source, part, request.settings, training, file);
  if ('diagnostics' in graph) return graph;
  const large = memoryProblem(host, graph);
  if (large !== undefined) return { problems: [large] };
  const tensors = file ?? ('file' in from ? new Map() : drawnTensors(graph, { ...from, seed }));
  const signature = signatureOf(graph);
  const call = givenCall(signature, tensors, unread(graph));
  if ('problems' in call) return call;
  return { warnings: rangeWarnings(signature, call), run: () => runGraph(graph, call, tensors, seed) };
}

/** At the settings that were given, and those that the shapes of a file tell. */
function graphFor(
  source: Source, part: PartInfo, given: Settings, training: boolean, file: ReadonlyMap<string, AnyTensor> | undefined,
): Graph | { readonly diagnostics: readonly Diagnostic[] } {
  const made = source.parts.elaborate(part.name, withUnsaid(part, given), training);
  if (made.graph === undefined || hasErrors(made.diagnostics)) return { diagnostics: made.diagnostics };
  if (file === undefined) return made.graph;
  const told = settingsTold(made.graph, given, file);
  const again = source.parts.elaborate(part.name, withUnsaid(part, told), training);
  return again.graph === undefined || hasErrors(again.diagnostics) ? { diagnostics: again.diagnostics } : again.graph;
}

/** Inputs that only losses read. */
function unread(graph: Graph): ReadonlySet<string> {
  const needed = new Set(coneOf(graph, graph.outputs.map(({ value }) => value)).flatMap((id) => {
    const node = graph.nodes[id];
    return node.kind === 'input' ? [graph.inputs[node.input].name] : [];
  }));
  return new Set(graph.inputs.map(({ name }) => name).filter((name) => !needed.has(name)));
}

/** The interpreter holds every param and its gradient in float64; what lies between comes on top. */
function memoryProblem(host: Host, graph: Graph): Problem | undefined {
  const numbers = signatureOf(graph).params.reduce((sum, tensor) => sum + elementsOf(tensor), 0);
  const bytes = 3 * 8 * numbers;
  if (bytes <= host.memory) return undefined;
  const gib = (n: number) => `${(n / 2 ** 30).toFixed(1)} GiB`;
  return problem(
    'E509',
    `\`${graph.name}\` has ${numbers.toLocaleString('en-US')} params: the interpreter would need ${gib(bytes)}, `
    + `this machine has ${gib(host.memory)}`,
    'run it at smaller sizes: --size D=64,W=256; the structure stays',
  );
}
