import { evaluate, gradients, type Evaluation, type GraphCall, type GraphTensors } from '../../interp/graph/machine.js';
import { initial } from '../../interp/graph/initial.js';
import type { GraphState } from '../../interp/graph/state.js';
import { update } from '../../interp/graph/update.js';
import type { Graph } from '../../ir/graph/graph.js';
import { readGraph } from '../../ir/graph/json.js';
import { paramsOf } from '../../ir/graph/paths.js';
import type { ReadFile } from '../bindings.js';
import type { GraphTypes, Named, Untyped } from '../graph-types.js';
import { lengthsOf } from '../lead.js';
import { RuntimeError } from '../runtime.js';
import { expectRecord, expectTensor, member, tensor, type Tensor } from '../tensors.js';

/** Tensors by name or path. */
export type { GraphTypes } from '../graph-types.js';
export type { GraphState } from '../../interp/graph/state.js';
export { openUpdate } from './update.js';

export interface GraphOptions {
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
  /** What `position` is for each token, row by row; its place in its sequence unless given. */
  readonly positions?: ArrayLike<number>;
  /** Of noise and dropout; 0 unless given. */
  readonly seed?: number;
  /** Of the optimiser: draws differ from step to step. */
  readonly step?: number;
}

/** What a call gave. */
export interface GraphResult<Outputs, Losses> {
  readonly outputs: Outputs;
  /** By path. */
  readonly losses: Losses;
  /** Tokens of each index of a family, and how often each index of a choice was chosen, by the path of its name. */
  readonly counts: Readonly<Record<string, Float64Array>>;
  /** What decoding goes on from. */
  readonly state: GraphState;
}

export interface GraphTraining<T extends GraphTypes> extends GraphResult<T['outputs'], T['losses']> {
  /** Of the sum of all losses, each with weight 1 unless `weights` says another, and of outputs times their cotangents. */
  gradients(
    cotangents?: Partial<T['outputs']>, weights?: Partial<T['losses']>,
  ): { readonly inputs: Partial<T['inputs']>; readonly params: Omit<T['params'], keyof T['buffers']> };
  /** The buffers after an optimiser step of which this call is all. */
  update(): T['buffers'];
}

/**
 * A layer, mixture or model in the float64 interpreter; results are f32. Types say what is taken; what was really given is looked at, so
 * that anything else is refused in words.
 */
export interface OpenGraph<T extends GraphTypes> {
  readonly backend: 'interpreter';
  /** Params and buffers at the start that their laws give them. */
  init(seed?: number): T['params'];
  /** Outside of training. Inputs that only losses read may be left out. */
  eval(params: T['params'], inputs: Partial<T['inputs']>, options?: GraphOptions): Promise<GraphResult<T['outputs'], Partial<T['losses']>>>;
  /** In training: noise, dropout, losses, gradients. */
  train(params: T['params'], inputs: T['inputs'], options?: GraphOptions): Promise<GraphTraining<T>>;
  /** A state before the first token; `eval` over a prompt gives another. */
  begin(batch: number): GraphState;
  /** One token for every sequence, [B, ...]: decoding. */
  step(
    params: T['params'], state: GraphState, inputs: Partial<T['stepInputs']>, options?: Pick<GraphOptions, 'positions'>,
  ): Promise<GraphResult<T['stepOutputs'], object>>;
}

/** Opens what `lmoec build` wrote: the graphs of the programs in and outside of training. */
export async function openGraph<T extends GraphTypes>(readFile: ReadFile): Promise<OpenGraph<T>> {
  const [training, other] = await Promise.all(['train', 'eval'].map(async (program) => (
    readGraph(new TextDecoder().decode(await readFile(`${program}.json`)))
  )));
  const params = paramsOf(other);
  const named = new Map(params.map((param) => [param.path, param.axes.map(({ name }) => name).join(' ')]));
  const shapes = new Map(params.map((param) => [param.path, param.axes.map(({ size }) => size)]));
  const packed = (values: GraphTensors): Named => Object.fromEntries([...values].map(([path, data]) => {
    return [path, tensor(named.get(path) ?? '', shapes.get(path) ?? [], Float32Array.from(data))];
  }));
  const weights = (given: object): GraphTensors => {
    const record = expectRecord(given, `${other.name}: the params`, [...named.keys()]);
    return new Map(params.map(({ path }) => [path, valuesOf(other.name, path, member(record, path), shapes.get(path) ?? [])]));
  };
  const run = (graph: Graph, program: GraphCall['program'], given: object, inputs: object, options: GraphOptions, state?: GraphState) => {
    const lead = leadOf(graph, inputs, program === 'step', options);
    const made = evaluate(graph, {
      program, params: weights(given), inputs: lead.inputs, lengths: lead.lengths, state, positions: positionsFor(graph, lead, options),
      ...(options.seed === undefined ? {} : { seed: options.seed }), ...(options.step === undefined ? {} : { step: options.step }),
    });
    return { made, lead };
  };
  const open: OpenGraph<Untyped> = {
    backend: 'interpreter',
    init: (seed = 0) => packed(initial(training, seed)),
    async eval(given, inputs, options = {}) {
      const { made, lead } = run(other, 'eval', given, inputs, options);
      return resultOf(other, made, lead);
    },
    async train(given, inputs, options = {}) {
      const { made, lead } = run(training, 'train', given, inputs, options);
      const ofInputs = (found: GraphTensors): Named => Object.fromEntries(training.inputs.flatMap(({ name, type }) => {
        const data = found.get(`d_${name}`);
        return data === undefined ? [] : [[name, shaped(lead, type.axes, data)]];
      }));
      return {
        ...resultOf(training, made, lead),
        gradients(cotangents = {}, scales = {}) {
          const given = new Map(training.outputs.flatMap(({ name, axes }): [string, Float64Array][] => {
            const found = member(cotangents, name);
            return found === undefined ? [] : [[
              `d_${name}`, valuesOf(training.name, `the cotangent of ${name}`, found, [...lead.extents, ...axes.map(({ size }) => size)]),
            ]];
          }));
          for (const [path, scale] of Object.entries(scales)) if (scale !== undefined) given.set(`d_loss.${path}`, Float64Array.of(scale));
          const found = gradients(made, given);
          return { inputs: ofInputs(found), params: packed(new Map(params.flatMap(({ path, buffer }) => (
            buffer ? [] : [[path, found.get(`d_${path}`) ?? new Float64Array()] as const]
          )))) };
        },
        update() {
          const before = weights(given);
          const still = params.flatMap(({ path, buffer }) => (buffer ? [[path, before.get(path) ?? new Float64Array()] as const] : []));
          return packed(new Map([...still, ...update([made], before)]));
        },
      };
    },
    begin: (batch) => ({ sequences: batch, seen: new Map(), kept: new Map(), scans: new Map() }),
    async step(given, state, inputs, options = {}) {
      const { made, lead } = run(other, 'step', given, inputs, options, state);
      return resultOf(other, made, lead);
    },
  };
  // Names and axes are those of the graphs that the binding was made of.
  return open as unknown as OpenGraph<T>;
}

interface Lead {
  /** [B, T], or [B] in a step. */
  readonly extents: readonly number[];
  readonly lengths: readonly number[];
  readonly inputs: GraphTensors;
}

function leadOf(graph: Graph, inputs: object, step: boolean, { cuSeqlens }: GraphOptions): Lead {
  const skip = step ? 1 : 2;
  const record = expectRecord(inputs, `${graph.name}: the inputs`, graph.inputs.map(({ name }) => name));
  let extents: readonly number[] | undefined;
  const found = graph.inputs.flatMap(({ name, type }): [string, Float64Array][] => {
    const item = member(record, name);
    if (item === undefined) return [];
    expectTensor(item, `${graph.name}: ${name}`);
    extents ??= item.shape.slice(0, skip);
    return [[name, valuesOf(graph.name, name, item, [...extents, ...type.axes.map(({ size }) => size)])]];
  });
  if (extents === undefined || extents.length < skip) throw new RuntimeError(
    `${graph.name}: no input says how many tokens there are`, 'pass the inputs',
  );
  const lengths = lengthsOf(graph.name, extents[0], step ? 1 : extents[1], cuSeqlens);
  return { extents, lengths, inputs: new Map(found) };
}

function positionsFor({ name }: Graph, { lengths }: Lead, { positions }: GraphOptions): Float64Array | undefined {
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  if (positions !== undefined && positions.length !== tokens) throw new RuntimeError(
    `${name}: there are ${positions.length} positions for ${tokens} tokens`, 'give one for each token, row by row',
  );
  return positions === undefined ? undefined : Float64Array.from(positions);
}

/** The numbers of a tensor, which must have this shape. */
function valuesOf(whose: string, name: string, given: unknown, shape: readonly number[]): Float64Array {
  expectTensor(given, `${whose}: ${name}`);
  if (!ArrayBuffer.isView(given.values)) throw new RuntimeError(
    `${whose}: ${name} lies on a device`, 'the interpreter reads typed arrays: fetch it with `readFloats`',
  );
  if (given.shape.length !== shape.length || given.shape.some((extent, i) => extent !== shape[i])) {
    throw new RuntimeError(
      `${whose}: ${name} must be [${shape.join(', ')}], found [${given.shape.join(', ')}]`, 'see `shapes` of the binding',
    );
  }
  if (given.values instanceof Uint16Array) throw new RuntimeError(
    `${whose}: ${name} has 16-bit values`, 'the interpreter reads numbers: convert them to a Float32Array',
  );
  return Float64Array.from(given.values);
}

function shaped({ extents }: Lead, axes: readonly { readonly name: string; readonly size: number }[], data: Float64Array): Tensor<string> {
  const names = [...(extents.length === 1 ? ['B'] : ['B', 'T']), ...axes.map(({ name }) => name)];
  return tensor(names.join(' '), [...extents, ...axes.map(({ size }) => size)], Float32Array.from(data));
}

function resultOf(graph: Graph, made: Evaluation, lead: Lead): GraphResult<Named, Readonly<Record<string, number>>> {
  return {
    outputs: Object.fromEntries(graph.outputs.map(({ name, axes }) => [
      name, shaped(lead, axes, made.outputs.get(name) ?? new Float64Array()),
    ])),
    losses: Object.fromEntries(made.losses),
    counts: Object.fromEntries([...made.counts, ...made.chosen]),
    state: made.state,
  };
}
