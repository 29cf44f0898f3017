import { afterAll, describe, expect, it } from 'vitest';
import { emitWgsl } from '../../src/backends/wgsl/emit.js';
import { runTiles } from '../../src/interp/tile.js';
import { verifyTiles } from '../../src/ir/tile/verify.js';
import type { WebGpuRuntime } from '../../src/runtime/webgpu/index.js';
import { openSoftwareGpu } from '../webgpu/adapters.js';
import { compiler, runKernels } from './cuda/emulate.js';
import { order, orderGiven, orderWanted } from './order.js';
import { plain } from './wgsl/templates.js';

/** Runs of none, of one and of more rows than a workgroup has invocations. */
const CALLS: readonly (readonly number[])[] = [[5, 0, 1, 70], [1], [0, 300]];

describe('the largest along rows', () => {
  it('is well formed', () => expect(verifyTiles(order)).toEqual([]));

  for (const lengths of CALLS) {
    const given = orderGiven(lengths);
    const wanted = orderWanted(lengths, given);
    const spans = lengths.map((length, i) => [lengths.slice(0, i).reduce((a, b) => a + b, 0), length] as const);

    it(`of ${lengths.join(', ')} are those that sorting gives, in the interpreter of tiles`, () => {
      const memory = new Map(given);
      runTiles(order, 'forward', { heads: 1, groups: 1, runs: { token: spans } }, memory);
      for (const [name, data] of Object.entries(wanted)) expect([name, memory.get(name)]).toEqual([name, data]);
    });

    it.skipIf(!compiler)(`of ${lengths.join(', ')} are the same as CUDA (skipped without g++)`, () => {
      const call = { heads: 1, groups: 1, lengths };
      let seen = 0;
      const options = { dtype: 'f32', plain: false, call, longest: 2, programs: ['forward'], races: true, given } as const;
      runKernels(order, options, (_, __, results) => {
        for (const [name, data] of Object.entries(wanted)) expect([name, results.get(name)]).toEqual([name, data]);
        seen++;
      });
      expect(seen).toBeGreaterThan(0);
    });
  }
});

const opened = await openSoftwareGpu('lavapipe', 'swiftshader');
if ('why' in opened) it.skip(`the largest along rows on a device: ${opened.why}`, () => undefined);
else describe('the largest along rows on a device', () => onDevice(opened));

function onDevice(runtime: WebGpuRuntime): void {
  afterAll(() => runtime.release());
  for (const lengths of CALLS) {
    it(`of ${lengths.join(', ')} are those that sorting gives`, async () => {
      const given = orderGiven(lengths);
      const { plan, files } = emitWgsl(order, { ...plain, dtype: 'f32' });
      const loaded = await runtime.load(plan, files);
      const arrays = Object.fromEntries([...given].map(([name, data]) => [name, Float32Array.from(data)]));
      const made = await loaded.run('forward', arrays, { heads: 1, groups: 1, lengths });
      for (const [name, data] of Object.entries(orderWanted(lengths, given))) {
        expect([name, Float64Array.from(await runtime.download(made[name]))]).toEqual([name, data]);
      }
    });
  }
}
