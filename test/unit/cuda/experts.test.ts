import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { mixture, mixtureByLoops, mixtureGiven, mixtureSizes } from '../mixture.js';
import { compiler, emulate, runKernels } from './emulate.js';
import { templates } from './templates.js';

const given = new Map(Object.entries(mixtureGiven()));
const options = { call: mixtureSizes, longest: 2, programs: ['forward', 'backward'], given };

describe.skipIf(!compiler)('a mixture over tokens and slots as CUDA (skipped without g++)', () => {
  it('in f32 gives what loops over tokens and their experts give', () => {
    const wanted = mixtureByLoops(mixtureGiven());
    const names = new Set<string>();
    runKernels(mixture, { ...options, dtype: 'f32', plain: false }, (program, _, results) => {
      const name = program === 'forward' ? 'y' : 'd_w';
      const found = results.get(name) ?? new Float64Array();
      names.add(name);
      for (const [i, value] of wanted[name].entries()) expect(Math.abs(found[i] - value)).toBeLessThan(1e-5 * (1 + Math.abs(value)));
    });
    expect([...names]).toEqual(['y', 'd_w']);
  });

  it('in bf16 is for the lowering that gathers', () => {
    const { plan } = emitCuda(
      mixture, { target: 'cuda.sm90', dtype: 'bf16', source: { hash: '', compiler: '', command: '' }, doc: '', templates },
    );
    expect(plan.kernels.map(({ name, plainWhy }) => [name, plainWhy])).toContainEqual(['weights', 'gathered rows']);
    for (const [name, error] of emulate(mixture, { ...options, dtype: 'bf16', plain: false, orders: ['0'] })) {
      expect([name, error < 1e-2]).toEqual([name, true]);
    }
  });
});
