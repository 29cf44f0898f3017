import { describe, expect, it } from 'vitest';
import { lowerFor } from '../../../src/driver/scan/compile.js';
import { DELAYS } from '../passes/delay-scans.js';
import { specOf } from '../passes/scans.js';
import { compiler } from './emulate.js';
import { judgeScan } from './tensor-runs.js';

/** Sequences that begin and end inside a chunk, and some of fewer tokens than are looked back. */
const LENGTHS = [150, 0, 2, 1, 64];

describe.skipIf(!compiler)('tokens before, on tensor cores (skipped where g++ is missing)', () => {
  it.each([
    ['a convolution of four taps', 'cuda.sm90', 64, 'bf16'], ['a convolution of four taps', 'cuda.sm90', 64, 'bf16', 99],
    ['a convolution of four taps', 'cuda.sm90', 128, 'bf16'], ['a convolution of four taps', 'cuda.sm80', 128, 'f16'],
    ['convolutions, norms and an erase', 'cuda.sm90', 64, 'bf16'], ['a gate of the token before', 'cuda.sm80', 64, 'bf16'],
    ['values shared by a group', 'cuda.sm90', 64, 'bf16'], ['a computed value of the token before', 'cuda.sm80', 24, 'bf16'],
  ] as const)('%s, %s, %i, %s; chunks of a segment: %s', (name, target, size, dtype, longest?: number) => {
    const spec = specOf(DELAYS[name]);
    const sizes = new Map(spec.axes.map((axis) => [axis.name, size]));
    const made = lowerFor(spec, { target, dtype, sizes }, 64);
    if (!('module' in made)) throw new Error(`${name} does not compile`);
    const groups = name.includes('group') ? 1 : 2;
    const { failed, kernels } = judgeScan(made, sizes, { target, dtype, lengths: LENGTHS, groups, ...(longest && { longest }) });
    expect(failed).toEqual([]);
    expect(kernels.length).toBeGreaterThan(2);
  });
});
