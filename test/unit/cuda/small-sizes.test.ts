import { describe, expect, it } from 'vitest';
import { NO_EXAMPLES } from '../../examples.js';
import { compiler } from './emulate.js';
import { judge, type TensorRun } from './tensor-runs.js';

const SM90 = 'cuda.sm90' as const;
const SM80 = 'cuda.sm80' as const;

/** Rows that do not begin on 16 bytes, fewer columns than a product takes at a step, folds and square roots that see the size. */
const CASES: readonly (readonly [name: string, run: TensorRun, walks: boolean])[] = [
  // Fewer channels than are worth a product.
  ['gated_delta', { sizes: [2, 3], target: SM90 }, false],
  ['gla', { sizes: [7, 5], target: SM90 }, false],
  ['gated_delta', { sizes: [20, 12], target: SM80 }, true],
  ['gla', { sizes: [40, 72], target: SM90, dtype: 'f16' }, true],
  ['gla', { sizes: [11, 77], target: SM90, dtype: 'f16' }, true],
  ['kda', { sizes: [12, 20], target: SM90 }, true],
  ['gsa', { sizes: [20, 9, 12], target: SM90 }, true],
  ['mlstm', { sizes: [12, 5], target: SM80 }, true],
  ['delta_product', { sizes: [24, 40], target: SM90 }, true],
  ['rwkv7', { sizes: [12], target: SM90 }, true],
  // Two warpgroups that walk, of which the second has a part of 64 channels, or a block a part of 128.
  ['simple_gla', { sizes: [48, 96], target: SM90 }, true],
  ['gla', { sizes: [24, 136], target: SM90 }, true],
  ['retention', { sizes: [16, 77], target: SM90 }, true],
];

describe.skipIf(!compiler || NO_EXAMPLES)('16-bit kernels of any size (skipped where g++ or the examples are missing)', () => {
  it.each(CASES.map(([name, run, walks]) => (
    [`${name}, ${run.sizes.join(' x ')}, ${run.dtype ?? 'bf16'}, ${run.target}`, name, run, walks] as const
  )))('%s', async (_, name, run, walks) => {
    const { failed, errors, kernels } = await judge(name, { orders: ['0'], ...run });
    expect(failed).toEqual([]);
    expect(errors.size).toBeGreaterThan(4);
    expect(kernels.some((kernel) => kernel.endsWith('_walk'))).toBe(walks);
  });
});
