import type { WritableTensor } from '../../src/driver/run/safetensors.js';
import type { Graph } from '../../src/ir/graph/graph.js';
import { paramsOf } from '../../src/ir/graph/paths.js';
import { randomSource } from '../../src/support/random.js';
import { mixers } from '../unit/interp/graph/mixers.js';
import { rowsOf, type Row } from '../unit/interp/graph/plain.js';
import { routers, type Sizes } from '../unit/interp/graph/routers.js';
import { exampleGraph } from '../unit/interp/graph/texts.js';

/** A layer or mixture of the examples at small sizes, with the loops that say what it gives. */
export interface PlainPart {
  /** Of the file, and of the part in it. */
  readonly file: string;
  readonly name: string;
  readonly numbers: Readonly<Record<string, number>>;
  readonly kind: 'router' | 'mixer';
  readonly seed: number;
}

/** Packed sequences. */
export const LENGTHS: readonly number[] = [4, 1, 3];

export const PARTS: readonly PlainPart[] = [
  { file: 'moe/groups', name: 'deepseek_v3', kind: 'router', seed: 1,
    numbers: { D: 3, F: 2, S: 2, G: 2, M: 2, k: 2, keep: 1, scale: 2.5, aux: 0.1 } },
  { file: 'moe/capacity', name: 'hunyuan', kind: 'router', seed: 1, numbers: { D: 3, E: 3, F: 2, k: 2, cf: 0.7, recycle: 0 } },
  { file: 'moe/softmax', name: 'gpt_oss_moe', kind: 'router', seed: 1, numbers: { D: 3, E: 3, F: 2, k: 2, aux: 0.9 } },
  { file: 'layers/attention', name: 'sink_gqa', kind: 'mixer', seed: 1,
    numbers: { D: 3, J: 1, R: 2, K: 4, I: 1, theta: 150000, factor: 32, window: 2 } },
  { file: 'layers/attention', name: 'mla', kind: 'mixer', seed: 1,
    numbers: { D: 3, H: 2, A: 2, C: 2, N: 2, R: 2, V: 2, I: 1, theta: 1e4, factor: 40, rotate: 1 } },
  { file: 'layers/delta', name: 'gdn', kind: 'mixer', seed: 1, numbers: { D: 3, J: 1, R: 2, K: 2, V: 2, T: 2 } },
  { file: 'layers/memories', name: 'mom', kind: 'mixer', seed: 1, numbers: { D: 3, H: 1, K: 2, V: 2, M: 3, T: 2, k: 2 } },
];

export function graphOf({ file, name, numbers }: PlainPart): Graph {
  return exampleGraph(file, name, numbers);
}

interface Results {
  readonly outputs: Readonly<Record<string, readonly Row[]>>;
  readonly losses: Readonly<Record<string, number>>;
  readonly updates: Readonly<Record<string, Row>>;
}

function runPlainly({ name, kind, numbers }: PlainPart, given: ReadonlyMap<string, Float64Array>): Results {
  const x = rowsOf(given.get('x') ?? new Float64Array(), numbers.D);
  if (kind === 'mixer') {
    return { outputs: mixers[name]({ x, inputs: { x }, params: given, lengths: LENGTHS, sizes: numbers }), losses: {}, updates: {} };
  }
  const sizes: Sizes = { k: 0, ...numbers, D: numbers.D, E: numbers.E ?? numbers.G * numbers.M, F: numbers.F };
  const { y, outputs = {}, losses = {}, updates = {} } = routers[name]({ x, params: given, lengths: LENGTHS, sizes, seed: 0, step: 0 });
  return { outputs: { y, ...outputs }, losses, updates };
}

/**
 * Random f32 inputs and params; in f64 what the loops give, and gradients by central differences of them. The loss of a mixer is left to
 * the interpreter's tests.
 */
export function makeGraphReference(part: PlainPart): Map<string, WritableTensor> {
  const graph = graphOf(part);
  const random = randomSource(part.seed, part.name);
  const draw = (shape: readonly number[]): { shape: readonly number[]; data: Float64Array } => {
    return { shape, data: Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Math.fround(2 * random.uniform() - 1)) };
  };
  const tokens = LENGTHS.reduce((a, b) => a + b, 0);
  const sizesOf = (axes: Graph['inputs'][number]['type']['axes']): number[] => axes.map(({ size }) => size);
  const given = new Map([
    ...graph.inputs.map(({ name, type }) => [name, draw([1, tokens, ...sizesOf(type.axes)])] as const),
    ...paramsOf(graph).map(({ path, axes }) => [path, draw(sizesOf(axes))] as const),
  ]);
  const cotangents = new Map(graph.outputs.map(({ name, axes }) => [name, draw([1, tokens, ...sizesOf(axes)])] as const));
  const data = (): Map<string, Float64Array> => new Map([...given].map(([name, tensor]) => [name, tensor.data]));
  const objective = ({ outputs, losses }: Results): number => {
    let sum = Object.values(losses).reduce((a, b) => a + b, 0);
    for (const [name, rows] of Object.entries(outputs)) rows.flat().forEach((value, i) => {
      sum += value * (cotangents.get(name)?.data[i] ?? 0);
    });
    return sum;
  };
  const made = runPlainly(part, data());
  const tensors = new Map<string, WritableTensor>();
  for (const [name, { shape, data: values }] of given) tensors.set(name, { dtype: 'f32', shape, data: values });
  for (const [name, { shape, data: values }] of cotangents) tensors.set(`d_${name}`, { dtype: 'f32', shape, data: values });
  const ends = LENGTHS.map((_, i) => LENGTHS.slice(0, i + 1).reduce((a, b) => a + b, 0));
  tensors.set('cu_seqlens', { dtype: 'i32', shape: [ends.length + 1], data: [0, ...ends] });
  for (const [name, rows] of Object.entries(made.outputs)) tensors.set(`expect.${name}`,
    { dtype: 'f64', shape: cotangents.get(name)?.shape ?? [], data: rows.flat() });
  for (const [name, value] of Object.entries(made.losses)) tensors.set(`expect.loss.${name}`, { dtype: 'f64', shape: [], data: [value] });
  for (const [name, row] of Object.entries(made.updates)) tensors.set(`expect.update.${name}`,
    { dtype: 'f64', shape: given.get(name)?.shape ?? [], data: row });
  for (const [path, { shape, data: values }] of given) {
    if (graph.params.some(({ name, buffer }) => buffer && name === path)) continue;
    const slopes = values.map((x, i) => slope((moved) => objective(runPlainly(part, data().set(path, values.with(i, moved)))), x));
    tensors.set(`expect.d_${path}`, { dtype: 'f64', shape, data: slopes });
  }
  return tensors;
}

/** Central differences of sixth order. The step is small, since choices have edges. */
function slope(f: (x: number) => number, x: number): number {
  const h = 1e-3;
  const difference = (n: number): number => f(x + n * h) - f(x - n * h);
  return (45 * difference(1) - 9 * difference(2) + difference(3)) / (60 * h);
}
