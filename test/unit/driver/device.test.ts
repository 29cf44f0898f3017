import { describe, expect, it } from 'vitest';
import { nodeHost } from '../../../src/driver/host.js';
import { runOnDevice } from '../../../src/driver/scan/run/device.js';
import type { CallShape } from '../../../src/driver/run/validate.js';
import type { Plan } from '../../../src/ir/plan/plan.js';
import {
  LimitError, RuntimeError, type CallTensors, type DeviceTensor, type LoadedPlan, type Runtime,
} from '../../../src/runtime/runtime.js';
import { plan as sample, spec } from '../emit/sample.js';

/** The scan of sample.ts with states that plans and files name differently. */
const plan: Plan = {
  ...sample,
  dtype: 'bf16',
  tensors: [
    { name: 'q', role: 'input', dtype: 'bf16', shape: ['tokens', 'groups', 2], axes: ['K'] },
    { name: 'A_log', role: 'param', dtype: 'f32', shape: ['heads'], axes: [] },
    { name: 'initial.h', role: 'initial', dtype: 'f32', shape: ['sequences', 'heads', 3], axes: ['V'] },
    { name: 'h', role: 'output', dtype: 'bf16', shape: ['tokens', 'heads', 3], axes: ['V'] },
    { name: 'final.h', role: 'final', dtype: 'f32', shape: ['sequences', 'heads', 3], axes: ['V'] },
    { name: 'd_h', role: 'cotangent', dtype: 'bf16', shape: ['tokens', 'heads', 3], axes: ['V'] },
    { name: 'd_final.h', role: 'cotangent', dtype: 'f32', shape: ['sequences', 'heads', 3], axes: ['V'] },
    { name: 'd_initial.h', role: 'gradient', dtype: 'f32', shape: ['sequences', 'heads', 3], axes: ['V'] },
  ],
};
const compiled = {
  spec, scan: undefined,
  module: { name: 'x', chunk: 16, sizes: new Map(), domains: [], buffers: [], kernels: [], programs: {} }, plan,
  files: new Map(),
};
const call: CallShape = {
  batch: 1, tokens: 1, heads: 1, groups: 1, lengths: [1], cuSeqlens: undefined, sizes: new Map([['K', 2], ['V', 3]]),
};
const values = new Map(['q', 'A_log', 'h', 'd_h', 'd_final.h'].map((name) => [name, Float64Array.of(1)] as const));
const host = nodeHost();

interface Behaviour {
  readonly load?: () => void;
  readonly run?: (tensors: CallTensors) => void;
}

function runtime({ load, run }: Behaviour): Runtime {
  const tensor = (dtype: 'bf16' | 'f32'): DeviceTensor => ({ dtype, shape: [1], release() {} });
  const results = { h: tensor('bf16'), 'final.h': tensor('f32') };
  const made: Record<string, Record<string, DeviceTensor>> = {
    forward: results, backward: { 'd_initial.h': tensor('f32') }, step: results,
  };
  const loaded: LoadedPlan = {
    plan,
    async run(program, tensors) {
      run?.(tensors);
      return made[program];
    },
    release() {},
  };
  return {
    kind: 'webgpu', device: 'none', upload: () => tensor('f32'), empty: () => tensor('f32'), release() {},
    download: async ({ dtype }) => (dtype === 'bf16' ? Uint16Array.of(0x4000) : Float32Array.of(3)),
    async load() {
      load?.();
      return loaded;
    },
  };
}

describe('a run on a device', () => {
  it('calls tensors by the names of the plan, and gives results by those of the file contract', async () => {
    const seen: CallTensors[] = [];
    const found = await runOnDevice(host, runtime({ run: (tensors) => seen.push(tensors) }), compiled, call, values, { step: true });
    if ('code' in found) throw new Error(found.title);
    expect(seen).toHaveLength(3);
    expect(Object.keys(seen[0]).sort()).toEqual(['A_log', 'd_final.h', 'd_h', 'initial.h', 'q']);
    expect([seen[0].q, seen[0].A_log]).toEqual([Uint16Array.of(0x3f80), Float32Array.of(1)]);
    expect([...found.forward]).toEqual([['h', Float64Array.of(2)], ['final.h', Float64Array.of(3)]]);
    expect([...found.backward]).toEqual([['d_h', Float64Array.of(3)]]);
    expect([...(found.step ?? [])].map(([name]) => name)).toEqual(['h', 'final.h']);
  });

  it('has no gradients without a cotangent', async () => {
    const found = await runOnDevice(host, runtime({}), compiled, call, new Map([['q', Float64Array.of(1)]]), { step: false });
    expect(found).toMatchObject({ backward: new Map(), step: undefined });
  });

  it('says that a device does not take the kernels (E602), or that it failed while running (E604), or cannot hold it (E812)', async () => {
    const fail = (): void => { throw new RuntimeError(
      'the plan is for compute capability 9.0, the device has 8.6', 'load the plan for cuda.sm80',
    ); };
    expect(await runOnDevice(host, runtime({ load: fail }), compiled, call, values, { step: false })).toMatchObject({
      code: 'E602', title: expect.stringMatching(/9\.0/), help: ['load the plan for cuda.sm80'],
    });
    expect(await runOnDevice(
      host, runtime({ run: fail }), compiled, call, values, { step: false },
    )).toMatchObject({ code: 'E604', help: ['load the plan for cuda.sm80'] });
    const limited = (): void => { throw new LimitError('x takes 600 MiB; this adapter binds 128 MiB at most', 'split the call'); };
    expect(await runOnDevice(
      host, runtime({ run: limited }), compiled, call, values, { step: false },
    )).toMatchObject({ code: 'E812', help: ['split the call'] });
    // What only we can cause is no message to the user.
    await expect(runOnDevice(
      host, runtime({ run: () => { throw new Error('ours'); } }), compiled, call, values, { step: false },
    )).rejects.toThrow('ours');
  });
});
