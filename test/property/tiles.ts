import { gradSpec } from '../../src/interp/spec-gradient.js';
import type { SpecCall, Tensors } from '../../src/interp/spec-machine.js';
import { runTiles, type TileDims } from '../../src/interp/tile.js';
import type { BufferRole, TileModule } from '../../src/ir/tile/tile.js';
import { verifyTiles } from '../../src/ir/tile/verify.js';
import type { Spec } from '../../src/ir/spec/spec.js';
import { finalName } from '../../src/ir/spec/names.js';
import { lowerScan, type LowerOptions } from '../../src/passes/pipeline.js';

/** What a tile module and the meaning of its spec make of the same tensors. */
export interface Comparison {
  /** rms(difference) / rms(expected) by program and tensor, such as `forward o`. */
  readonly errors: ReadonlyMap<string, number>;
  readonly worst: number;
  /** What was found, and what the meaning gives. */
  readonly tensors: ReadonlyMap<string, { readonly found: Float64Array | undefined; readonly wanted: Float64Array }>;
  readonly module: TileModule;
}

export interface CompareOptions extends LowerOptions {
  /** Chunks that a segment has at most. */
  readonly longest?: number;
}

/** Plan names of the tensors that a file names differently (runtime/names.ts). */
export function bufferName(module: TileModule, role: BufferRole, name: string): string | undefined {
  const d = name.startsWith('d_') ? 'd_' : '';
  const plain = name.slice(d.length);
  const candidates = [name, `${d}final.${plain}`, `${d}initial.${plain}`];
  return candidates.find((candidate) => module.buffers.some((buffer) => buffer.role === role && buffer.name === candidate));
}

/** Runs all programs of a scan in the tile interpreter and compares them with token-by-token meaning. Throws if the module is malformed. */
export function compareTiles(spec: Spec, call: SpecCall, given: Tensors, cotangents: Tensors, options: CompareOptions = {}): Comparison {
  const { module } = lowerScan(spec, call.sizes, { pieces: true, ...options });
  const faults = verifyTiles(module);
  if (faults.length > 0) throw new Error(faults.join('\n'));
  let start = 0;
  const sequences = call.lengths.map((length): readonly [number, number] => {
    start += length;
    return [start - length, length];
  });
  const dims: TileDims = {
    heads: call.heads, groups: call.groups, runs: { token: sequences }, ...(
      options.longest === undefined ? {} : { longest: options.longest }
    ),
  };
  const expected = gradSpec(spec, call, given, cotangents);
  const errors = new Map<string, number>();
  const tensors = new Map<string, { readonly found: Float64Array | undefined; readonly wanted: Float64Array }>();
  const run = (program: string, names: readonly string[], role: (name: string) => BufferRole): void => {
    const buffers = new Map<string, Float64Array>();
    for (const [name, data] of [...given, ...(module.programs[program].takes.some((name) => name.startsWith('d_')) ? cotangents : [])]) {
      for (const from of ['input', 'param', 'initial', 'cotangent'] as const) {
        const buffer = bufferName(module, from, name);
        if (buffer !== undefined) buffers.set(buffer, data);
      }
    }
    const before = new Set(buffers.keys());
    runTiles(module, program, dims, buffers);
    for (const name of names) {
      const buffer = bufferName(module, role(name), name);
      const wanted = expected.get(name);
      if (wanted === undefined) throw new Error(`the meaning gives no ${name}`);
      const found = buffer === undefined || before.has(buffer) ? undefined : buffers.get(buffer);
      tensors.set(`${program} ${name}`, { found, wanted });
      errors.set(`${program} ${name}`, found === undefined ? NaN : distance(found, wanted));
    }
  };
  const outputs = new Set(spec.outputs.map((output) => output.name));
  const finals = spec.states.map((state) => finalName(spec, state.name));
  const gradients = [...spec.inputs, ...spec.params, ...spec.states].map((x) => `d_${x.name}`);
  const resultRole = (name: string): BufferRole => (outputs.has(name) ? 'output' : 'final');
  run('forward', [...outputs, ...finals], resultRole);
  run('backward', gradients, () => 'gradient');
  if (module.programs.step.launches.length > 0) run('step', [...outputs, ...finals], resultRole);
  if (module.programs.ends !== undefined) run('ends', finals, () => 'final');
  if (module.programs.reverse_ends !== undefined) run('reverse_ends', spec.states.map((x) => `d_${x.name}`), () => 'gradient');
  return {
    errors, tensors,
    worst: [...errors.values()].reduce((worst, error) => (error <= worst ? worst : Number.isNaN(error) ? Infinity : error), 0), module,
  };
}

/** rms(difference) / rms(expected); plain rms where nothing is expected. NaN counts as infinitely far. */
export function distance(found: Float64Array, expected: Float64Array): number {
  if (found.length !== expected.length) return Infinity;
  let difference = 0;
  let size = 0;
  expected.forEach((value, i) => {
    difference += (found[i] - value) ** 2;
    size += value * value;
  });
  if (Number.isNaN(difference)) return Infinity;
  const n = Math.max(1, expected.length);
  return size === 0 ? Math.sqrt(difference / n) : Math.sqrt(difference / size);
}
