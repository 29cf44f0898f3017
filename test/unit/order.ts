import { buildKernel } from '../../src/ir/tile/build.js';
import type { TileBuffer, TileModule } from '../../src/ir/tile/tile.js';
import { TOKENS } from '../../src/passes/chunk/programs.js';
import { randomSource } from '../../src/support/random.js';

const K = 9;
const G = 3;
const M = 40;

const buffer = (name: string, outer: TileBuffer['outer'], axes: readonly string[], role: TileBuffer['role']): TileBuffer => (
  { name, outer, ...(outer === 'once' ? {} : { domain: TOKENS }), inner: 'once', axes, dtype: 'f32', role }
);

const [scores, one, rows, n] = [
  buffer('scores', 'row', ['K'], 'input'), buffer('one', 'row', [], 'input'), buffer('rows', 'row', [], 'input'),
  buffer('n', 'once', ['K'], 'input'),
];
const [wide, more] = [buffer('wide', 'row', ['G', 'M'], 'input'), buffer('more', 'row', [], 'input')];

/** Marks the `n` largest of each column, of each run and of all, those of a column alone, and the largest of each row and of its parts. */
function orderModule(): TileModule {
  const kernels = ([['run', scores], ['once', scores], ['once', one]] as const).map(([outer, from], i) => {
    const [least, last] = ['least', 'last'].map((name) => buffer(`${name}${i}`, outer, from.axes, 'workspace'));
    const chosen = buffer(`chosen${i}`, 'row', from.axes, 'output');
    const head = { doc: '', domain: TOKENS, inner: 'once' } as const;
    return { buffers: [least, last, chosen], made: [
      buildKernel({ ...head, name: `find${i}`, outer, ...(from.axes.length > 0 && { split: 'K' }) }, (k) => {
        // A column of its own takes as many as the first.
        const count = from.axes.length > 0 ? k.load(n) : k.literal(4);
        const nth = k.nth(from, count);
        k.store(least, nth);
        k.store(last, k.nth(from, count, nth));
      }),
      buildKernel({ ...head, name: `mark${i}`, outer: 'chunk' }, (k) => {
        const [x, bound, row] = [k.load(from), k.load(least), k.load(rows)];
        const not = (tile: number): number => k.sub(k.literal(1), tile);
        const equal = k.mul(not(k.map('less', x, bound)), not(k.map('less', bound, x)));
        const holds = k.map('max', k.map('less', bound, x), k.mul(equal, not(k.map('less', k.load(last), row))));
        k.store(chosen, k.mul(holds, k.map('less', k.literal(-Infinity), x)));
      }),
    ] };
  });
  const best = ([['of_row', ['G', 'M'], 7], ['of_group', ['M'], 3]] as const).map(([name, axes, count]) => {
    const out = buffer(name, 'row', ['G', 'M'], 'output');
    return { buffers: [out], made: [buildKernel({ doc: '', domain: TOKENS, inner: 'once', name: `top_${name}`, outer: 'chunk' }, (k) => {
      k.store(out, k.top(axes, k.load(wide), k.add(k.load(more), k.literal(count))));
    })] };
  });
  const all = [...kernels, ...best];
  const made = all.flatMap((one) => one.made);
  return {
    name: 'order', chunk: 4, sizes: new Map([['K', K], ['G', G], ['M', M]]), domains: [TOKENS],
    buffers: [scores, one, rows, n, wide, more, ...all.flatMap((one) => one.buffers)], kernels: made,
    programs: { forward: {
      takes: ['scores', 'one', 'rows', 'n', 'wide', 'more'], gives: ['chosen0', 'chosen1', 'chosen2', 'of_row', 'of_group'],
      launches: made.map(({ name }) => name),
    } },
  };
}

export const order = orderModule();

/** Columns: distinct numbers, a few, all equal, both zeros, tiny, none present, none wanted, all wanted, large ones. */
export function orderGiven(lengths: readonly number[]): Map<string, Float64Array> {
  const random = randomSource(5);
  const count = lengths.reduce((a, b) => a + b, 0);
  const column = (k: number): number => {
    switch (k) {
      case 1: return Math.floor(3 * random.uniform());
      case 2: return 0.1;
      case 3: return random.uniform() < 0.5 ? 0 : -0;
      case 4: return random.normal() * 1e-30;
      case 5: return -Infinity;
      case 8: return random.normal() * 1e38;
      default: return random.uniform() < 0.2 ? -Infinity : random.normal();
    }
  };
  const all = Float64Array.from({ length: count * K }, (_, i) => Math.fround(column(i % K)));
  // Few different numbers, with some that are absent; all alike; all absent but one.
  const rowOf = (row: number, i: number): number => {
    if (row % 4 === 1) return 0.25;
    if (row % 4 === 2) return i === 50 ? 1 : -Infinity;
    return random.uniform() < 0.1 ? -Infinity : row % 4 === 3 ? random.normal() : Math.floor(5 * random.uniform());
  };
  const broad = Float64Array.from({ length: count * G * M }, (_, i) => Math.fround(rowOf(Math.floor(i / (G * M)), i % (G * M))));
  return new Map([
    ['wide', broad], ['more', Float64Array.from({ length: count }, (_, row) => [0, 1, -3, 0.5, 200][row % 5])],
    ['scores', all], ['one', all.filter((_, i) => i % K === 1)], ['rows', Float64Array.from({ length: count }, (_, row) => row)],
    ['n', Float64Array.of(3, 4, 5, 2, 3, 2, 0, 1000, 1.5)],
  ]);
}

/** What is to be marked, by sorting. */
export function orderWanted(lengths: readonly number[], given: ReadonlyMap<string, Float64Array>): Readonly<Record<string, Float64Array>> {
  const [all, alone, wanted, broad, more] = ['scores', 'one', 'n', 'wide', 'more'].map((name) => given.get(name) ?? new Float64Array());
  const count = lengths.reduce((a, b) => a + b, 0);
  const whole = [Array.from({ length: count }, (_, row) => row)];
  const runs = lengths.map((length, i) => Array.from({ length }, (_, row) => lengths.slice(0, i).reduce((a, b) => a + b, 0) + row));
  const marked = (data: Float64Array, width: number, counts: ArrayLike<number>, groups: readonly (readonly number[])[]): Float64Array => {
    const out = new Float64Array(data.length);
    for (const group of groups) for (let k = 0; k < width; k++) {
      const there = group.filter((row) => data[row * width + k] > -Infinity);
      // Sorting is stable, and 0 is -0.
      const sorted = there.sort((a, b) => data[b * width + k] - data[a * width + k]);
      for (const row of sorted.slice(0, Math.floor(counts[k]))) out[row * width + k] = 1;
    }
    return out;
  };
  const best = (size: number, some: number): Float64Array => {
    const out = new Float64Array(broad.length);
    for (let first = 0; first < broad.length; first += size) {
      const there = Array.from({ length: size }, (_, i) => first + i).filter((i) => broad[i] > -Infinity);
      there.sort((a, b) => broad[b] - broad[a]);
      for (const i of there.slice(0, Math.max(0, Math.floor(some + more[Math.floor(first / (G * M))])))) out[i] = 1;
    }
    return out;
  };
  return {
    of_row: best(G * M, 7), of_group: best(M, 3),
    chosen0: marked(all, K, wanted, runs), chosen1: marked(all, K, wanted, whole), chosen2: marked(alone, 1, [4], whole),
  };
}
