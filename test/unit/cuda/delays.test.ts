import { describe, expect, it } from 'vitest';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { DELAYS } from '../passes/delay-scans.js';
import { specOf } from '../passes/scans.js';
import { compiler, emulate } from './emulate.js';

const CALL = { heads: 2, groups: 1, lengths: [17, 0, 1, 2, 33, 3, 16] };

describe.skipIf(!compiler)('tokens before, in plain CUDA kernels (skipped where g++ is missing)', () => {
  it.each(Object.entries(DELAYS))('%s', (_, text) => {
    const spec = specOf(text);
    for (const [chunk, plain, sizes, slides] of [
      [16, false, [16, 8], false], [16, true, [5, 12], false], [32, false, [32, 64], true], [16, true, [5, 12], true],
    ] as const) {
      const { module } = lowerScan(spec, new Map(spec.axes.map(({ name }, i) => [name, sizes[i % 2]])), { chunk, slides });
      const errors = emulate(module, { dtype: 'f32', plain, call: CALL, longest: 2, programs: ['forward', 'backward', 'step'] });
      expect([...errors].filter(([, error]) => !(error < 1e-4)), `${chunk} ${plain}`).toEqual([]);
    }
  });
});
