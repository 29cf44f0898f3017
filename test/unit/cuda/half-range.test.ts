import { describe, expect, it } from 'vitest';
import type { DrawnTensor } from '../../../src/driver/run/draw.js';
import { NO_EXAMPLES } from '../../examples.js';
import { compiler } from './emulate.js';
import { judge, type TensorRun } from './tensor-runs.js';

/** Multiplies what was drawn; names that a scan lacks are passed over. */
const times = (factors: Readonly<Record<string, number>>): TensorRun['adjust'] => (drawn) => {
  for (const [name, factor] of Object.entries(factors)) drawn.get(name)?.data.forEach((x: number, i: number, data: DrawnTensor['data']) => void (data[i] = x * factor));
};

/** States, or their cotangents, that f16 cannot hold, beside inputs, outputs and gradients that it can; and cotangents that it cannot tell from 0. */
const LARGE = { S: 1e5, d_S: 1e-4, d_o: 1e-2, q: 1e-2, r: 1e-2 };
const COTANGENTS = { S: 1e-4, d_S: 1e5, v: 1e-2, k: 1e-2 };
/** The same where keys have to keep their length. */
const ERASED = { S: 1e-4, d_S: 1e5, v: 1e-2, beta: 1e-2 };
const SMALL = { d_S: 1e-9, d_o: 0 };

const CASES: readonly (readonly [name: string, what: string, factors: Readonly<Record<string, number>>, run: Omit<TensorRun, 'dtype' | 'adjust'>])[] = [
  ...(['simple_gla', 'gla', 'gated_delta', 'rwkv6'] as const).flatMap((name) => [
    [name, 'large states', LARGE, { sizes: [64], target: 'cuda.sm90' }] as const,
    [name, 'large cotangents', name === 'gated_delta' ? ERASED : COTANGENTS, { sizes: [64], target: 'cuda.sm90' }] as const,
  ]),
  ['gated_delta', 'small cotangents', SMALL, { sizes: [64], target: 'cuda.sm80' }],
  // Operands in two parts, several warpgroups to a fragment, gates along the value axis, small heads, plain kernels.
  ['gdn2', 'large states', LARGE, { sizes: [64], target: 'cuda.sm90' }],
  ['kda', 'large states', LARGE, { sizes: [128], target: 'cuda.sm90', lengths: [70] }],
  ['rwkv7', 'large cotangents', COTANGENTS, { sizes: [128], target: 'cuda.sm90', lengths: [70] }],
  ['hgrn2', 'large states', LARGE, { sizes: [24, 40], target: 'cuda.sm80', lengths: [70] }],
  ['gsa', 'large cotangents', { d_keys: 1e5, d_values: 1e5, v: 1e-2, k: 1e-2 }, { sizes: [64], target: 'cuda.sm80', lengths: [70] }],
  ['delta_product', 'large states', LARGE, { sizes: [24, 40], target: 'cuda.sm90', lengths: [77] }],
];

describe.skipIf(!compiler || NO_EXAMPLES)('f16 with numbers that only f32 holds (skipped where g++ or the examples are missing)', () => {
  it.each(CASES)('%s: %s', async (name, _, factors, run) => {
    const { failed, errors } = await judge(name, { ...run, dtype: 'f16', adjust: times(factors) });
    expect(failed).toEqual([]);
    expect(errors.size).toBeGreaterThan(4);
  });
});
