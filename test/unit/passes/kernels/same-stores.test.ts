import { describe, expect, it } from 'vitest';
import { buildKernel } from '../../../../src/ir/tile/build.js';
import { loadedBuffers, storedBuffers } from '../../../../src/ir/tile/buffers.js';
import type { TileBuffer, TileModule } from '../../../../src/ir/tile/tile.js';
import { verifyTiles } from '../../../../src/ir/tile/verify.js';
import { TOKENS } from '../../../../src/passes/chunk/programs.js';
import { withoutCopies } from '../../../../src/passes/kernels/same-stores.js';
import { mixture } from '../flow/mixtures.js';
import { madeOf } from './judge.js';

const row = (name: string, role: TileBuffer['role'], dtype: TileBuffer['dtype'] = 'f32'): TileBuffer => (
  { name, outer: 'row', domain: TOKENS, inner: 'once', axes: ['E'], dtype, role }
);

function moduleOf(copy: TileBuffer): TileModule {
  const [x, first, y] = [row('x', 'input'), row('first', 'output'), row('y', 'output')];
  const head = { doc: 'Rows.', outer: 'chunk', domain: TOKENS, inner: 'once' } as const;
  const kernels = [
    buildKernel({ ...head, name: 'choose' }, (k) => {
      const best = k.top(['E'], k.load(x), k.literal(1));
      k.store(first, best);
      k.store(copy, best);
    }),
    buildKernel({ ...head, name: 'read' }, (k) => k.store(y, k.add(k.load(copy), k.load(x)))),
  ];
  const forward = { takes: ['x'], gives: ['first', 'y'], launches: ['choose', 'read'] };
  return {
    name: 'm', chunk: 4, sizes: new Map([['E', 3]]), domains: [TOKENS], buffers: [x, first, copy, y], kernels, programs: { forward },
  };
}

describe('what is stored twice', () => {
  it('is read where it is stored first', () => {
    const made = withoutCopies(moduleOf(row('copy', 'workspace')));
    expect(verifyTiles(made)).toEqual([]);
    expect(made.buffers.map(({ name }) => name)).toEqual(['x', 'first', 'y']);
    expect(made.kernels.map(({ body }) => [loadedBuffers(body), storedBuffers(body)])).toEqual([
      [['x'], ['first']], [['first', 'x'], ['y']],
    ]);
  });

  it.each([['a result', row('copy', 'output')], ['other numbers', row('copy', 'workspace', 'io')]] as const)('%s stays', (_, copy) => {
    const module = moduleOf(copy);
    expect(withoutCopies(module)).toBe(module);
  });

  it('the mask of a choice is the choice', () => {
    const { lowered } = madeOf(mixture(['softmax', 'olmoe', { D: 8, E: 4, F: 8, k: 2 }], true));
    const [chosen] = lowered?.module.kernels.filter(({ name }) => name === 'forward0') ?? [];
    const values = chosen.body.flatMap((stmt) => (stmt.kind === 'store' ? [stmt.value] : []));
    expect(new Set(values).size).toBe(values.length);
  });
});
