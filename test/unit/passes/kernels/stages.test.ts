import { describe, expect, it } from 'vitest';
import { runTiles } from '../../../../src/interp/tile.js';
import { ROW } from '../../../../src/ir/common/axes.js';
import { buildKernel, type KernelBuilder } from '../../../../src/ir/tile/build.js';
import type { TileBuffer, TileId, TileModule } from '../../../../src/ir/tile/tile.js';
import { verifyTiles } from '../../../../src/ir/tile/verify.js';
import { scanPrograms, TOKENS } from '../../../../src/passes/chunk/programs.js';
import { inStages } from '../../../../src/passes/kernels/stages.js';
import { randomSource } from '../../../../src/support/random.js';

const x: TileBuffer = { name: 'x', outer: 'row', domain: TOKENS, inner: 'once', axes: ['D'], dtype: 'f32', role: 'input' };
const result = (outer: 'once' | 'run'): TileBuffer => (
  { name: 'y', outer, ...(outer === 'run' && { domain: TOKENS }), inner: 'once', axes: ['D'], dtype: 'f32', role: 'output' }
);

/** y = 2 * (a fold of x over rows). */
function moduleOf(
  outer: 'once' | 'run', fold: (k: KernelBuilder, total: TileId) => TileId, start: (k: KernelBuilder) => TileId, D = 5,
): TileModule {
  const y = result(outer);
  const kernel = buildKernel({ name: 'fold', doc: 'A fold.', outer, domain: TOKENS, inner: 'once', split: undefined }, (k) => {
    const [total] = k.loop('chunks', false, [start(k)], ([carried]) => [fold(k, carried)]);
    k.store(y, k.mul(k.literal(2), total));
  });
  return {
    name: 'm', chunk: 4, sizes: new Map([['D', D]]), domains: [TOKENS], buffers: [x, y], kernels: [kernel],
    programs: scanPrograms([x, y], { forward: ['fold'] }),
  };
}

const zeros = (k: KernelBuilder): TileId => k.zeros(['D']);
const sum = (k: KernelBuilder, total: TileId): TileId => k.add(total, k.reduce('sum', ROW, k.keep(k.load(x))));
const most = (k: KernelBuilder, total: TileId): TileId => k.map('max', total, k.reduce('max', ROW, k.keep(k.load(x))));

describe('folds over chunks in two stages', () => {
  it.each([
    ['a sum over all', moduleOf('once', sum, zeros)], ['a sum over each run', moduleOf('run', sum, zeros)],
    ['the largest of all', moduleOf('once', most, (k) => k.add(zeros(k), k.literal(-Infinity)))],
  ] as const)('%s is what it was', (_, module) => {
    const staged = inStages(module);
    expect(verifyTiles(staged)).toEqual([]);
    expect(staged.kernels.map(({ name, outer }) => [name, outer])).toEqual([['fold_parts', 'segment'], ['fold', module.kernels[0].outer]]);
    expect(staged.programs.forward.launches).toEqual(['fold_parts', 'fold']);
    const lengths = [9, 0, 30, 4];
    const starts = lengths.map((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0));
    const random = randomSource(3);
    const given = Float64Array.from({ length: 43 * 5 }, () => random.normal());
    const made = [module, staged].map((one) => {
      const buffers = new Map([['x', given]]);
      runTiles(
        one, 'forward', { heads: 1, groups: 1, runs: { token: starts.map((at, i) => [at, lengths[i]] as const) }, longest: 2 }, buffers,
      );
      return buffers.get('y') ?? [];
    });
    expect(made[1].length).toBe(made[0].length);
    for (const [i, value] of made[0].entries()) expect(Math.abs(made[1][i] - value)).toBeLessThan(1e-12 * (1 + Math.abs(value)));
  });

  it.each([
    ['a sum that begins with something', moduleOf('once', sum, (k) => k.add(zeros(k), k.literal(1)))],
    ['what is no fold', moduleOf(
      'once', (k, total) => k.add(k.mul(total, k.literal(0.5)), k.reduce('sum', ROW, k.keep(k.load(x)))), zeros,
    )],
    ['a large sum', moduleOf('once', sum, zeros, 2 ** 21)], ['one of every run', moduleOf('run', sum, zeros, 2 ** 19)],
  ] as const)('%s stays one kernel', (_, module) => {
    expect(verifyTiles(module)).toEqual([]);
    expect(inStages(module)).toBe(module);
  });
});
