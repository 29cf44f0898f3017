import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import type { TileDims } from '../../../src/interp/tile.js';
import { bytesOf, type IoDtype } from '../../../src/ir/common/dtype.js';
import type { Plan, PlanArg, PlanTensor } from '../../../src/ir/plan/plan.js';
import type { TileBuffer, TileModule } from '../../../src/ir/tile/tile.js';
import { isNeedless, launchesOf } from '../../../src/runtime/programs.js';
import { extentsOf, gridOf, kindOf, shapeOf, type CallSizes } from '../../../src/runtime/extents.js';
import { mappedTensor } from '../../../src/runtime/cuda/tensor-map.js';
import { halfBits, halfValue } from '../../../src/support/float.js';
import { randomSource } from '../../../src/support/random.js';
import type { CudaTarget } from '../../../src/backends/cuda/lowered.js';
import { distance } from '../../property/tiles.js';
import { compiled, STAND_INS } from './emulator.js';
import { templates, wholeText } from './templates.js';
import { resultsOf } from '../results.js';
import { tablesOf } from '../rows.js';

export { compiler } from './emulator.js';

export interface EmulateOptions {
  readonly dtype: IoDtype;
  /** cuda.sm90 if not given. */
  readonly target?: CudaTarget;
  /** Only the plain lowering. */
  readonly plain: boolean;
  readonly call: CallSizes;
  readonly longest: number;
  readonly programs: readonly string[];
  /** Watches every access to shared memory, and fails where no barrier puts two in an order. */
  readonly races?: boolean;
  /** How threads take turns (emulator.h): where one forgets a barrier or a wait, results differ. */
  readonly orders?: readonly string[];
  /** Changes the text of the kernels, to see whether that is noticed. */
  readonly spoil?: (text: string) => string;
  /** Values of some buffers, where those drawn here would not do. */
  readonly given?: ReadonlyMap<string, Float64Array>;
}

/** rms(difference) / rms(expected) of everything that the programs write, by `program tensor`. */
export function emulate(module: TileModule, options: EmulateOptions): ReadonlyMap<string, number> {
  const errors = new Map<string, number>();
  runKernels(module, options, (program, given, results) => {
    for (const [name, wanted] of meaning(module, program, options, given)) {
      const found = results.get(name);
      if (found === undefined) throw new Error(`no tensor ${name}`);
      const key = `${program} ${name}`;
      errors.set(key, Math.max(errors.get(key) ?? 0, distance(found.slice(0, wanted.length), wanted)));
    }
  });
  return errors;
}

export type Results = { get(name: string): Float64Array | undefined };

/**
 * Runs the kernels of some programs, each in every order, and shows what they made of the given tensors. Throws where a kernel does what it
 * must not.
 */
export function runKernels(
  module: TileModule, options: EmulateOptions,
  see: (program: string, given: ReadonlyMap<string, Float64Array>, results: Results) => void,
): void {
  const { dtype, call, target = 'cuda.sm90', orders = ['0', '1'], spoil = (text) => text, races = false } = options;
  const standIns = { ...templates, ...STAND_INS };
  const emitted = emitCuda(
    module, { target, dtype, source: { hash: '', compiler: '', command: '' }, doc: '', templates: standIns, plain: options.plain },
  );
  // As many segments as the interpreter makes.
  const plan: Plan = { ...emitted.plan, segmentation: { programs: Number.MAX_SAFE_INTEGER, least: options.longest } };
  // The emulator gives shared memory a guarded place of its own.
  const source = spoil(wholeText(emitted).replace(/^extern __shared__.*$/m, ''));
  const given = draw(module, plan, options);
  const folder = mkdtempSync(join(tmpdir(), 'lmoec-emulate-'));
  try {
    const text = [source, mainText(plan, call, options.programs)].join('\n');
    writeFileSync(join(folder, 'k'), compiled(text, { sm90: target === 'cuda.sm90', half: dtype === 'f16', races }), { mode: 0o755 });
    for (const program of options.programs) {
      // What it does not take is nobody's yet, whatever a test knows of it.
      const takes = new Set(module.programs[program].takes);
      const valueOf = ({ name, role }: PlanTensor) => (GIVEN.has(role) || takes.has(name) ? given.get(name) : undefined);
      for (const [name, table] of tablesOf(plan, call)) writeFileSync(join(folder, `${name}.bin`), table);
      for (const order of orders) {
        for (const tensor of plan.tensors) {
          const nothing = order === '1' ? LARGE[tensor.dtype] : NaN;
          const values = valueOf(tensor) ?? new Float64Array(count(tensor, plan, call)).fill(nothing);
          writeFileSync(join(folder, `${tensor.name}.bin`), encode(withGaps(values, tensor, plan, call, nothing), tensor.dtype));
        }
        const run = spawnSync(join(folder, 'k'), [program, order], { cwd: folder, encoding: 'utf8' });
        if (run.status !== 0) throw new Error(`${module.name} ${program}, order ${order}: ${run.stderr} ${run.signal ?? ''}`);
        see(program, given, {
          get(name) {
            const tensor = plan.tensors.find((candidate) => candidate.name === name);
            return tensor === undefined ? undefined : decode(readFileSync(join(folder, `${name}.out`)), tensor.dtype);
          },
        });
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * What memory that nobody wrote holds where shared memory has large numbers, too (emulator.cc): the larger of NaN and another is the
 * other.
 */
const LARGE: Readonly<Record<PlanTensor['dtype'], number>> = { f32: 1e30, bf16: 1e30, f16: 6e4, i32: 2 ** 30 };

function count(tensor: PlanTensor, plan: Plan, call: CallSizes): number {
  return shapeOf(tensor, extentsOf(plan, call)).reduce((n, extent) => n * extent, 1);
}

/** Elements between tokens and between heads: inputs per token lie here as slices of something wider. */
function distancesOf(tensor: PlanTensor, plan: Plan, call: CallSizes): { readonly token: number; readonly head: number } | undefined {
  if (kindOf(plan, tensor.shape[0]) !== 'row' || tensor.role !== 'input') return undefined;
  const { inner, cell } = cellsOf(tensor, plan, call);
  return { token: 2 * inner * cell + 16, head: 2 * cell };
}

/** Of a tensor per token: tokens, heads (one, where it has none), elements of each. */
function cellsOf(
  tensor: PlanTensor, plan: Plan, call: CallSizes,
): { readonly tokens: number; readonly inner: number; readonly cell: number } {
  const [tokens, ...rest] = shapeOf(tensor, extentsOf(plan, call));
  const own = typeof tensor.shape[1] === 'string' ? rest.slice(1) : rest;
  return { tokens, inner: own.length < rest.length ? rest[0] : 1, cell: own.reduce((n, extent) => n * extent, 1) };
}

/** The values of a tensor where kernels look for them, and others between. */
function withGaps(values: Float64Array, tensor: PlanTensor, plan: Plan, call: CallSizes, between: number): Float64Array {
  const apart = distancesOf(tensor, plan, call);
  if (apart === undefined) return values;
  const { tokens, inner, cell } = cellsOf(tensor, plan, call);
  const wide = new Float64Array(tokens * apart.token).fill(between);
  for (let t = 0; t < tokens; t++) {
    for (let h = 0; h < inner; h++) wide.set(
      values.subarray((t * inner + h) * cell, (t * inner + h + 1) * cell), t * apart.token + h * apart.head,
    );
  }
  return wide;
}

const GIVEN = new Set<TileBuffer['role']>(['input', 'param', 'initial', 'cotangent']);

/** Small numbers; what may decay something is negative. Rounded as the device will see them. */
function draw(module: TileModule, plan: Plan, options: EmulateOptions): Map<string, Float64Array> {
  const random = randomSource(7, module.name);
  const values = new Map<string, Float64Array>();
  for (const buffer of module.buffers) {
    const tensor = plan.tensors.find((candidate) => candidate.name === buffer.name);
    // Workspaces that a program takes have no values of their own.
    if (tensor === undefined || !(GIVEN.has(buffer.role) || options.given?.has(buffer.name))) continue;
    const gate = buffer.role === 'input' && buffer.dtype === 'f32';
    const raw = options.given?.get(buffer.name) ?? Float64Array.from(
      { length: count(tensor, plan, options.call) }, () => (gate ? -random.uniform() : random.uniform() - 0.5),
    );
    values.set(buffer.name, Float64Array.from(decode(encode(raw, tensor.dtype), tensor.dtype)));
  }
  return values;
}

function meaning(
  module: TileModule, program: string, options: EmulateOptions, given: ReadonlyMap<string, Float64Array>,
): ReadonlyMap<string, Float64Array> {
  const { call: { heads, groups, lengths, others }, longest } = options;
  const spans = (counts: readonly number[]) => {
    let start = 0;
    return counts.map((length): readonly [number, number] => {
      start += length;
      return [start - length, length];
    });
  };
  const all = { [module.domains[0].row]: lengths, ...others };
  const runs = Object.fromEntries(Object.entries(all).map(([domain, counts]) => [domain, spans(counts)]));
  const dims: TileDims = { heads, groups, runs, longest };
  return resultsOf(module, program, dims, given);
}

function mainText(plan: Plan, call: CallSizes, programs: EmulateOptions['programs']): string {
  const extents = extentsOf(plan, call);
  const type = (tensor: string) => {
    const dtype = plan.tensors.find((candidate) => candidate.name === tensor)?.dtype ?? 'f32';
    return dtype === 'i32' ? 'int' : dtype;
  };
  const argument = (arg: PlanArg): string => {
    switch (arg.kind) {
      case 'tensor': return `(${type(arg.tensor)}*)data("${arg.tensor}")`;
      case 'table': return `(${arg.access === 'write' ? '' : 'const '}int*)data("${arg.table}")`;
      case 'dims': return `Dims{${plan.dims[arg.domain].map((name) => extents[name]).join(', ')}}`;
      case 'strides': {
        const tensor = plan.tensors.find((candidate) => candidate.name === arg.tensor);
        const apart = tensor === undefined ? undefined : distancesOf(tensor, plan, call);
        if (apart === undefined) throw new Error(`${arg.tensor} has no distances`);
        return `Strides{${apart.token}, ${apart.head}}`;
      }
      case 'tensorMap': {
        const tensor = plan.tensors.find((candidate) => candidate.name === arg.tensor);
        if (tensor === undefined) throw new Error(`no tensor ${arg.tensor}`);
        const { dims, strides: dense } = mappedTensor(tensor, extents, arg.box);
        const apart = distancesOf(tensor, plan, call);
        const strides = apart === undefined
          ? dense : [apart.head, apart.token].slice(3 - arg.box.length).map((n) => n * bytesOf(tensor.dtype));
        const list = (numbers: readonly number[], count: number) => `{${[...numbers, 1].slice(0, count).join(', ')}}`;
        return `TensorMap{(const u8*)data("${arg.tensor}"), ${dims.length}, ${list(dims, 3)}, ${list(strides, 2)}, ${list(arg.box, 3)}, `
          + `${bytesOf(tensor.dtype)}}`;
      }
      case 'arena': throw new Error(`${arg.kind} in a plan for CUDA`);
    }
  };
  const launches = programs.map((program) => [
    `  if (program == "${program}") {`,
    ...launchesOf(plan, program, extents).flatMap((launch) => {
      if (isNeedless({ ...launch, grouped: undefined }, extents, false)) return [];
      const kernel = plan.kernels.find((candidate) => candidate.name === launch.kernel);
      if (kernel === undefined) throw new Error(`no kernel ${launch.kernel}`);
      const [x, y] = gridOf(kernel, extents);
      return `    launch("${kernel.name}", {${x}, ${y}, 1}, ${kernel.block}, ${Math.max(kernel.sharedBytes, 16)}, `
        + `+[] { ${kernel.entry}(${kernel.args.map(argument).join(', ')}); });`;
    }),
    '  }',
  ].join('\n'));
  const files = [...plan.tensors.map((tensor) => tensor.name), ...Object.keys(plan.tables)];
  return `
void* data(const char* name);
void load(const char* name);
void store_all();
int main(int, char** argv) {
  const std::string program = argv[1];
  set_order(atoi(argv[2]));
  catch_faults();
  for (auto name : {${files.map((name) => `"${name}"`).join(', ')}}) load(name);
${launches.join('\n')}
  store_all();
}
`;
}

function encode(values: Float64Array, dtype: PlanTensor['dtype']): Uint8Array {
  switch (dtype) {
    case 'f32': {
      const floats = Float32Array.from(values);
      const bits = new Uint32Array(floats.buffer);
      // NaN as devices make it.
      values.forEach((x, i) => { if (Number.isNaN(x)) bits[i] = 0x7fffffff; });
      return new Uint8Array(floats.buffer);
    }
    case 'i32': return new Uint8Array(Int32Array.from(values).buffer);
    case 'f16': case 'bf16': return new Uint8Array(Uint16Array.from(values, (x) => halfBits(dtype, x)).buffer);
  }
}

function decode(bytes: Uint8Array, dtype: PlanTensor['dtype']): Float64Array {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  switch (dtype) {
    case 'f32': return Float64Array.from(new Float32Array(buffer));
    case 'i32': return Float64Array.from(new Int32Array(buffer));
    case 'f16': case 'bf16': return Float64Array.from(new Uint16Array(buffer), (bits) => halfValue(dtype, bits));
  }
}
