import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { withListsWrittenOut } from '../../../src/backends/written-out.js';
import { runTiles } from '../../../src/interp/tile.js';
import { ROW } from '../../../src/ir/common/axes.js';
import { buildKernel, type KernelBuilder, type KernelHead } from '../../../src/ir/tile/build.js';
import type { TileBuffer, TileModule } from '../../../src/ir/tile/tile.js';
import { verifyTiles } from '../../../src/ir/tile/verify.js';
import { TOKENS } from '../../../src/passes/chunk/programs.js';
import { compiler, emulate } from './emulate.js';
import { templates } from './templates.js';

/** A second chunk of the last sequence is not full; rows of a chunk are more than bits of a word. */
const LENGTHS = [70, 0, 5, 64];
const ROWS = 139;
/** E is no multiple of a warp; neither are G x M, elements of two axes. */
const SIZES = new Map([['E', 70], ['S', 5], ['G', 4], ['M', 20], ['P', 40]]);

const cells = (name: string, outer: TileBuffer['outer'], axes: readonly string[], more: Partial<TileBuffer>): TileBuffer => (
  { name, outer, ...(outer !== 'once' && { domain: TOKENS }), inner: 'once', axes, dtype: 'f32', role: 'input', ...more }
);
const out = { role: 'output' } as const;
const B = {
  held: cells('held', 'row', ['E'], {}), x: cells('x', 'row', ['E'], {}), pair: cells('pair', 'row', ['G', 'M'], {}),
  start: cells('start', 'once', ['E'], { role: 'param' }),
  seats: cells(
    'seats', 'row', ['S'], { ...out, dtype: 'i32' },
  ), own: cells('own', 'row', ['S'], out), pairs: cells('pairs', 'row', ['P'], out),
  counts: cells('counts', 'segment', ['E'], out), slots: cells('slots', 'row', ['S'], { ...out, dtype: 'i32' }),
  listed: cells('listed', 'row', ['S'], out), back: cells('back', 'row', ['E'], out), apart: cells('apart', 'row', ['G', 'M'], out),
  beside: cells('beside', 'row', ['E'], out),
};
const kernel = (name: string, outer: KernelHead['outer'], write: (k: KernelBuilder) => void) => (
  buildKernel({ name, doc: 'Lists.', outer, domain: TOKENS, inner: 'once' }, write)
);
const number = (k: KernelBuilder) => k.add(k.index('E'), k.literal(1));
const module: TileModule = {
  name: 'lists', chunk: 64, sizes: SIZES, domains: [TOKENS], buffers: Object.values(B),
  kernels: [
    kernel('packed', 'chunk', (k) => {
      const held = k.load(B.held);
      k.store(B.seats, k.pack(['E'], 'S', number(k), held));
      k.store(B.own, k.pack(['E'], 'S', k.load(B.x), held));
    }),
    kernel('pairs', 'chunk', (k) => k.store(B.pairs, k.pack(['G', 'M'], 'P', k.add(k.index('M'), k.index('G')), k.load(B.pair)))),
    kernel('back', 'chunk', (k) => k.store(B.back, k.unpack(['E'], 'S', k.load(B.own), k.load(B.seats)))),
    // Their numbers are those of the first 70 pairs.
    kernel('apart', 'chunk', (k) => k.store(B.apart, k.unpack(['G', 'M'], 'S', k.load(B.own), k.load(B.seats)))),
    // Sums of rows: nothing that rows by themselves are for.
    kernel('within', 'chunk', (k) => {
      const held = k.load(B.held);
      k.store(B.listed, k.add(k.pack(['E'], 'S', k.load(B.x), held), k.reduce('sum', ROW, k.keep(k.pack(['E'], 'S', number(k), held)))));
      const sums = k.reduce('sum', ROW, k.keep(k.unpack(['E'], 'S', k.load(B.own), k.load(B.seats))));
      k.store(B.beside, k.add(k.load(B.x), sums));
    }),
    kernel('counted', 'segment', (k) => {
      const [all] = k.loop('chunks', false, [k.zeros(['E'])], ([sum]) => [k.add(sum, k.tally(['E'], k.load(B.seats)))]);
      k.store(B.counts, all);
    }),
    kernel('placed', 'run', (k) => {
      k.loop('chunks', false, [k.load(B.start)], ([next]) => {
        const seats = k.load(B.seats);
        k.store(B.slots, k.queue(['E'], seats, next));
        return [k.add(next, k.tally(['E'], seats))];
      });
    }),
  ],
  programs: {
    forward: {
      takes: ['held', 'x', 'pair', 'start'], gives: ['seats', 'own', 'pairs', 'counts', 'slots', 'listed', 'back', 'apart', 'beside'],
      launches: ['packed', 'pairs', 'back', 'apart', 'within', 'counted', 'placed'],
    },
  },
};

/** Up to five of 70 in a row, some rows with none; up to forty of 80. */
const chosen = (row: number, e: number): boolean => row % 7 !== 3 && (e * 13 + row * 5) % 70 < 1 + row % 5;
const given = new Map([
  ['held', Float64Array.from({ length: ROWS * 70 }, (_, i) => Number(chosen(Math.floor(i / 70), i % 70)))],
  ['x', Float64Array.from({ length: ROWS * 70 }, (_, i) => Math.fround(Math.sin(i)))],
  ['pair', Float64Array.from({ length: ROWS * 80 }, (_, i) => Number((i * 7 + Math.floor(i / 80)) % 80 < Math.floor(i / 80) % 41))],
  ['start', Float64Array.from({ length: 70 }, (_, e) => 100 * e)],
]);

function results(of: TileModule): Map<string, Float64Array> {
  const memory = new Map(given);
  const runs = LENGTHS.map((length, i) => [LENGTHS.slice(0, i).reduce((sum, n) => sum + n, 0), length] as const);
  runTiles(of, 'forward', { heads: 1, groups: 1, runs: { token: runs }, longest: 1 }, memory);
  return memory;
}

describe('lists of what rows have', () => {
  it('are in order, and numbered row by row', () => {
    const found = results(module);
    const row = (
      name: string, width: number, at: number,
    ): readonly number[] => [...found.get(name) ?? []].slice(at * width, (at + 1) * width);
    let at = 0;
    for (const length of LENGTHS) {
      const next = Array.from({ length: 70 }, (_, e) => 100 * e);
      for (let end = at + length; at < end; at++) {
        const own = Array.from({ length: 70 }, (_, e) => e).filter((e) => chosen(at, e));
        const filled = (values: readonly number[], none: number): readonly number[] => [
          ...values, ...Array<number>(5 - own.length).fill(none)
        ];
        expect(row('seats', 5, at)).toEqual(filled(own.map((e) => e + 1), 0));
        expect(row('own', 5, at)).toEqual(filled(own.map((e) => Math.fround(Math.sin(at * 70 + e))), 0));
        const x = Array.from({ length: 70 }, (_, e) => (chosen(at, e) ? Math.fround(Math.sin(at * 70 + e)) : 0));
        expect(row('back', 70, at)).toEqual(x);
        expect(row('apart', 80, at)).toEqual([...x, ...Array<number>(10).fill(0)]);
        expect(row('slots', 5, at)).toEqual(filled(own.map((e) => next[e]++), -1));
      }
    }
    const all = found.get('counts') ?? [];
    for (let e = 0; e < 70; e++) {
      const tokens = Array.from({ length: ROWS }, (_, t) => t).filter((t) => chosen(t, e)).length;
      expect([...all].filter((_, i) => i % 70 === e).reduce((a, b) => a + b)).toBe(tokens);
    }
  });

  it('are the same in other operations', () => {
    const written = { ...module, kernels: module.kernels.map((one) => withListsWrittenOut(one, (axis) => SIZES.get(axis) ?? 64)) };
    expect(verifyTiles(written)).toEqual([]);
    expect(written.kernels.flatMap(({ body }) => JSON.stringify(body).match(/"(pack|unpack|tally|queue)"/) ?? [])).toEqual([]);
    const [a, b] = [results(module), results(written)];
    for (const name of module.programs.forward.gives) expect(b.get(name)).toEqual(a.get(name));
  });

  it('of rows alone are made by warps', () => {
    const source = { hash: '', compiler: '', command: '' };
    const { plan } = emitCuda(module, { target: 'cuda.sm90', dtype: 'bf16', source, doc: '', templates });
    const lowerings = new Map(plan.kernels.map(({ name, lowering }) => [name, lowering]));
    expect(['packed', 'pairs', 'back', 'apart'].map((name) => lowerings.get(name))).toEqual(Array(4).fill('rows'));
    expect(['within', 'counted'].map((name) => lowerings.get(name))).toEqual(['plain', 'plain']);
  });

  it.skipIf(!compiler).each([false, true])('give what tiles give; with races watched: %s (skipped without g++)', (races) => {
    const call = { heads: 1, groups: 1, lengths: LENGTHS };
    for (const plain of [false, true]) {
      const errors = emulate(module, { dtype: 'f32', plain, call, longest: 1, programs: ['forward'], given, races });
      expect(errors.size).toBe(module.programs.forward.gives.length);
      for (const [what, error] of errors) expect([what, error < 1e-6]).toEqual([what, true]);
    }
  });
});
