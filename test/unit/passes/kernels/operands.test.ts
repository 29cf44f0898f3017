import { describe, expect, it } from 'vitest';
import { ROW } from '../../../../src/ir/common/axes.js';
import { buildKernel, type KernelBuilder } from '../../../../src/ir/tile/build.js';
import type { TileBuffer, TileId, TileModule } from '../../../../src/ir/tile/tile.js';
import { verifyTiles } from '../../../../src/ir/tile/verify.js';
import { TOKENS } from '../../../../src/passes/chunk/programs.js';
import { withNarrowOperands } from '../../../../src/passes/kernels/operands.js';
import { mixture } from '../flow/mixtures.js';
import { madeOf } from './judge.js';

const row = (name: string, axis: string, role: TileBuffer['role'], dtype: TileBuffer['dtype']): TileBuffer => (
  { name, outer: 'row', domain: TOKENS, inner: 'once', axes: [axis], dtype, role }
);
const [x, z, y] = [row('x', 'D', 'input', 'io'), row('z', 'E', 'workspace', 'f32'), row('y', 'D', 'output', 'io')];
const matrix = (dtype: TileBuffer['dtype']): TileBuffer => (
  { name: 'w', outer: 'once', inner: 'once', axes: ['D', 'E'], dtype, role: 'param' }
);

type Read = (k: KernelBuilder, scores: TileId) => TileId;

/** Scores that are made, and read by `read`. */
function moduleOf(scores: TileBuffer, w: TileBuffer, read: Read): TileModule {
  const head = { doc: 'Rows.', outer: 'chunk', domain: TOKENS, inner: 'once' } as const;
  const kernels = [
    buildKernel({ ...head, name: 'score' }, (k) => k.store(scores, k.map('exp', k.contract(k.load(x), k.load(w), 'D')))),
    buildKernel({ ...head, name: 'read' }, (k) => k.store(y, read(k, k.load(scores)))),
  ];
  return {
    name: 'm', chunk: 4, sizes: new Map([['D', 6], ['E', 3]]), domains: [TOKENS], buffers: [x, scores, w, y], kernels,
    programs: { forward: { takes: ['x', 'w'], gives: ['y'], launches: ['score', 'read'] } },
  };
}

const bitsOf = (module: TileModule, name: string) => withNarrowOperands(module).buffers.find((buffer) => buffer.name === name)?.dtype;
const product = (w: TileBuffer): Read => (k, scores) => k.contract(scores, k.load(w), 'E');

describe('rows that products alone read', () => {
  const [few, all] = [matrix('io'), matrix('f32')];
  it.each<readonly [string, TileBuffer, TileBuffer, Read, string]>([
    ['have the bits of matrices', z, few, product(few), 'io'],
    ['have them where rows that are not there are 0', z, few, (k, scores) => product(few)(k, k.keep(scores)), 'io'],
    ['have all if the other operand has', z, all, product(all), 'f32'],
    ['have all if others read them', z, few, (k, scores) => k.mul(product(few)(k, scores), k.reduce('max', 'E', scores)), 'f32'],
    ['have all if users see them', { ...z, role: 'output' }, few, product(few), 'f32'],
  ])(
    '%s', (_, scores, w, read, dtype) => {
      const module = moduleOf(scores, w, read);
      expect(verifyTiles(module)).toEqual([]);
      expect(bitsOf(module, 'z')).toBe(dtype);
    },
  );

  it('gradients of scores are such', () => {
    const { lowered } = madeOf(mixture(['softmax', 'olmoe', { D: 8, E: 4, F: 8, k: 2 }], true));
    const module = lowered?.module;
    const sums = module?.kernels.filter(({ body }) => body.some((stmt) => stmt.kind === 'loop' && stmt.over === 'chunks'
      && stmt.body.some((one) => one.kind === 'let' && one.op.op === 'contract' && one.op.axis === ROW))) ?? [];
    const last = sums.at(-1)?.body.flatMap((stmt) => (stmt.kind === 'loop' ? stmt.body : []))
      .flatMap((stmt) => (stmt.kind === 'let' && stmt.op.op === 'load' ? [stmt.op.buffer] : [])) ?? [];
    expect(last.map((name) => module?.buffers.find((buffer) => buffer.name === name)?.dtype)).toEqual(['io', 'io']);
  });
});
