import { describe, expect, it } from 'vitest';
import { NO_EXAMPLES } from '../../examples.js';
import { compiler } from './emulate.js';
import { judge, type TensorRun } from './tensor-runs.js';

const SM90 = 'cuda.sm90' as const;

/** States that have no room in shared memory, which products take in panels. */
const CASES: readonly (readonly [name: string, run: TensorRun])[] = [
  ['gated_delta', { sizes: [256, 512], target: SM90 }],
  ['gla', { sizes: [256, 512], target: SM90 }],
  ['simple_gla', { sizes: [256], target: SM90 }],
  ['mamba2', { sizes: [512, 256], target: SM90 }],
];

/** States that have no room in registers: their walks go without tensor cores. */
const LARGER: readonly (readonly [name: string, run: TensorRun])[] = [
  ['simple_gla', { sizes: [512, 64], target: SM90 }],
  // Seven panels and three.
  ['simple_gla', { sizes: [448, 192], target: SM90 }],
];

describe.skipIf(!compiler || NO_EXAMPLES)('16-bit kernels of large heads (skipped where g++ or the examples are missing)', () => {
  it.each([...CASES, ...LARGER].map(([name, run]) => [`${name}, ${run.sizes.join(' x ')}, ${run.target}`, name, run] as const))(
    '%s', async (title, name, run) => {
      const { failed, errors, kernels } = await judge(name, { lengths: [70], orders: ['0'], races: false, ...run });
      expect(failed).toEqual([]);
      expect(errors.size).toBeGreaterThan(4);
      expect(kernels.some((kernel) => kernel.endsWith('_gradients_columns'))).toBe(true);
      expect(kernels.some((kernel) => kernel.endsWith('_walk')), title).toBe(CASES.some(([, other]) => other === run));
    },
  );
});
