import { describe, expect, it } from 'vitest';
import { RANGES, times } from '../../../scripts/gpu-inputs.mjs';
import { NO_EXAMPLES } from '../../examples.js';
import { compiler } from './emulate.js';
import { judge, type TensorRun } from './tensor-runs.js';

const CASES: readonly (readonly [
  name: string, what: string, factors: Readonly<Record<string, number>>, run: Omit<TensorRun, 'dtype' | 'adjust'>,
])[] = [
  ...(['simple_gla', 'gla', 'gated_delta', 'rwkv6'] as const).flatMap((name) => [
    [name, 'large states', RANGES.states, { sizes: [64], target: 'cuda.sm90' }] as const,
    [name, 'large cotangents', name === 'gated_delta' ? RANGES.erasedCotangents : RANGES.cotangents, {
      sizes: [64], target: 'cuda.sm90',
    }] as const,
  ]),
  ['gated_delta', 'small cotangents', RANGES.small, { sizes: [64], target: 'cuda.sm80' }],
  // Operands in two parts, several warpgroups to a fragment, gates along the value axis, small heads, plain kernels.
  ['gdn2', 'large states', RANGES.states, { sizes: [64], target: 'cuda.sm90' }],
  ['kda', 'large states', RANGES.states, { sizes: [128], target: 'cuda.sm90', lengths: [70] }],
  ['rwkv7', 'large cotangents', RANGES.cotangents, { sizes: [128], target: 'cuda.sm90', lengths: [70] }],
  ['hgrn2', 'large states', RANGES.states, { sizes: [24, 40], target: 'cuda.sm80', lengths: [70] }],
  ['gsa', 'large cotangents', { d_keys: 1e5, d_values: 1e5, v: 1e-2, k: 1e-2 }, { sizes: [64], target: 'cuda.sm80', lengths: [70] }],
  ['delta_product', 'large states', RANGES.states, { sizes: [24, 40], target: 'cuda.sm90', lengths: [77] }],
];

describe.skipIf(!compiler || NO_EXAMPLES)('f16 with numbers that only f32 holds (skipped where g++ or the examples are missing)', () => {
  it.each(CASES)('%s: %s', async (name, _, factors, run) => {
    const { failed, errors } = await judge(name, { ...run, dtype: 'f16', adjust: times(factors) });
    expect(failed).toEqual([]);
    expect(errors.size).toBeGreaterThan(4);
  });
});
