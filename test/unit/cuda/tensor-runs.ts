import { elements } from '../../../src/ir/common/axes.js';
import { openSource, isProblem } from '../../../src/driver/session.js';
import { compileScan } from '../../../src/driver/scan/compile.js';
import { nodeHost } from '../../../src/driver/host.js';
import { errorClasses } from '../../../src/driver/scan/run/classes.js';
import { compare } from '../../../src/driver/run/compare.js';
import { conditioning } from '../../../src/driver/scan/run/conditioning.js';
import { drawTensors, type DrawnTensor } from '../../../src/driver/scan/run/draw.js';
import type { SignatureTensor } from '../../../src/ir/common/signature.js';
import { signatureOf } from '../../../src/ir/spec/signature.js';
import { gradSpec } from '../../../src/interp/spec-gradient.js';
import type { CudaTarget } from '../../../src/backends/cuda/lowered.js';
import { lowerTensorCores } from '../../../src/backends/cuda/tensor-cores/lower.js';
import { isRefused } from '../../../src/backends/cuda/refused.js';
import type { Spec } from '../../../src/ir/spec/spec.js';
import { gateNames, type LoweredScan } from '../../../src/passes/pipeline.js';
import { planTensor } from '../../../src/backends/describe.js';
import { planName } from '../../../src/runtime/names.js';
import { halfBits, halfValue } from '../../../src/support/float.js';
import { randomSource } from '../../../src/support/random.js';
import { runKernels } from './emulate.js';

const host = nodeHost();

export interface TensorRun {
  /** Of the axes, in the order of their declaration, over and over. */
  readonly sizes: readonly number[];
  readonly target: CudaTarget;
  readonly dtype?: 'bf16' | 'f16';
  readonly lengths?: readonly number[];
  readonly groups?: number;
  /** Chunks per segment: 2 if not given. */
  readonly longest?: number;
  /** Log decays of -100 and -inf among the others. */
  readonly resets?: boolean;
  readonly orders?: readonly string[];
  /** Watches for races; true if not given. */
  readonly races?: boolean;
  /** Of the random values. */
  readonly seed?: number;
  /** Those of pieces of sequences in the place of forward and backward. */
  readonly pieces?: boolean;
  /** Puts other values where random ones were drawn. */
  readonly adjust?: (drawn: ReadonlyMap<string, DrawnTensor>) => void;
}

/** Results whose error exceeds what the driver allows its kind, by `program tensor`, with all errors. */
export interface Judged {
  readonly failed: readonly string[];
  readonly errors: ReadonlyMap<string, number>;
  /** By tensor: what becomes of the meaning when its inputs are rounded once more. */
  responses(): ReadonlyMap<string, number>;
  /** Kernels that tensor cores run. */
  readonly kernels: readonly string[];
}

/** An example, compiled as the command line does, on emulated tensor cores beside the meaning of its text. */
export async function judge(name: string, run: TensorRun): Promise<Judged> {
  return judgeFile(`examples/${name}.lmoe`, run);
}

/** The same for the first scan of a file. */
export async function judgeFile(file: string, run: TensorRun): Promise<Judged> {
  const source = openSource(host, file);
  if (isProblem(source)) throw new Error(source.title);
  const spec = source.specs[0];
  const sizeOf = new Map(spec.axes.map((axis, i) => [axis.name, run.sizes[i % run.sizes.length]]));
  const made = await compileScan(
    host, source, spec, { target: run.target, dtype: run.dtype ?? 'bf16', sizes: sizeOf, command: 'test', pieces: run.pieces === true },
  );
  if (!('plan' in made)) throw new Error(`${file} does not compile`);
  return judgeScan(made, sizeOf, run);
}

/** The same for any scan. */
export function judgeScan({ spec, scan, module }: LoweredScan, sizeOf: ReadonlyMap<string, number>, run: Omit<TensorRun, 'sizes'>): Judged {
  const {
    target, dtype = 'bf16', lengths = [70, 130], groups = 1, longest = 2, resets = false, orders = ['0', '1'], races = true, seed = 5,
    pieces = false, adjust,
  } = run;
  if (scan === undefined) throw new Error(`${spec.name} has no chunks`);
  const heads = 2;
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const drawn = drawTensors(spec, { B: 1, T: tokens, H: heads, G: groups, N: lengths.length }, sizeOf, { seed });
  if (resets) addResets(spec, gateNames(spec, scan), drawn);
  adjust?.(drawn);
  const signature = signatureOf(spec);
  const plan = { tensors: module.buffers.map((buffer) => planTensor(module, buffer, dtype)) };
  const rounded = new Map([...signature.required, ...signature.initial, ...signature.cotangents].map(({ name, role }) => {
    const data = drawn.get(name)?.data ?? new Float32Array();
    const half = plan.tensors.find((tensor) => tensor.name === planName(plan, role, name))?.dtype !== 'f32';
    return [name, { role, data: Float64Array.from(data, (x) => (half ? halfValue(dtype, halfBits(dtype, x)) : x)) }];
  }));
  const cotangents = new Set(signature.cotangents.map((tensor) => tensor.name));
  const part = (wanted: boolean) => new Map([...rounded]
    .filter(([name]) => cotangents.has(name) === wanted).map(([name, { data }]) => [name, data]));
  const expected = gradSpec(spec, { sizes: sizeOf, heads, groups, lengths }, part(false), part(true));
  const classOf = errorClasses(spec, scan);
  const errors = new Map<string, number>();
  const failed = new Set<string>();
  const given = new Map([...rounded].map(([name, { role, data }]) => [planName(plan, role, name), data]));
  // States that nobody sees begin as 0.
  for (const { name, role, axes } of module.buffers) {
    if (role === 'initial' && !given.has(name)) given.set(name, new Float64Array(lengths.length * heads * elements(axes, sizeOf)));
  }
  const results: Readonly<Record<string, readonly SignatureTensor[]>> = pieces
    ? {
      ends: signature.results.filter(({ role }) => role === 'final'),
      reverse_ends: signature.gradients.filter(({ name }) => signature.initial.some((state) => name === `d_${state.name}`)),
    }
    : { forward: signature.results, backward: signature.gradients };
  runKernels(module, {
    dtype, target, plain: false, call: { heads, groups, lengths }, longest, programs: Object.keys(results), orders, races, given,
  }, (program, _, made) => {
    for (const tensor of results[program]) {
      const { error, allowed, passed } = compare(
        tensor.name, 'output', classOf(tensor), dtype, made.get(planName(plan, tensor.role, tensor.name)),
        expected.get(tensor.name) ?? new Float64Array(),
      );
      const key = `${program} ${tensor.name}`;
      errors.set(key, Math.max(errors.get(key) ?? 0, error));
      if (!passed) failed.add(`${key}: ${error.toExponential(2)} > ${allowed}`);
    }
  });
  const responses = () => {
    const values = new Map([...rounded].map(([name, { data }]) => [name, data]));
    const isIo = (name: string) => plan.tensors.find((tensor) => tensor.name === planName(
      plan, rounded.get(name)?.role ?? 'input', name,
    ))?.dtype !== 'f32';
    return conditioning(
      spec, { sizes: sizeOf, heads, groups, lengths, batch: 1, tokens, cuSeqlens: undefined }, values, isIo, dtype, expected,
    );
  };
  return { failed: [...failed], errors, responses, kernels: module.kernels.filter((kernel) => !isRefused(
    lowerTensorCores({ module, target, dtype }, kernel),
  )).map((kernel) => kernel.name) };
}

/** Every fifth log decay is -100, every eleventh -inf where its range has that; factors are small and 0. */
function addResets(spec: Spec, gates: ReadonlySet<string>, tensors: ReturnType<typeof drawTensors>): void {
  for (const input of spec.inputs) {
    const isFactor = input.range.lo === 0 && input.range.hi === 1;
    if (!gates.has(input.name) || (input.range.hi !== 0 && !isFactor)) continue;
    const random = randomSource(3, input.name);
    const data = tensors.get(input.name)?.data;
    data?.forEach((_, i) => {
      const dice = random.below(110);
      if (dice < 22) data[i] = isFactor ? 1e-8 : Math.max(input.range.lo, -100);
      else if (dice < 32) data[i] = input.range.lo;
    });
  }
}
