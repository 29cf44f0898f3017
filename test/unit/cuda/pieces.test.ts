import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { frontend } from '../../../src/passes/frontend.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { NO_EXAMPLES } from '../../examples.js';
import { compiler, emulate } from './emulate.js';
import { judge, type TensorRun } from './tensor-runs.js';

const PROGRAMS = ['ends', 'reverse_ends'];

/** A scan of each way in which states pass tokens, whose kernels differ. */
const ON_TENSOR_CORES: readonly (readonly [name: string, run: TensorRun])[] = [
  ['gla', { sizes: [64], target: 'cuda.sm90' }],
  ['mamba2', { sizes: [32], target: 'cuda.sm80', dtype: 'f16' }],
  ['gated_delta', { sizes: [64], target: 'cuda.sm90', groups: 2 }],
  ['gsa', { sizes: [32, 16, 32], target: 'cuda.sm90' }],
];

describe.skipIf(!compiler || NO_EXAMPLES)('states of pieces alone, in 16 bits (skipped without g++ or the examples)', () => {
  it.each(ON_TENSOR_CORES)('%s', async (name, run) => {
    // A segment, none, two of which one is short.
    const { failed, errors } = await judge(name, { orders: ['0'], races: false, pieces: true, lengths: [70, 0, 150], ...run });
    expect(failed).toEqual([]);
    expect([...new Set([...errors.keys()].map((key) => key.split(' ')[0]))]).toEqual(PROGRAMS);
  });
});

describe.skipIf(!compiler || NO_EXAMPLES)('the same in f32 beside the tile interpreter (skipped without g++ or the examples)', () => {
  it.each(['kda', 'delta_product', 'mlstm', 'hgrn'])('%s', (name) => {
    const path = `examples/${name}.lmoe`;
    const spec = frontend(path, readFileSync(path, 'utf8'), (file) => readFileSync(file, 'utf8')).specs[0];
    const { module } = lowerScan(spec, new Map(spec.axes.map((axis, i) => [axis.name, [16, 32][i % 2]])), { chunk: 16, pieces: true });
    const errors = emulate(module, {
      dtype: 'f32', plain: false, call: { heads: 2, groups: 1, lengths: [21, 0, 50] }, longest: 2, programs: PROGRAMS, orders: ['0'],
    });
    expect([...errors].filter(([, error]) => !(error < 1e-4))).toEqual([]);
    expect([...errors.keys()].filter((key) => /^ends final|^reverse_ends d_/.test(key)).length).toBe(2 * spec.states.length);
  });
});
