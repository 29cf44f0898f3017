import { afterAll, describe, expect, it } from 'vitest';
import { emitWgsl } from '../../../src/backends/wgsl/emit.js';
import type { WebGpuRuntime } from '../../../src/runtime/webgpu/index.js';
import { openSoftwareGpu } from '../../webgpu/adapters.js';
import { mixture, mixtureByLoops, mixtureGiven, mixtureSizes } from '../mixture.js';
import { plain } from './templates.js';

const { plan, files } = emitWgsl(mixture, { ...plain, dtype: 'f32' });

describe('a mixture as WGSL', () => {
  it('counts and names what its domains have', () => {
    expect(plan.extents.experts).toEqual({ of: 'run', domain: 'slot' });
    expect(plan.dims.slot).toEqual(['slots', 'heads', 'groups', 'experts', 'tiles', 'spans']);
    const experts = plan.kernels.find(({ name }) => name === 'experts');
    expect(experts?.grid).toEqual([['tiles'], [1], [1]]);
    expect(experts?.args).toContainEqual({ kind: 'table', table: 'tiles' });
    expect(files.get('experts.wgsl')).toContain('let expert = tiles[4u * tile];');
  });
});

const opened = await openSoftwareGpu('lavapipe', 'swiftshader');
if ('why' in opened) it.skip(`a mixture on a device: ${opened.why}`, () => undefined);
else describe('a mixture on a device', () => onDevice(opened));

async function onDevice(runtime: WebGpuRuntime): Promise<void> {
  afterAll(() => runtime.release());
  const loaded = await runtime.load(plan, files);
  const given = mixtureGiven();
  const wanted = mixtureByLoops(given);
  const arrays = Object.fromEntries(Object.entries(given).map(([name, values]) => (
    [name, name === 'source' || name === 'slots' ? Int32Array.from(values) : Float32Array.from(values)]
  )));

  it.each([
    ['forward', 'y'], ['backward', 'd_w'],
  ] as const)('%s gives what loops over tokens and their experts give', async (program, name) => {
    const made = await loaded.run(program, arrays, mixtureSizes);
    const found = await runtime.download(made[name]);
    expect(found.length).toBe(wanted[name].length);
    for (const [i, value] of wanted[name].entries()) expect(Math.abs(found[i] - value)).toBeLessThan(1e-5 * (1 + Math.abs(value)));
  });

  it('needs the lengths of both domains', async () => {
    const { others: _, ...some } = mixtureSizes;
    await expect(loaded.run('forward', arrays, some)).rejects.toThrow('the lengths of the runs of slots are missing');
    await expect(loaded.run('mix', arrays, mixtureSizes)).rejects.toThrow('mixture has no program mix');
  });
}
