import { afterAll, describe, expect, it } from 'vitest';
import { DEFAULT_CAPABILITIES, type WgslCapabilities } from '../../../src/backends/wgsl/capabilities.js';
import { emitWgsl } from '../../../src/backends/wgsl/emit.js';
import { bufferElements, runTiles, type Rounding, type TileDims } from '../../../src/interp/tile.js';
import type { IoDtype } from '../../../src/ir/common/dtype.js';
import type { TileModule } from '../../../src/ir/tile/tile.js';
import { verifyTiles } from '../../../src/ir/tile/verify.js';
import type { HostArray } from '../../../src/runtime/runtime.js';
import type { WebGpuRuntime } from '../../../src/runtime/webgpu/index.js';
import { fromHalves, halfBits, halfValue, toHalves } from '../../../src/support/float.js';
import { randomSource } from '../../../src/support/random.js';
import { openSoftwareGpu } from '../../webgpu/adapters.js';
import { OPERATION_MODULES, remainders } from './modules.js';
import { plain } from './templates.js';

const LENGTHS = [35, 0, 1, 16];
const HEADS = 4;
const GROUPS = 2;
const SEGMENTATION = { programs: 8, least: 1 };

/** Largest |difference| / (1 + |expected|) of the outputs of `forward` on a device and in the float64 interpreter. */
async function worstError(
  runtime: WebGpuRuntime, module: TileModule, capabilities: WgslCapabilities, dtype: IoDtype, rounding?: Rounding,
): Promise<Readonly<Record<string, number>>> {
  const starts = LENGTHS.map((_, i) => LENGTHS.slice(0, i).reduce((sum, length) => sum + length, 0));
  const chunks = LENGTHS.reduce((sum, length) => sum + Math.ceil(length / module.chunk), 0);
  const dims: TileDims = {
    heads: HEADS, groups: GROUPS, runs: { token: LENGTHS.map((length, i) => [starts[i], length] as const) },
    longest: Math.max(SEGMENTATION.least, Math.ceil((chunks * HEADS) / SEGMENTATION.programs)),
  };
  const random = randomSource(7);
  const memory = new Map<string, Float64Array>();
  const given: Record<string, HostArray> = {};
  for (const buffer of module.buffers) {
    if (buffer.role !== 'input' && buffer.role !== 'initial') continue;
    // Gates go far below what e^-G could hold.
    const values = Float32Array.from(
      { length: bufferElements(module, buffer, dims) }, () => (buffer.name === 'g' ? -Math.abs(random.normal()) * 40 : random.normal()),
    );
    const half = buffer.dtype === 'io' && dtype !== 'f32' ? toHalves(dtype, values) : undefined;
    given[buffer.name] = half ?? values;
    memory.set(buffer.name, Float64Array.from(half === undefined || dtype === 'f32' ? values : fromHalves(dtype, half)));
  }
  runTiles(module, 'forward', dims, memory, rounding);
  const { plan, files } = emitWgsl(module, { ...plain, dtype, capabilities, segmentation: SEGMENTATION });
  const loaded = await runtime.load(plan, files);
  const made = await loaded.run('forward', given, { heads: HEADS, groups: GROUPS, lengths: LENGTHS });
  const errors: Record<string, number> = {};
  for (const [name, tensor] of Object.entries(made)) {
    const raw = await runtime.download(tensor);
    const found = raw instanceof Uint16Array && tensor.dtype !== 'f32' && tensor.dtype !== 'i32' ? fromHalves(tensor.dtype, raw) : raw;
    const expected = memory.get(name) ?? new Float64Array();
    errors[name] = expected.reduce(
      (worst, value, i) => Math.max(worst, Number.isNaN(found[i]) ? Infinity : Math.abs(found[i] - value) / (1 + Math.abs(value))), 0,
    );
    tensor.release();
  }
  loaded.release();
  expect(Object.keys(errors).length).toBeGreaterThan(0);
  return errors;
}

const within = (errors: Readonly<Record<string, number>>, limit: number) => Object.entries(errors).filter(([, error]) => !(error < limit));

/** All operations on one software adapter against the float64 interpreter. */
export async function describeOperations(name: 'swiftshader' | 'lavapipe'): Promise<void> {
  const runtime = await openSoftwareGpu(name);
  if ('why' in runtime) {
    it.skip(`operations on ${name}: ${runtime.why}`, () => undefined);
    return;
  }
  const modules = OPERATION_MODULES.map((module) => [module.name, module] as const);
  describe(`operations on ${name}`, () => {
    afterAll(() => runtime.release());

    it.each(modules)('%s, within the limits that every adapter has', async (_, module) => {
      expect(verifyTiles(module)).toEqual([]);
      expect(within(await worstError(runtime, module, DEFAULT_CAPABILITIES, 'f32'), 3e-5)).toEqual([]);
    });

    it.each(modules)('%s, with 512 bytes of workgroup memory', async (_, module) => {
      expect(within(await worstError(runtime, module, { ...DEFAULT_CAPABILITIES, workgroupBytes: 512 }, 'f32'), 3e-5)).toEqual([]);
    });

    const { f16, subgroups } = runtime.capabilities;
    const everything = `all that the adapter has${subgroups ? '' : ' (skipped: no subgroups)'}`;
    it.skipIf(!subgroups).each(modules)(`%s, with ${everything}`, async (_, module) => {
      expect(within(await worstError(runtime, module, runtime.capabilities, 'f32'), 3e-5)).toEqual([]);
    });

    const halved = modules.filter(([, module]) => ['products', 'loops'].includes(module.name))
      .map(([label, module]) => [label, halves(module)] as const);
    it.each(halved)('%s in bf16, as halves of words', async (_, module) => {
      expect(within(await worstError(runtime, module, DEFAULT_CAPABILITIES, 'bf16'), 0.005)).toEqual([]);
    });
    it.each(halved)('%s in f16, as halves of words', async (_, module) => {
      expect(within(await worstError(runtime, module, DEFAULT_CAPABILITIES, 'f16'), 0.0006)).toEqual([]);
    });
    it.each(['bf16', 'f16'] as const)('what %s has no digits for', async (dtype) => {
      const rounding: Rounding = { io: (value) => halfValue(dtype, halfBits(dtype, value)), operand: (value) => value };
      expect(within(await worstError(runtime, remainders(), DEFAULT_CAPABILITIES, dtype, rounding), 1e-6)).toEqual([]);
    });
    it.skipIf(!f16).each(halved)(`%s in f16 (${f16 ? 'shader-f16' : 'skipped: no shader-f16'})`, async (_, module) => {
      expect(within(await worstError(runtime, module, runtime.capabilities, 'f16'), 0.0006)).toEqual([]);
    });
  });
}

/** The same module with token tensors in the io dtype. */
function halves(module: TileModule): TileModule {
  return { ...module, buffers: module.buffers.map((buffer) => (buffer.outer === 'row' ? { ...buffer, dtype: 'io' } : buffer)) };
}
