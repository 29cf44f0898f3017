import type { Graph } from '../../../ir/graph/graph.js';
import { operandsOf } from '../../../ir/graph/operands.js';
import { lossPathsOf, paramsOf } from '../../../ir/graph/paths.js';
import { costsOf, type Costs } from '../../../passes/graph/costs.js';
import { countsOf, instanceCounts, type Counts } from '../../../passes/graph/counts.js';
import { choicesOf, type ChoiceText } from './choices.js';
import { axesText } from './axes.js';
import type { KernelsText } from './kernels.js';
import { partsOf, type PartText } from './parts.js';
import { stackOf, type StackRow } from './stack.js';

/** What is said of a layer, mixture or model. */
export interface GraphExplanation {
  readonly name: string;
  readonly kind: Graph['kind'];
  readonly place: string;
  readonly doc: string;
  readonly settings: Readonly<Record<string, number | string>>;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Calls in the order of the text, like turns together. */
  readonly stack: readonly StackRow[];
  /** What is called, with its shapes. */
  readonly parts: readonly PartText[];
  /** Everything that is chosen, with the part that chooses. */
  readonly choices: readonly ChoiceText[];
  readonly losses: readonly string[];
  readonly counts: Counts;
  /**
   * Total and active without params that are only picked from (an embedding that ids are looked up in), and without all params along that
   * axis.
   */
  readonly withoutEmbedding: { readonly params: number; readonly active: number } | undefined;
  readonly withoutVocabulary: { readonly params: number; readonly active: number } | undefined;
  readonly costs: Costs;
  /** Params and operations of the parts, by name, the largest first. */
  readonly shares: readonly Share[];
  readonly call: { readonly batch: number; readonly tokens: number };
  readonly bytes: Bytes;
  /** For one target, or why there are none yet; undefined: nobody asked. */
  readonly kernels?: KernelsText | { readonly why: readonly string[] };
}

export interface Share {
  readonly name: string;
  readonly part: string;
  readonly times: number;
  readonly params: number;
  readonly active: number;
  readonly forward: number;
}

/** In bytes, with params and values in 16 bits but for those that are f32. */
export interface Bytes {
  readonly weights: number;
  /** Of one sequence of the call: caches and states. */
  readonly cache: number;
  /**
   * Of one token of the call, at least: params that its tokens need, read once (and their gradients written, backward), and each value that
   * backward reads, written and read once (backward: read, with a gradient that is written and read).
   */
  readonly forward: number;
  readonly backward: number;
  /** Read to decode one token of one sequence after the tokens of the call. */
  readonly decode: number;
  /** Params, gradients, and the f32 copy and two moments of AdamW: 16 bytes a param. */
  readonly optimiser: number;
  /** Values that backward reads, for the tokens of the call. */
  readonly activations: number;
}

export function explainGraph(graph: Graph, call: { readonly batch: number; readonly tokens: number }, place: string): GraphExplanation {
  const [counts, costs] = [countsOf(graph), costsOf(graph, call.tokens)];
  const all = paramsOf(graph).map((param) => ({ ...param, size: param.axes.reduce((n, { size }) => n * size, 1) }));
  const weights = all.reduce((n, { size, f32 }) => n + size * (f32 ? 4 : 2), 0);
  const tokens = call.batch * call.tokens;
  // With many tokens, all members of a family are chosen by some.
  const touched = Math.min(weights, weights * (counts.params === 0 ? 1 : (tokens * counts.active) / counts.params)) / tokens;
  const cache = 2 * (counts.perToken * call.tokens + counts.windows) + 4 * counts.perSequence;
  const apart = vocabularyOf(graph);
  const less = (params: number | undefined) => (
    params === undefined || params === 0 ? undefined : { params: counts.params - params, active: counts.active - params }
  );
  return {
    name: graph.name,
    kind: graph.kind,
    place,
    doc: graph.doc,
    settings: Object.fromEntries(graph.settings),
    inputs: graph.inputs.map(({ name, type }) => `${name}: ${type.of === undefined ? axesText(type.axes) : `one of ${type.of.name}`}`),
    outputs: graph.outputs.map(({ name, axes }) => `${name}: ${axesText(axes)}`),
    stack: stackOf(graph),
    parts: partsOf(graph),
    choices: choicesOf(graph),
    losses: [...new Set(lossPathsOf(graph).map((path) => path.replace(/\.\d+(?=\.|$)/g, '.*')))],
    counts,
    withoutEmbedding: less(apart?.embedding),
    withoutVocabulary: less(apart?.all),
    costs,
    shares: sharesOf(graph, call.tokens),
    call,
    bytes: {
      weights,
      cache,
      forward: touched + 2 * 2 * costs.kept,
      backward: 2 * touched + 2 * 3 * costs.kept,
      decode: weights * (counts.params === 0 ? 1 : counts.active / counts.params) + cache,
      optimiser: 16 * counts.params,
      activations: 2 * costs.kept * call.batch * call.tokens,
    },
  };
}

/** Params of the model itself along the axis that its indices are of: those that are only picked from, and all. */
function vocabularyOf(graph: Graph): { readonly embedding: number; readonly all: number } | undefined {
  const of = new Set(graph.inputs.flatMap(({ type }) => (type.of === undefined ? [] : [type.of.name])));
  if (of.size === 0) return undefined;
  let [embedding, all] = [0, 0];
  graph.params.forEach((param, i) => {
    if (param.buffer || !param.axes.some(({ name }) => of.has(name))) return;
    const size = param.axes.reduce((n, axis) => n * axis.size, 1);
    const ids = graph.nodes.flatMap((node, id) => (node.kind === 'param' && node.param === i ? [id] : []));
    const readers = graph.nodes.filter((node) => operandsOf(node).some((arg) => ids.includes(arg)));
    all += size;
    if (readers.length > 0 && readers.every(({ kind }) => kind === 'pick')) embedding += size;
  });
  return { embedding, all };
}

/** Parts one level below, those of like turns together; what the graph itself has comes as one more. */
function sharesOf(graph: Graph, context: number): readonly Share[] {
  const rows = new Map<string, Share>();
  graph.instances.forEach(({ name, part }, i) => {
    const { params, active } = instanceCounts(graph, i);
    const { forward } = costsOf(graph, context, i);
    const key = `${name} ${part.name}`;
    const known = rows.get(key) ?? { name, part: part.name, times: 0, params: 0, active: 0, forward: 0 };
    rows.set(
      key,
      { ...known, times: known.times + 1, params: known.params + params, active: known.active + active, forward: known.forward + forward },
    );
  });
  const parts = [...rows.values()];
  const rest = (all: number, of: (share: Share) => number): number => all - parts.reduce((n, share) => n + of(share), 0);
  const [counts, costs] = [countsOf(graph), costsOf(graph, context)];
  const own: Share = {
    name: graph.name, part: '', times: 1, params: rest(
      counts.params, (s) => s.params,
    ), active: rest(counts.active, (s) => s.active), forward: rest(costs.forward, (s) => s.forward),
  };
  return [...parts, own].filter(({ params, forward }) => params > 0 || forward > 0).sort((a, b) => b.params - a.params);
}
