import { within } from '../../src/backends/cuda/live.js';
import { compileScan, checkScan } from '../../src/driver/scan/compile.js';
import { nodeHost } from '../../src/driver/host.js';
import { drawTensors } from '../../src/driver/scan/run/draw.js';
import { isProblem, sourceOf } from '../../src/driver/session.js';
import type { Diagnostic } from '../../src/diagnostics/diagnostic.js';
import type { Target } from '../../src/ir/plan/plan.js';
import { finalName } from '../../src/ir/spec/names.js';
import { runSpec } from '../../src/interp/spec.js';
import type { SpecCall, Tensors } from '../../src/interp/spec-machine.js';
import type { Spec } from '../../src/ir/spec/spec.js';
import { frontend } from '../../src/passes/frontend.js';
import { normalize } from '../../src/passes/normalize/normalize.js';
import { isRefusal } from '../../src/passes/normalize/refusal.js';
import type { WebGpuRuntime } from '../../src/runtime/webgpu/index.js';
import { randomSource } from '../../src/support/random.js';
import { adapterFault } from './adapter.js';
import { direct } from './direct.js';
import { emulationFault } from './emulated.js';
import { compareTiles, type CompareOptions } from '../property/tiles.js';
import { printProgram, type Program } from './program.js';
import type { Failed } from '../../src/driver/problem.js';

const host = nodeHost();
const FILE = 'fuzz.lmoe';
const SHAPES = [[5, 0, 1, 8], [9], [1, 3], [16, 2], [0, 17]] as const;
export const TARGETS = [
  ['cuda.sm90', 'bf16'], ['webgpu', 'f32'], ['cuda.sm80', 'f32'], ['cuda.sm86', 'f16'], ['cuda.sm80', 'bf16'], ['cuda.sm90', 'f32'],
  ['webgpu', 'f16'],
] as const satisfies readonly (readonly [Target, 'f32' | 'bf16' | 'f16'])[];

export type Verdict =
  /** Agrees with its meaning, and all that was asked for is there. */
  | { readonly kind: 'right' }
  /** Numbers that are too large to compare. */
  | { readonly kind: 'wild' }
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'fault'; readonly what: string };

const fault = (what: string): Verdict => ({ kind: 'fault', what });

/** An error with numbers left out, so that the same fault has the same text in smaller programs. */
function crash(stage: string, error: unknown): Verdict {
  const text = error instanceof Error
    ? `${error.message}\n${(error.stack ?? '').split('\n').find((line) => line.includes('/src/')) ?? ''}`
    : String(error);
  return fault(`${stage}: ${text}`);
}

/** Where kernels run: CUDA ones compiled for the CPU, WGSL ones on an adapter. */
export interface Devices {
  readonly emulator?: boolean;
  readonly adapter?: WebGpuRuntime;
  /** Is the meaning itself held against plain loops over the program's tree? */
  readonly loops?: boolean;
}

/**
 * What becomes of a program: its numbers in tiles, and on devices if there are any, against its meaning, and its kernels for some targets.
 */
export async function judge(
  program: Program, targets: readonly (readonly [Target, 'f32' | 'bf16' | 'f16'])[], devices: Devices = {},
): Promise<Verdict> {
  const text = printProgram(program);
  let spec: Spec | undefined;
  try {
    const found = frontend(FILE, text);
    const errors = found.diagnostics.filter((d) => d.severity === 'error');
    if (errors.length > 0) return fault(`the front end refuses it: ${errors[0].code} ${errors[0].title}`);
    spec = found.specs[0];
  } catch (error) {
    return crash('front end', error);
  }
  let matrices = false;
  if (spec.mode === 'chunked') {
    try {
      matrices = normalize(spec).stages.some((stage) => stage.kind === 'matrix');
    } catch (error) {
      if (!isRefusal(error)) return crash('normalize', error);
    }
  }
  const numbers = await numbersOf(program, spec, devices);
  if (numbers.kind === 'fault') return numbers;
  const kernels = await kernelsOf(program, targets, numbers.kind === 'refused', matrices);
  return kernels ?? numbers;
}

async function numbersOf(program: Program, spec: Spec, { emulator, adapter, loops }: Devices): Promise<Verdict> {
  const seed = Number(/\d+$/.exec(program.name)?.[0] ?? 1);
  const random = randomSource(seed, 'call');
  const lengths = SHAPES[random.below(SHAPES.length)];
  const groups = 1 + random.below(2);
  const options: CompareOptions = {
    chunk: [4, 16, 8][random.below(3)], longest: 1 + random.below(2),
    segments: random.below(4) > 0, exactGates: random.below(2) > 0, halfOperands: random.below(3) === 0,
    inlineScores: (['none', 'diagonal', 'all'] as const)[random.below(3)], ...(
      random.below(2) > 0 && { fits: [within(0), within(40_000)][random.below(2)] }
    ),
  };
  const tokens = lengths.reduce<number>((sum, length) => sum + length, 0);
  const drawn = drawTensors(spec, { B: 1, T: tokens, H: 2, G: groups, N: lengths.length }, program.sizes, { seed });
  // A range is closed: every fourth program meets its ends.
  for (const { name, range } of spec.inputs) {
    const { lo, hi } = range;
    if (seed % 4 === 0 && lo === 0 && hi === 1) {
      drawn.get(name)?.data.forEach((_, i, data) => { if (i % 3 === 0) data[i] = [0, 1, 1e-40][(i / 3) % 3]; });
    }
  }
  const results = new Set([
    ...spec.outputs.map((output) => output.name), ...spec.states.map((state) => finalName(spec, state.name))
  ].map((name) => `d_${name}`));
  const tensors = [...drawn].map(([name, { data }]) => [name, Float64Array.from(data)] as const);
  const given = new Map(tensors.filter(([name]) => !results.has(name)));
  const cotangents = new Map(tensors.filter(([name]) => results.has(name)));
  try {
    const call = { sizes: program.sizes, heads: 2, groups, lengths };
    const wrong = loops === true ? meaningFault(program, spec, call, given) : undefined;
    if (wrong !== undefined) return fault(wrong);
    const made = compareTiles(spec, call, given, cotangents, options);
    const wanted = [...made.tensors.values()].map((tensor) => rms(tensor.wanted));
    const most = Math.max(0, ...wanted);
    if (!(most < 1e6)) return { kind: 'wild' };
    for (const [name, { found, wanted: meant }] of made.tensors) {
      const error = found === undefined ? NaN : rms(found.map((x, i) => x - meant[i]));
      if (!(error <= 1e-8 * rms(meant) + 1e-11 * Math.max(1, most))) {
        return fault(`${name} is off by ${error} of ${rms(meant)} (${JSON.stringify(options)})`);
      }
    }
    const odd = emulator === true && tokens > 0 ? emulationFault(spec, call, given, seed % 2 === 0)
      : adapter !== undefined ? await adapterFault(adapter, spec, call, given, cotangents) : undefined;
    return odd === undefined ? { kind: 'right' } : fault(odd);
  } catch (error) {
    if (isRefusal(error)) return placed(error.code, error.origin);
    return crash('numbers', error);
  }
}

/** What the oracle makes of a call that plain loops do not. */
function meaningFault(program: Program, spec: Spec, call: SpecCall, given: Tensors): string | undefined {
  const meant = runSpec(spec, call, given);
  for (const [name, values] of direct(program, call, given)) {
    const found = meant.get(name.startsWith('final ') ? finalName(spec, name.slice(6)) : name);
    const error = found === undefined || found.length !== values.length ? NaN : rms(found.map((x, i) => x - values[i]));
    const size = rms(Float64Array.from(values));
    if (size < 1e6 && !(error <= 1e-9 * Math.max(1, size))) return `the oracle's ${name} is off by ${error} of ${size}`;
  }
  return undefined;
}

function rms(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / Math.max(1, values.length));
}

function placed(code: string, { file, start, end }: Diagnostic['primary']['span']): Verdict {
  return file === FILE && end > start ? { kind: 'refused', code } : fault(`${code} has no place`);
}

/** The kernels for sizes that matrices of a device may have; undefined where all is well. */
async function kernelsOf(
  program: Program, targets: readonly (readonly [Target, 'f32' | 'bf16' | 'f16'])[], refused: boolean, matrices: boolean,
): Promise<Verdict | undefined> {
  // Without a state that is read along vectors any size will do.
  const sizes = new Map([...program.sizes].map(([axis, size]) => [axis, matrices ? 8 * (1 + size) : size + 4 * (size % 3)]));
  const source = sourceOf(host, FILE, printProgram({ ...program, sizes }));
  const [spec] = source.specs;
  const used = new Map([...sizes].filter(([name]) => spec.axes.some((axis) => axis.name === name)));
  try {
    const checked = checkScan(spec, used);
    const said = verdictOf(checked);
    if (said !== undefined && said.kind !== 'refused') return said;
    if ((said !== undefined) !== refused) {
      return fault(`check ${refused ? 'takes' : 'refuses'} what has ${refused ? 'no' : 'a'} chunked form: ${JSON.stringify(said)}`);
    }
    for (const [target, dtype] of targets) {
      const made = await compileScan(host, source, spec, { target, dtype, sizes: used, command: 'fuzz' });
      if (!('plan' in made)) {
        if (said === undefined) return fault(`check takes what build refuses: ${JSON.stringify(verdictOf(made))}`);
        continue;
      }
      const texts = [...made.files.values(), JSON.stringify(made.plan)];
      const odd = texts.map((text) => /(?<!\.)\b(?:undefined|NaN|null|\[object Object\])\b|[^A-Za-z_]-?Infinity/.exec(text)?.[0])
        .find((found) => found !== undefined);
      if (odd !== undefined) return fault(`${target} ${dtype} has the word ${odd}`);
    }
  } catch (error) {
    return crash('kernels', error);
  }
  return undefined;
}

function verdictOf(made: object | Failed): Verdict | undefined {
  if (isProblem(made)) return { kind: 'refused', code: made.code };
  if (!('diagnostics' in made) || !Array.isArray(made.diagnostics)) return undefined;
  const [first] = made.diagnostics as readonly Diagnostic[];
  return placed(first.code, first.primary.span);
}
