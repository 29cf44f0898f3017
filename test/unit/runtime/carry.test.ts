import { afterAll, describe, expect, it } from 'vitest';
import { emitWgsl } from '../../../src/backends/wgsl/emit.js';
import { frontend } from '../../../src/passes/frontend.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { openScan, readFloats, tensor, type Results } from '../../../src/runtime/bindings.js';
import type { WebGpuRuntime } from '../../../src/runtime/webgpu/index.js';
import { randomSource } from '../../../src/support/random.js';
import { openSoftwareGpu } from '../../webgpu/adapters.js';
import { plain } from '../wgsl/templates.js';

const SOURCE = `scan shift(q, k: [K], v: [V], g: [] in -inf..0) -> o: [V] with K = 4, V = 4 {
  param mix: [K]
  state S: [K, V]

  let key = k + mix * (k[t-1] - k)
  S = exp(g) * S[t-1] + outer(key, v)
  o = q @ S
}`;

const runtime = await openSoftwareGpu('swiftshader', 'lavapipe');
if ('why' in runtime) it.skip(`calls that go on from calls: ${runtime.why}`, () => undefined);
else describe('calls that go on from calls', () => carryTests(runtime));

function carryTests(device: WebGpuRuntime): void {
  afterAll(() => device.release());

  it('have the results and gradients of one call, what an input was before among the states', async () => {
    const scan = await openShift(device);
    const random = randomSource(1);
    const numbers = (count: number) => Float32Array.from({ length: count }, () => random.uniform() - 0.5);
    const T = 20;
    const whole = { q: numbers(4 * T), k: numbers(4 * T), v: numbers(4 * T), g: numbers(T).map((x) => x - 1) };
    const d_o = numbers(4 * T);
    const mix = tensor('H K', [1, 4], numbers(4));
    const inputs = (from: number, to: number) => ({
      ...Object.fromEntries(Object.entries(whole).map(([name, data]) => {
        const width = data.length / T;
        const part = data.slice(from * width, to * width);
        return [
          name,
          width === 1 ? tensor('B T H', [1, to - from, 1], part) : tensor(`B T H ${name === 'v' ? 'V' : 'K'}`, [1, to - from, 1, 4], part),
        ];
      })),
      mix,
    });
    const cotangent = (from: number, to: number) => ({ o: tensor('B T H V', [1, to - from, 1, 4], d_o.slice(4 * from, 4 * to)) });
    const values = async (results: Results, name: string, axes: string) => [...await readFloats(device, results.take(name, axes))];

    const all = await scan.backward(inputs(0, T), cotangent(0, T));
    const cut = 7;
    const left = await scan.forward(inputs(0, cut), {});
    const state = { S: left.take('S', 'N H K V'), k_prev: left.take('k_prev', 'N H K') };
    const right = await scan.backward(inputs(cut, T), cotangent(cut, T), { state });
    const handed = { S: right.take('d_S', 'N H K V'), k_prev: right.take('d_k_prev', 'N H K') };
    const first = await scan.backward(inputs(0, cut), { ...cotangent(0, cut), state: handed });
    for (const [name, axes] of [['d_k', 'B T H K'], ['d_q', 'B T H K'], ['d_v', 'B T H V'], ['d_g', 'B T H']]) {
      const expected = await values(all, name, axes);
      const found = [...await values(first, name, axes), ...await values(right, name, axes)];
      found.forEach((value, i) => expect(value, `${name}[${i}]`).toBeCloseTo(expected[i], 5));
    }
    const halves = await Promise.all([first, right].map((results) => values(results, 'd_mix', 'H K')));
    (await values(all, 'd_mix', 'H K')).forEach((value, i) => expect(halves[0][i] + halves[1][i]).toBeCloseTo(value, 5));
    // The test would show nothing if nothing flowed back.
    expect((await values(right, 'd_k_prev', 'N H K')).some((value) => Math.abs(value) > 1e-3)).toBe(true);
  });
}

async function openShift(device: WebGpuRuntime) {
  const { specs: [spec] } = frontend('shift.lmoe', SOURCE);
  const { module } = lowerScan(spec, new Map([['K', 4], ['V', 4]]), { chunk: 16 });
  const made = emitWgsl(module, { ...plain, dtype: 'f32', capabilities: device.capabilities });
  const files = new Map([...made.files].map(([name, text]) => [`webgpu.f32/${name}`, text]));
  const read = async (name: string) => new TextEncoder().encode(
    name.endsWith('plan.json') ? JSON.stringify(made.plan) : files.get(name) ?? ''
  );
  return openScan(device, read, ['webgpu.f32'], { K: 4, V: 4 });
}
