import { describe, expect, it } from 'vitest';
import { COL, ROW } from '../../../src/ir/common/axes.js';
import { buildKernel, type KernelBuilder } from '../../../src/ir/tile/build.js';
import type { TileBuffer, TileKernel, TileModule } from '../../../src/ir/tile/tile.js';
import { runTiles, type TileDims } from '../../../src/interp/tile.js';
import { scanPrograms, TOKENS } from '../../../src/passes/chunk/programs.js';

const C = 4;
const K = 2;

const buffer = (
  name: string, outer: TileBuffer['outer'], axes: readonly string[], role: TileBuffer['role'], inner: TileBuffer['inner'] = 'head',
): TileBuffer => (
  { name, outer, domain: TOKENS, inner, axes, dtype: 'f32', role }
);

function moduleOf(buffers: readonly TileBuffer[], kernels: readonly TileKernel[]): TileModule {
  return {
    name: 'm', chunk: C, sizes: new Map([['K', K]]), domains: [TOKENS], buffers, kernels,
    programs: scanPrograms(buffers, { forward: kernels.map((kernel) => kernel.name) }),
  };
}

function run(module: TileModule, dims: TileDims, given: Readonly<Record<string, readonly number[]>>): ReadonlyMap<string, Float64Array> {
  const buffers = new Map(Object.entries(given).map(([name, values]) => [name, Float64Array.from(values)]));
  runTiles(module, 'forward', dims, buffers);
  return buffers;
}

const ONE: TileDims = { heads: 1, groups: 1, runs: { token: [[0, C]] } };
const X = buffer('x', 'row', ['K'], 'input');
const G = buffer('g', 'row', ['K'], 'input');
const A = buffer('a', 'chunk', [ROW, COL], 'input');

/** What one chunk kernel stores, from x and g [C, K] and a [C, C]. */
function one(
  axes: readonly string[], outer: 'row' | 'chunk', write: (k: KernelBuilder) => number, given: Readonly<Record<string,
  readonly number[]>>,
): readonly number[] {
  const out = buffer('out', outer, axes, 'output');
  const kernel = buildKernel({ name: 'k', doc: '', outer: 'chunk', domain: TOKENS, inner: 'head' }, (k) => k.store(out, write(k)));
  const filled = {
    x: new Array<number>(C * K).fill(0), g: new Array<number>(C * K).fill(0), a: new Array<number>(C * C).fill(0), ...given,
  };
  return [...(run(moduleOf([X, G, A, out], [kernel]), ONE, filled).get('out') ?? [])];
}

const x = [1, 2, 3, 4, 5, 6, 7, 8];
const g = [-0.1, -2, -0.3, -50, -0.5, -1, -0.2, -3];
// h[i] = x[i] + h[i + 1] / 2 from h[4] = 8.
const reversed = [
  1 + 0.5 * (3 + 0.5 * (5 + 0.5 * (7 + 4))), 2 + 0.5 * (4 + 0.5 * (6 + 0.5 * (8 + 4))), 3 + 0.5 * (5 + 0.5 * 11), 4 + 0.5 * (6 + 0.5 * 12),
  5 + 0.5 * 11, 6 + 0.5 * 12, 11, 12,
];
const lower = [9, 9, 9, 9, 0.5, 9, 9, 9, -0.25, 2, 9, 9, 1, -1, 3, 9];

describe('operations of tiles', () => {
  it('running sums, shifts and picks along the tokens', () => {
    expect(one(['K'], 'row', (k) => k.cumsum(k.load(X)), { x })).toEqual([1, 2, 4, 6, 9, 12, 16, 20]);
    expect(one(
      ['K'], 'row', (k) => k.cumsum(k.load(X), { exclusive: true, reverse: true }), { x },
    )).toEqual([15, 18, 12, 14, 7, 8, 0, 0]);
    // Decays end at what is nothing beside anything; sums of other values do not.
    const deep = { x: x.map((value) => -100 * value) };
    const times = (by: number, values: readonly number[]) => values.map((value) => by * value);
    expect(one(['K'], 'row', (k) => k.decaySums(k.load(X)), deep)).toEqual(times(-80, [1, 1, 2, 2, 3, 3, 4, 4]));
    expect(one(['K'], 'row', (k) => k.cumsum(k.load(X)), deep)).toEqual(times(-100, [1, 2, 4, 6, 9, 12, 16, 20]));
    expect(one(['K'], 'row', (k) => k.cumsum(k.load(X), { reverse: true }), deep)).toEqual(times(-100, [16, 20, 15, 18, 12, 14, 7, 8]));
    expect(one(['K'], 'row', (k) => k.shift(k.load(X), 1, k.literal(7)), { x })).toEqual([7, 7, 1, 2, 3, 4, 5, 6]);
    expect(one(['K'], 'row', (k) => k.shift(k.load(X), -1), { x })).toEqual([3, 4, 5, 6, 7, 8, 0, 0]);
    expect(one(['K'], 'chunk', (k) => k.pick(k.load(X), 'last'), { x })).toEqual([7, 8]);
  });

  it('a recurrence starts where it is told, in either direction', () => {
    const half = (k: KernelBuilder) => k.literal(0.5);
    expect(one(
      ['K'], 'row', (k) => k.recur(half(k), k.load(X), k.literal(8), false), { x },
    )).toEqual([5, 6, 5.5, 7, 7.75, 9.5, 10.875, 12.75]);
    expect(one(['K'], 'row', (k) => k.recur(half(k), k.load(X), k.literal(8), true), { x })).toEqual(reversed);
  });

  it('contractions fold one axis, batch the others', () => {
    expect(one([ROW, COL], 'chunk', (k) => k.contract(k.load(X), k.load(X, 'col'), 'K'), { x }).slice(0, 4)).toEqual([5, 11, 17, 23]);
    expect(one([], 'row', (k) => k.contract(k.load(X), k.load(X), 'K'), { x })).toEqual([5, 25, 61, 113]);
  });

  it('a mask selects: what it leaves out may be infinite', () => {
    const a = lower.map((value) => (value === 9 ? Infinity : value));
    expect(one(
      [ROW, COL], 'chunk', (k) => k.mask(k.load(A), true), { a },
    )).toEqual([0, 0, 0, 0, 0.5, 0, 0, 0, -0.25, 2, 0, 0, 1, -1, 3, 0]);
  });

  it('the inverse of I - A undoes it, and compose is the product of matrices', () => {
    const identity = one([ROW, COL], 'chunk', (k) => {
      const a = k.mask(k.load(A), true);
      const inverse = k.inverse(a);
      return k.sub(inverse, k.compose(a, inverse));
    }, { a: lower });
    expect(identity).toEqual([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
  });

  for (const before of [false, true]) {
    it(`decay scores are the sums they stand for, and their adjoints belong to them (${before ? 'before' : 'after'} the decay)`, () => {
      const how = { before, strict: before };
      const at = (values: readonly number[], row: number, channel: number) => values[row * K + channel];
      const sum = (from: number, to: number, channel: number) => Array.from(
        { length: Math.max(0, to - from) }, (_, i) => at(g, from + 1 + i, channel),
      ).reduce((s, v) => s + v, 0);
      const expected = Array.from({ length: C * C }, (_, i) => {
        const [r, c] = [Math.floor(i / C), i % C];
        if (c > r || (before && c === r)) return 0;
        return [0, 1].reduce((s, channel) => s + at(x, r, channel) * at(x, c, channel) * Math.exp(sum(c, before ? r - 1 : r, channel)), 0);
      });
      const scores = one([ROW, COL], 'chunk', (k) => k.dscore(k.load(X), k.load(X), k.load(G), 'K', how), { x, g });
      scores.forEach((value, i) => expect(value).toBeCloseTo(expected[i], 12));
      // <A, dscore(x, y)> = <dscoreRow(A, y), x> = <dscoreCol(A, x), y>.
      const inner = (values: readonly number[]) => values.reduce((s, v, i) => s + v * x[i], 0);
      const whole = scores.reduce((s, v, i) => s + v * lower[i], 0);
      expect(inner(one(
        ['K'], 'row', (k) => k.dscoreRow(k.load(A), k.load(X), k.load(G), 'K', how), { x, g, a: lower },
      ))).toBeCloseTo(whole, 10);
      expect(inner(one(
        ['K'], 'row', (k) => k.dscoreCol(k.load(A), k.load(X), k.load(G), 'K', how), { x, g, a: lower },
      ))).toBeCloseTo(whole, 10);
    });
  }
});

describe('kernels in the interpreter', () => {
  const S = buffer('s', 'run', [], 'final');
  const counts: TileDims = { heads: 1, groups: 1, runs: { token: [[0, 9], [9, 0], [9, 5]] }, longest: 2 };
  const V = buffer('v', 'row', [], 'input');

  it('rows beyond the sequence load as 0 and stay unwritten, `keep` drops what was computed there', () => {
    const out = buffer('out', 'row', [], 'output');
    const last = buffer('last', 'chunk', [], 'output');
    const kernel = buildKernel({ name: 'k', doc: '', outer: 'chunk', domain: TOKENS, inner: 'head' }, (k) => {
      const inverse = k.map('div', k.literal(1), k.load(V));
      k.store(out, inverse);
      k.store(last, k.reduce('sum', ROW, k.keep(inverse)));
    });
    const found = run(moduleOf([V, out, last], [kernel]), { heads: 1, groups: 1, runs: { token: [[0, 3]] } }, { v: [1, 2, 4] });
    expect([...(found.get('out') ?? [])]).toEqual([1, 0.5, 0.25]);
    expect([...(found.get('last') ?? [])]).toEqual([1.75]);
  });

  it('products see their operands rounded, `round` gives what memory keeps', () => {
    const outs = ['products', 'rounded', 'rest'].map((name) => buffer(name, 'chunk', name === 'products' ? [ROW, COL] : ['K'], 'output'));
    const kernel = buildKernel({ name: 'k', doc: '', outer: 'chunk', domain: TOKENS, inner: 'head' }, (k) => {
      const tile = k.load(X);
      const rounded = k.round(tile);
      const parts = [rounded, k.sub(tile, rounded)];
      k.store(outs[0], k.contract(tile, k.swap(tile), 'K'));
      parts.forEach((part, i) => k.store(outs[1 + i], k.reduce('sum', ROW, part)));
    });
    const found = new Map([['x', Float64Array.of(0.5, 1.5, 2.25, 3)]]);
    runTiles(
      moduleOf([X, ...outs], [kernel]), 'forward', { heads: 1, groups: 1, runs: { token: [[0, 2]] } }, found,
      { io: Math.trunc, operand: Math.trunc },
    );
    expect(found.get('products')?.slice(0, 2)).toEqual(Float64Array.of(1, 3));
    expect(found.get('rounded')).toEqual(Float64Array.of(2, 4));
    expect(found.get('rest')).toEqual(Float64Array.of(0.75, 0.5));
  });

  it('segments: at least one for each sequence, in lengths that differ by one chunk at most', () => {
    const tokens = buffer('tokens', 'segment', [], 'workspace');
    const each = buffer('each', 'segment', [], 'output');
    const count = buildKernel({ name: 'count', doc: '', outer: 'segment', domain: TOKENS, inner: 'head' }, (k) => {
      const [sum] = k.loop('chunks', false, [k.literal(0)], ([total]) => [k.add(total, k.reduce('sum', ROW, k.keep(k.literal(1))))]);
      k.store(tokens, sum);
      k.store(each, sum);
    });
    const join = buildKernel({ name: 'join', doc: '', outer: 'run', domain: TOKENS, inner: 'head' }, (k) => {
      const [sum] = k.loop('segments', false, [k.literal(0)], ([total]) => [k.add(k.mul(total, k.literal(100)), k.load(tokens))]);
      k.store(S, sum);
    });
    const found = run(moduleOf([tokens, each, S], [count, join]), counts, {});
    expect([...(found.get('each') ?? [])]).toEqual([8, 1, 0, 5]);
    expect([...(found.get('s') ?? [])]).toEqual([801, 0, 5]);
  });

  it('loops over members see every head of the group', () => {
    const perHead = buffer('v', 'row', [], 'input');
    const perGroup = buffer('out', 'row', [], 'output', 'group');
    const kernel = buildKernel({ name: 'k', doc: '', outer: 'chunk', domain: TOKENS, inner: 'group' }, (k) => {
      const [sum] = k.loop('members', false, [k.zeros([ROW])], ([total]) => [k.add(total, k.load(perHead))]);
      k.store(perGroup, sum);
    });
    const found = run(
      moduleOf([perHead, perGroup], [kernel]), { heads: 4, groups: 2, runs: { token: [[0, 2]] } }, { v: [1, 2, 3, 4, 10, 20, 30, 40] },
    );
    expect([...(found.get('out') ?? [])]).toEqual([3, 7, 30, 70]);
  });

  it('what nobody wrote is not a number', () => {
    const forgotten = buffer('w', 'row', [], 'workspace');
    const out = buffer('out', 'row', [], 'output');
    const kernel = buildKernel(
      { name: 'k', doc: '', outer: 'chunk', domain: TOKENS, inner: 'head' }, (k) => k.store(out, k.load(forgotten)),
    );
    expect([...(run(moduleOf([forgotten, out], [kernel]), ONE, {}).get('out') ?? [])]).toEqual([NaN, NaN, NaN, NaN]);
  });
});
