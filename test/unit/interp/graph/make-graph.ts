import { ANY } from '../../../../src/ir/common/range.js';
import { NO_SPAN } from '../../../../src/ir/common/span.js';
import { graphBuilder } from '../../../../src/ir/graph/build.js';
import type { Graph, Instance, NodeBody, ScanPart } from '../../../../src/ir/graph/graph.js';
import { paramsOf } from '../../../../src/ir/graph/paths.js';
import type { Axis, Silent, ValueType } from '../../../../src/ir/graph/types.js';
import { evaluate, gradients, type Evaluation, type GraphCall } from '../../../../src/interp/graph/machine.js';
import { randomSource } from '../../../../src/support/random.js';
import { slope } from '../numbers.js';

export const axis = (name: string, size: number): Axis => ({ name, size, past: false });
export const past = (size = Infinity, name = 'past'): Axis => ({ name, size, past: true });

type Axes = readonly Axis[];
type MapFn = Extract<NodeBody, { kind: 'map' }>['fn'];
type Compare = Extract<NodeBody, { kind: 'compare' }>['op'];
type Fold = Extract<NodeBody, { kind: 'fold' }>['op'];

type Renamed = Readonly<Record<string, string>>;

/** Words to write a graph with; nodes are numbers. */
export interface Words {
  get(name: string): number;
  num(value: number): number;
  map(fn: MapFn, ...args: number[]): number;
  mm(left: number, right: number, ...axes: Axis[]): number;
  fold(op: Fold, arg: number, axes: Axes, silent?: readonly Silent[]): number;
  top(arg: number, axes: Axes, count: number, silent?: readonly Silent[]): number;
  compare(left: number, op: Compare, right: number): number;
  restrict(arg: number, choice: number): number;
  node(body: NodeBody, type?: Partial<ValueType>): number;
  call(instance: string, args: readonly number[], outputs: readonly Axes[], mapped?: Axes, renamed?: Renamed): number[];
}

export interface Made {
  readonly outputs?: Readonly<Record<string, number>>;
  readonly losses?: Readonly<Record<string, number>>;
  readonly updates?: Readonly<Record<string, number>>;
}

export interface Shape {
  readonly name?: string;
  /** An axis instead of axes: `one of` it. */
  readonly inputs?: Readonly<Record<string, Axes | Axis>>;
  readonly params?: Readonly<Record<string, Axes>>;
  readonly buffers?: Readonly<Record<string, Axes>>;
  readonly parts?: Readonly<Record<string,
    { readonly part: Graph | ScanPart; readonly family?: Axes; readonly turns?: readonly number[] }>>;
}

const isAxis = (axes: Axes | Axis): axes is Axis => !Array.isArray(axes);

/** A graph written by hand. */
export function makeGraph(shape: Shape, body: (w: Words) => Made): Graph {
  const b = graphBuilder();
  const number: ValueType = { kind: 'number', axes: [], level: 'token', restricted: [], of: undefined };
  const inputs = Object.entries(shape.inputs ?? {}).map(([name, axes]) => {
    return { name, range: ANY, origin: NO_SPAN,
      type: isAxis(axes) ? { ...number, kind: 'index' as const, of: axes } : { ...number, axes } };
  });
  const param = (buffer: boolean) => ([name, axes]: [string, Axes]) => {
    return { name, axes, buffer, law: undefined, range: ANY, f32: false, decay: false, origin: NO_SPAN };
  };
  const params = [...Object.entries(shape.params ?? {}).map(param(false)), ...Object.entries(shape.buffers ?? {}).map(param(true))];
  const instances = Object.entries(shape.parts ?? {}).map(([name, { part, family = [], turns = [] }]): Instance =>
    ({ name, turns, loops: new Map(), family, part, origin: NO_SPAN }));
  const add = (made: NodeBody, type: Partial<ValueType> = {}): number => b.add(made, NO_SPAN, { ...number, ...type });
  const words: Words = {
    get(name) {
      const input = inputs.findIndex((one) => one.name === name);
      if (input >= 0) return add({ kind: 'input', input }, inputs[input].type);
      const at = params.findIndex((one) => one.name === name);
      if (at < 0) throw new Error(`no ${name}`);
      return add({ kind: 'param', param: at }, { axes: params[at].axes, level: 'static' });
    },
    num: (value) => add({ kind: 'literal', value }, { level: 'static' }),
    map: (fn, ...args) => add({ kind: 'map', fn, args }),
    mm: (left, right, ...axes) => add({ kind: 'contract', left, right, axes }),
    fold: (op, arg, axes, silent = []) => add({ kind: 'fold', op, arg, axes, silent }),
    top: (arg, axes, count, silent = []) => add({ kind: 'top', arg, axes, silent, count }),
    compare: (left, op, right) => add({ kind: 'compare', op, left, right }),
    restrict: (arg, choice) => add({ kind: 'restrict', arg, choice }),
    node: add,
    call(instance, args, outputs, mapped = [], renamed = {}) {
      const at = instances.findIndex((one) => one.name === instance);
      const call = add({ kind: 'call', instance: at, args, mapped, renamed: new Map(Object.entries(renamed)) });
      const restricted = [...new Set(args.flatMap((arg) => b.typeOf(arg).restricted))];
      return outputs.map((axes, output) =>
        add({ kind: 'result', call, output }, { axes: [...instances[at].family, ...mapped, ...axes], restricted }));
    },
  };
  const { outputs = {}, losses = {}, updates = {} } = body(words);
  return {
    kind: 'layer', name: shape.name ?? 'made', doc: '', training: true, settings: new Map(), inputs, params, instances, nodes: b.nodes,
      init: undefined, names: [], choices: [], origin: NO_SPAN,
    outputs: Object.entries(outputs).map(([name, value]) => ({ name, axes: b.typeOf(value).axes, value, origin: NO_SPAN })),
    losses: Object.entries(losses).map(([name, value]) => ({ name, turns: [], value, origin: NO_SPAN })),
    updates: Object.entries(updates).map(([name, value]) =>
      ({ param: params.findIndex((one) => one.name === name), value, origin: NO_SPAN })),
  };
}

export const sizeOf = (axes: Axes): number => axes.reduce((n, { size }) => n * size, 1);

/** Numbers in -1..1 for every input and param; indices below their axis. */
export function someCall(graph: Graph, lengths: readonly number[], seed = 1, change: Partial<GraphCall> = {}): GraphCall {
  const random = randomSource(seed);
  const rows = lengths.reduce((a, b) => a + b, 0);
  const fill = (count: number): Float64Array => Float64Array.from({ length: count }, () => 2 * random.uniform() - 1);
  return {
    program: 'train', lengths, seed: 5, step: 2,
    inputs: new Map(graph.inputs.map(({ name, type }) => {
      const { of } = type;
      return [name, of === undefined ? fill(rows * sizeOf(type.axes)) : Float64Array.from({ length: rows }, () => random.below(of.size))];
    })),
    params: new Map(paramsOf(graph).map(({ path, axes }) => [path, fill(sizeOf(axes))])),
    ...change,
  };
}

export function someCotangents(graph: Graph, { outputs }: Evaluation, seed = 9): Map<string, Float64Array> {
  const random = randomSource(seed);
  return new Map(graph.outputs.map(({ name }) =>
    [`d_${name}`, (outputs.get(name) ?? new Float64Array()).map(() => 2 * random.uniform() - 1)]));
}

function objective(graph: Graph, call: GraphCall, cotangents: ReadonlyMap<string, Float64Array>): number {
  const { outputs, losses } = evaluate(graph, { ...call, program: 'eval' });
  let sum = 0;
  for (const value of losses.values()) sum += value;
  for (const [name, values] of outputs) values.forEach((value, i) => {
    sum += value * (cotangents.get(`d_${name}`)?.[i] ?? 0);
  });
  return sum;
}

/** The largest difference between a gradient and the slope of the objective, over up to `most` elements of every input and param. */
export function gradientError(graph: Graph, call: GraphCall, most = 24): number {
  const made = evaluate(graph, call);
  const cotangents = someCotangents(graph, made);
  const found = gradients(made, cotangents);
  const random = randomSource(3);
  let worst = 0;
  for (const [name, gradient] of found) {
    const path = name.slice(2);
    const table = call.inputs.has(path) ? 'inputs' : 'params';
    const data = call[table].get(path);
    if (data === undefined) throw new Error(`no ${path}`);
    for (let n = 0; n < Math.min(most, data.length); n++) {
      const i = data.length <= most ? n : random.below(data.length);
      const along = (x: number): number => {
        const moved = data.slice();
        moved[i] = x;
        return objective(graph, { ...call, [table]: new Map(call[table]).set(path, moved) }, cotangents);
      };
      const away = (expected: number): number => Math.abs(expected - gradient[i]) / Math.max(1, Math.abs(expected));
      const error = away(slope(along, data[i]));
      // Where a graph makes large numbers, it bends within a usual step.
      worst = Math.max(worst, error < 1e-3 ? error : Math.min(error, away(slope(along, data[i], 1e-5))));
    }
  }
  return worst;
}
