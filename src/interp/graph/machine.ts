import type { Graph } from '../../ir/graph/graph.js';
import { paramsOf } from '../../ir/graph/paths.js';
import { gatherLosses } from './call.js';
import { chosenCounts } from './choice-counts.js';
import { checkIndex } from './element.js';
import { computeNode } from './node.js';
import { openScope, valuesOf, type GraphProgram, type MeanCount, type Run, type Scope } from './scope.js';
import type { GraphState } from './state.js';
import { makeTokens, seenAfter, type Tokens } from './tokens.js';
import { gatherInto, makeValue, sizeOf, spread, type Into, type Pull, type Value } from './value.js';

/** Row-major float64 values by name or path. */
export type GraphTensors = ReadonlyMap<string, Float64Array>;

export interface GraphCall {
  /** `train` keeps what gradients need; `step` goes on from a state and knows no other tokens than those of the past. */
  readonly program: GraphProgram;
  /** Params and buffers by path, the axes of families in front. */
  readonly params: GraphTensors;
  /** [tokens, ...axes]; indices as numbers, negative for none. An input that only losses read may be left out. */
  readonly inputs: GraphTensors;
  /** Tokens of each sequence. They lie one behind the other. */
  readonly lengths: readonly number[];
  /** What draws know sequences by: their numbers unless given, so that the order of a batch does not matter. */
  readonly ids?: readonly number[];
  /** By token, for `rope`; else its index in the sequence. */
  readonly positions?: Float64Array;
  readonly seed?: number;
  /** Of the optimiser: draws differ from step to step. */
  readonly step?: number;
  /** What came before these tokens, of the same sequences. */
  readonly state?: GraphState;
}

export interface Evaluation {
  /** [tokens, ...axes] by name. */
  readonly outputs: GraphTensors;
  /** By path; turns, calls and indices of one path added up. */
  readonly losses: ReadonlyMap<string, number>;
  /** Tokens of each index of a family, by its path. */
  readonly counts: GraphTensors;
  /** How often each index was chosen, by the path of the choice's name; of choices that something depended on. */
  readonly chosen: GraphTensors;
  readonly means: readonly MeanCount[];
  /** For further tokens of the sequences. */
  readonly state: GraphState;
  readonly tape: GraphTape;
}

/** What `gradients` and `update` go back to. */
export interface GraphTape {
  readonly graph: Graph;
  readonly scope: Scope;
  readonly pulls: readonly { readonly out: Value; readonly pull: Pull }[];
  readonly params: ReadonlyMap<string, Value>;
}

/** The meaning of a graph, in float64. Throws a GraphFault for what only shows when it runs. */
export function evaluate(graph: Graph, call: GraphCall): Evaluation {
  const pulls: { out: Value; pull: Pull }[] = [];
  const params = new Map<string, Value>();
  const tokens = tokensOf(call);
  const recorded = call.program === 'train';
  const run: Run = {
    program: call.program, seed: call.seed ?? 0, step: call.step ?? 0,
    tape: recorded ? { push: (out, pull) => pulls.push({ out, pull }) } : undefined,
    param(path, size) {
      const known = params.get(path);
      if (known !== undefined) return known;
      const data = call.params.get(path);
      if (data === undefined) throw new Error(`${graph.name}: param ${path} is missing`);
      if (data.length !== size) throw new Error(`${graph.name}: param ${path} has ${data.length} elements, not ${size}`);
      const value = makeValue(tokens.one, [], data, { varies: recorded });
      params.set(path, value);
      return value;
    },
    losses: new Map(), counts: new Map(), choosing: [], means: [],
    before: call.state, after: { seen: new Map(call.state?.seen), kept: new Map(call.state?.kept), scans: new Map(call.state?.scans) },
    updated: new Map(), facts: new Map(),
    valueOf: (scope, node) => (scope.values[node] ??= computeNode(scope, node)),
  };
  const inputs = graph.inputs.map((_, i) => inputValue(graph, i, call, tokens));
  const scope = openScope(run, graph, { path: '', place: '', lane: { index: 0, count: 1 }, tokens, inputs });
  if (graph.updates.length > 0) run.updated.set(':0', [scope]);
  if (call.program !== 'step') gatherLosses(scope);
  const outputs = new Map(valuesOf(scope, graph.outputs.map(({ value }) => value)).map((value, i) => {
    const { name, axes } = graph.outputs[i];
    return [name, Float64Array.from(spread(tokens, value, tokens.byToken, axes))];
  }));
  run.after.seen.set('', seenAfter(tokens));
  return {
    outputs, counts: run.counts, chosen: chosenCounts(run), means: run.means,
    losses: new Map([...run.losses].map(([path, values]) => [path, values.reduce((sum, { data }) => sum + data[0], 0)])),
    state: { sequences: tokens.sequences, ...run.after },
    tape: { graph, scope, pulls, params },
  };
}

function tokensOf({ lengths, ids, positions, state }: GraphCall): Tokens {
  if (state !== undefined && state.sequences !== lengths.length) {
    throw new Error(`the state is of ${state.sequences} sequences, not of ${lengths.length}`);
  }
  const seen = state?.seen.get('') ?? new Int32Array(lengths.length);
  const rows = lengths.reduce((sum, length) => sum + length, 0);
  const numbers = (of: (sequence: number, i: number) => number): Uint32Array => {
    const all = new Uint32Array(rows);
    let row = 0;
    for (const [n, length] of lengths.entries()) for (let i = 0; i < length; i++) all[row++] = of(n, i);
    return all;
  };
  return makeTokens({
    lengths, seen, position: positions,
    keys: { sequence: numbers((n) => ids?.[n] ?? n), position: numbers((n, i) => seen[n] + i), lane: numbers(() => 0) },
  });
}

function inputValue(graph: Graph, index: number, { inputs, program }: GraphCall, tokens: Tokens): Value | undefined {
  const { name, type, origin } = graph.inputs[index];
  const data = inputs.get(name);
  if (data === undefined) return undefined;
  const size = tokens.rows * sizeOf(type.axes);
  if (data.length !== size) throw new Error(`input ${name} has ${data.length} elements, not ${size}`);
  const { of } = type;
  if (of !== undefined) for (const value of data) checkIndex(value, of, origin);
  return makeValue(tokens.byToken, type.axes, data, { varies: program === 'train' && type.kind === 'number' });
}

/**
 * Gradients of the sum of `d_OUT * OUT` over outputs and `w * loss` over losses, by `d_` + name or path, for all inputs that are numbers
 * and all params. `cotangents` has `d_OUT` [tokens, ...axes] for some outputs, and `d_loss.PATH`, one number, where `w` is not 1.
 */
export function gradients({ tape }: Evaluation, cotangents: GraphTensors = new Map()): Map<string, Float64Array> {
  const { graph, scope, pulls, params } = tape;
  const { tokens, run } = scope;
  if (run.tape === undefined) throw new Error('gradients are those of the program `train`');
  const kept = new Map<Value, Float64Array>();
  const into: Into = (value) => {
    const { root, data } = value;
    if (root !== undefined) return into(root.value).subarray(root.at, root.at + data.length);
    const known = kept.get(value);
    if (known !== undefined) return known;
    const made = new Float64Array(data.length);
    kept.set(value, made);
    return made;
  };
  graph.outputs.forEach(({ name, axes, value: node }) => {
    const value = run.valueOf(scope, node);
    const cotangent = cotangents.get(`d_${name}`);
    if (cotangent !== undefined && value.varies) gatherInto(tokens, value, tokens.byToken, axes, cotangent, into);
  });
  for (const [path, values] of run.losses) {
    const weight = cotangents.get(`d_loss.${path}`)?.[0] ?? 1;
    for (const value of values) if (value.varies) into(value)[0] += weight;
  }
  for (let i = pulls.length - 1; i >= 0; i--) {
    const { out, pull } = pulls[i];
    const cotangent = kept.get(out);
    if (cotangent === undefined) continue;
    pull(cotangent, into);
    kept.delete(out);
  }
  const found = new Map<string, Float64Array>();
  scope.inputs.forEach((value, i) => {
    if (value?.varies === true) found.set(`d_${graph.inputs[i].name}`, into(value));
  });
  for (const { path, axes, buffer } of paramsOf(graph)) {
    const value = params.get(path);
    if (!buffer) found.set(`d_${path}`, value === undefined ? new Float64Array(sizeOf(axes)) : into(value));
  }
  return found;
}
