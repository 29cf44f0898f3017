import { describe, expect, it } from 'vitest';
import { buildKernel, type KernelBuilder } from '../../../../src/ir/tile/build.js';
import type { TileBuffer, TileKernel, TileModule } from '../../../../src/ir/tile/tile.js';
import { TOKENS } from '../../../../src/passes/chunk/programs.js';
import { joinsSequences } from '../../../../src/passes/kernels/sequences.js';
import { MIXTURES, mixture } from '../flow/mixtures.js';
import { madeOf } from './judge.js';

const x: TileBuffer = { name: 'x', outer: 'row', domain: TOKENS, inner: 'once', axes: ['D'], dtype: 'f32', role: 'input' };
const y: TileBuffer = { ...x, name: 'y', role: 'output' };
const last: TileBuffer = { ...x, name: 'last', outer: 'run', role: 'output' };

function moduleOf(outer: TileKernel['outer'], write: (k: KernelBuilder) => void): TileModule {
  const kernel = buildKernel({ name: 'k', doc: 'A kernel.', outer, domain: TOKENS, inner: 'once' }, write);
  return { name: 'm', chunk: 4, sizes: new Map([['D', 3]]), domains: [TOKENS], buffers: [x, y, last], kernels: [kernel], programs: {} };
}

describe('sequences are nothing to kernels', () => {
  it('of rows by themselves', () => {
    expect(joinsSequences({ ...moduleOf('chunk', (k) => k.store(y, k.exp(k.load(x)))), buffers: [x, y] })).toBe(true);
  });

  it.each([
    ['rows before', moduleOf('chunk', (k) => k.store(y, k.loadBack(x, 1)))],
    ['places in a sequence', moduleOf('chunk', (k) => k.store(y, k.mul(k.load(x), k.number('place'))))],
    ['the number of sequences', moduleOf('chunk', (k) => k.store(y, k.mul(k.load(x), k.size('runs'))))],
    ['a sum for each', moduleOf('run', (k) => k.store(last, k.zeros(['D'])))],
  ] as const)('but not where there are %s', (_, module) => expect(joinsSequences(module)).toBe(false));

  it('in most mixtures; where losses or choices are of a sequence they are something', () => {
    const joined = MIXTURES.filter((one) => {
      const { lowered } = madeOf(mixture(one, true));
      return lowered !== undefined && joinsSequences(lowered.module);
    }).map(([, name]) => name);
    expect(joined).toEqual(expect.arrayContaining(['mixtral', 'olmoe', 'gpt_oss_moe']));
    expect(joined).not.toContain('deepseek_v2');
  });
});
