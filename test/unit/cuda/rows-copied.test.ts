import { describe, expect, it } from 'vitest';
import { rowsCopied } from '../../../src/backends/cuda/tensor-cores/rows-copied.js';
import { ROW } from '../../../src/ir/common/axes.js';
import { buildKernel, type KernelBuilder } from '../../../src/ir/tile/build.js';
import { buffersRead } from '../../../src/ir/tile/buffers.js';
import type { TileBuffer, TileKernel, TileModule } from '../../../src/ir/tile/tile.js';
import { verifyTiles } from '../../../src/ir/tile/verify.js';
import { scanPrograms, TOKENS } from '../../../src/passes/chunk/programs.js';
import { SLOTS } from '../mixture.js';
import { compiler, emulate } from './emulate.js';

const rows = (name: string, axes: readonly string[], role: TileBuffer['role'], domain = SLOTS): TileBuffer => (
  { name, outer: 'row', domain, inner: 'once', axes, dtype: 'io', role }
);
const perRun = (name: string, axes: readonly string[], role: TileBuffer['role'], dtype: TileBuffer['dtype']): TileBuffer => (
  { name, outer: 'run', domain: SLOTS, inner: 'once', axes, dtype, role }
);
const SOURCE: TileBuffer = { ...rows('source', [], 'input'), dtype: 'i32' };
const [x, s, y] = [rows('x', ['D'], 'input', TOKENS), rows('s', ['F'], 'input'), rows('y', ['F'], 'output')];
const [w, dw, z] = [perRun('w', ['D', 'F'], 'param', 'io'), perRun('dw', ['D', 'F'], 'output', 'f32'), rows('z', ['D'], 'output')];

const chunked = (name: string, split: string, write: (k: KernelBuilder) => void): TileKernel => (
  buildKernel({ name, doc: 'A kernel.', outer: 'chunk', domain: SLOTS, inner: 'once', split }, write)
);
const products = chunked('products', 'F', (k) => k.store(y, k.contract(k.gather(x, SOURCE), k.load(w), 'D')));
const sums = buildKernel({ name: 'sums', doc: 'Sums.', outer: 'run', domain: SLOTS, inner: 'once', split: 'F' }, (k) => {
  const [all] = k.loop('chunks', false, [k.zeros(['D', 'F'])], ([sum]) => (
    [k.add(sum, k.contract(k.keep(k.gather(x, SOURCE)), k.keep(k.load(s)), ROW))]
  ));
  k.store(dw, all);
});
const beside = chunked('beside', 'D', (k) => {
  const own = k.gather(x, SOURCE);
  k.store(z, k.add(own, k.contract(k.load(s), k.load(w), 'F')));
});

function moduleOf([D, F]: readonly [number, number], ...kernels: readonly TileKernel[]): TileModule {
  const buffers = [x, SOURCE, s, w, y, dw, z].filter(({ name, role }) => role !== 'output' || kernels.some(
    (kernel) => kernel.body.some((stmt) => stmt.kind === 'store' && stmt.buffer === name)
  ));
  return {
    name: 'm', chunk: 64, sizes: new Map([['D', D], ['F', F]]), domains: [TOKENS, SLOTS], buffers, kernels,
    programs: scanPrograms(buffers, { forward: kernels.map(({ name }) => name) }),
  };
}

const read = ({ body }: TileKernel): readonly string[] => body.flatMap((stmt): readonly string[] => (
  stmt.kind === 'loop' ? stmt.body.flatMap((one) => (one.kind === 'let' ? buffersRead(one.op) : []))
    : stmt.kind === 'let' ? buffersRead(stmt.op) : []
));

describe('rows that products gather', () => {
  it('are copied once for all of them, before the first', () => {
    const module = rowsCopied(moduleOf([64, 4096], products, sums));
    expect(verifyTiles(module)).toEqual([]);
    expect(module.programs.forward.launches).toEqual(['products_rows', 'products', 'sums']);
    expect(module.kernels.map(read)).toEqual([['x', 'source'], ['products_rows', 'w'], ['products_rows', 's']]);
  });

  it('stay where they are of narrow products, beside what is worked out, and where something else reads them', () => {
    const worked = chunked('worked', 'F', (k) => k.store(y, k.contract(k.gather(x, SOURCE), k.exp(k.load(w)), 'D')));
    for (const module of [moduleOf([64, 4095], products, sums), moduleOf([64, 8192], beside), moduleOf([64, 8192], worked)]) {
      expect(rowsCopied(module)).toBe(module);
    }
  });

  it.skipIf(!compiler)('have the same products from there (skipped where g++ is missing)', () => {
    const module = rowsCopied(moduleOf([136, 72], products, sums), 0);
    expect(module.kernels.length).toBe(3);
    const call = { heads: 1, groups: 1, lengths: [70, 0, 99], others: { slot: [3, 0, 300, 40] } };
    const given = new Map([['source', Float64Array.from({ length: 343 }, (_, slot) => (slot % 5 === 2 ? -1 : (slot * 37) % 169))]]);
    for (const races of [false, true]) {
      const errors = emulate(module, { dtype: 'bf16', plain: false, call, longest: 2, programs: ['forward'], given, races });
      expect([...errors.keys()].sort()).toEqual(['forward dw', 'forward y']);
      expect([...errors].filter(([, error]) => !(error < 5e-3))).toEqual([]);
    }
  });
});
