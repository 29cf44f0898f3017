import type { Diagnostic } from '../../diagnostics/diagnostic.js';
import { hasErrors } from '../../diagnostics/diagnostic.js';
import { coneOf } from '../../interp/graph/scope.js';
import type { Graph } from '../../ir/graph/graph.js';
import { signatureOf } from '../../ir/graph/signature.js';
import type { Host } from '../host.js';
import { withUnsaid, type PartInfo, type Settings } from '../parts.js';
import type { Problem } from '../problem.js';
import { readInputs } from '../run/inputs.js';
import type { AnyTensor } from '../run/validate.js';
import { isProblem, type Source } from '../session.js';
import { drawnTensors } from './draw.js';
import { givenCall, rangeWarnings, type GivenCall } from './given.js';
import { memoryProblem, NO_ROOM, roomOf } from './memory.js';
import { runGraph, type GraphReport } from './run.js';
import { settingsTold } from './settings.js';

export interface GraphRequest {
  /** In place of those of the header. */
  readonly settings: Settings;
  readonly training: boolean;
  /** Of random tensors, and of draws in the formula. */
  readonly seed: number;
  readonly from:
    | { readonly file: string }
    | {
      readonly batch: number; readonly tokens: number; readonly lengths: readonly number[] | undefined;
      /** Draws those of outputs too. */
      readonly cotangents: boolean;
    };
}

export type GraphFailure = { readonly problems: readonly Problem[] } | { readonly diagnostics: readonly Diagnostic[] };

export interface PreparedGraph {
  readonly warnings: readonly string[];
  readonly graph: Graph;
  readonly call: GivenCall;
  /** In the interpreter. */
  run(): GraphReport | { readonly diagnostics: readonly Diagnostic[] };
}

/** Reads or draws the tensors of a run and checks them; nothing has been computed then. */
export function prepareGraph(host: Host, source: Source, part: PartInfo, request: GraphRequest): PreparedGraph | GraphFailure {
  const { from, training, seed } = request;
  const file = 'file' in from ? readInputs(host, from.file) : undefined;
  if (file !== undefined && isProblem(file)) return { problems: [file] };
  const graph = graphFor(source, part, request.settings, training, file);
  if ('diagnostics' in graph) return graph;
  // Before anything is drawn; what a file holds fits.
  const drawn = 'file' in from ? undefined : from;
  const room = drawn === undefined ? NO_ROOM : roomOf(drawn.batch, drawn.tokens, drawn.lengths);
  const large = memoryProblem(host, graph, room);
  if (large !== undefined) return { problems: [large] };
  const tensors = file ?? ('file' in from ? new Map() : drawnTensors(graph, { ...from, seed }));
  const signature = signatureOf(graph);
  const call = givenCall(signature, tensors, unread(graph));
  if ('problems' in call) return call;
  const full = memoryProblem(host, graph, roomOf(1, 0, call.lengths));
  if (full !== undefined) return { problems: [full] };
  return { warnings: rangeWarnings(signature, call), graph, call, run: () => runGraph(graph, call, tensors, seed) };
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
