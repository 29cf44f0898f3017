import { ROW } from '../../src/ir/common/axes.js';
import { buildKernel, type KernelBuilder, type KernelHead } from '../../src/ir/tile/build.js';
import type { Domain } from '../../src/ir/tile/domain.js';
import type { TileBuffer, TileKernel, TileModule } from '../../src/ir/tile/tile.js';
import type { TileDims } from '../../src/interp/tile.js';
import { TOKENS } from '../../src/passes/chunk/programs.js';
import { randomSource } from '../../src/support/random.js';

/** Seats of tokens at experts, those of an expert one after the other. */
export const SLOTS: Domain = { row: 'slot', chunk: 'tile', segment: 'span', run: 'expert' };
const [D, F, TOP] = [20, 12, 2];
/** Two sequences, one of them empty; experts without slots; one with several tiles of them. */
const LENGTHS = [11, 0, 26];
const EXPERTS = 5;
const tokens = LENGTHS.reduce((sum, length) => sum + length, 0);

/** Of every token: its experts. Nobody chooses the second and the last; a token of each kind has one expert only. */
const chosen: readonly (readonly number[])[] = Array.from({ length: tokens }, (_, token) => (
  token % 9 === 4 ? [3] : [token % 4 === 0 ? 0 : 2, token % 7 === 0 ? 0 : 3].filter((expert, i, all) => all.indexOf(expert) === i)
));
const seats = Array.from({ length: EXPERTS }, (_, expert) => chosen.flatMap((experts, token) => (experts.includes(expert) ? [token] : [])));
export const COUNTS = seats.map((own) => own.length);
const starts = COUNTS.map((_, expert) => COUNTS.slice(0, expert).reduce((sum, count) => sum + count, 0));
/** Token of every slot, and slots of every token, -1 for none. */
const source = seats.flat();
const slotsOf = chosen.flatMap((experts, token) => Array.from({ length: TOP }, (_, i) => (
  i < experts.length ? starts[experts[i]] + seats[experts[i]].indexOf(token) : -1
)));

const made = (
  name: string, outer: TileBuffer['outer'], domain: Domain, axes: readonly string[], role: TileBuffer['role'], dtype: TileBuffer['dtype'],
): TileBuffer => ({ name, outer, domain, inner: 'once', axes, dtype, role });
const buffers = {
  x: made('x', 'row', TOKENS, ['D'], 'input', 'f32'), p: made('p', 'row', TOKENS, ['top'], 'input', 'f32'),
  source: made('source', 'row', SLOTS, [], 'input', 'i32'), slots: made('slots', 'row', TOKENS, ['top'], 'input', 'i32'),
  w: made('w', 'run', SLOTS, ['D', 'F'], 'param', 'f32'), h: made('h', 'row', SLOTS, ['F'], 'workspace', 'f32'),
  y: made('y', 'row', TOKENS, ['F'], 'output', 'f32'), dy: made('d_y', 'row', TOKENS, ['F'], 'cotangent', 'f32'),
  dw: made('d_w', 'run', SLOTS, ['D', 'F'], 'gradient', 'f32'),
};
const over = (
  domain: Domain, name: string, outer: KernelHead['outer'], doc: string, write: (k: KernelBuilder) => void,
): TileKernel => buildKernel({ name, doc, outer, domain, inner: 'once' }, write);

/** y[t] = the sum over the slots s of t of p[t, s] x[t] w[expert of s], and the gradient of w where all p are 1. */
export const mixture: TileModule = {
  name: 'mixture', chunk: 16, sizes: new Map([['D', D], ['F', F], ['top', TOP]]), domains: [TOKENS, SLOTS],
  buffers: Object.values(buffers),
  kernels: [
    over(SLOTS, 'experts', 'chunk', 'Rows of tokens times the weight of their expert.', (k) => {
      k.store(buffers.h, k.contract(k.gather(buffers.x, buffers.source), k.load(buffers.w), 'D'));
    }),
    over(TOKENS, 'mix', 'chunk', 'Adds up what the experts of a token made.', (k) => {
      k.store(buffers.y, k.contract(k.load(buffers.p), k.gather(buffers.h, buffers.slots), 'top'));
    }),
    over(SLOTS, 'weights', 'run', 'Sums over the slots of an expert.', (k) => {
      const [sum] = k.loop('chunks', false, [k.zeros(['D', 'F'])], ([total]) => [
        k.add(total, k.contract(k.gather(buffers.x, buffers.source), k.gather(buffers.dy, buffers.source), ROW)),
      ]);
      k.store(buffers.dw, sum);
    }),
  ],
  programs: {
    forward: { takes: ['x', 'p', 'source', 'slots', 'w'], gives: ['y'], launches: ['experts', 'mix'] },
    backward: { takes: ['x', 'source', 'd_y'], gives: ['d_w'], launches: ['weights'] },
  },
};

/** The rows of a call: for the interpreter, and for a device. */
export const mixtureDims: TileDims = {
  heads: 1, groups: 1, runs: {
    token: LENGTHS.map((length, i) => [LENGTHS.slice(0, i).reduce((sum, each) => sum + each, 0), length] as const),
    slot: COUNTS.map((count, expert) => [starts[expert], count] as const),
  },
};
export const mixtureSizes = { heads: 1, groups: 1, lengths: LENGTHS, others: { slot: COUNTS } };

/** What a call takes. */
export function mixtureGiven(): Readonly<Record<string, Float64Array>> {
  const random = randomSource(7);
  const numbers = (n: number) => Float64Array.from({ length: n }, () => Math.fround(random.normal()));
  return {
    x: numbers(tokens * D), p: numbers(tokens * TOP), w: numbers(EXPERTS * D * F), d_y: numbers(tokens * F),
    source: Float64Array.from(source), slots: Float64Array.from(slotsOf),
  };
}

/** The same by plain loops over tokens and their experts. */
export function mixtureByLoops(
  { x, p, w, d_y: dy }: Readonly<Record<string, Float64Array>>,
): { readonly y: Float64Array; readonly d_w: Float64Array } {
  const [y, dw] = [new Float64Array(tokens * F), new Float64Array(EXPERTS * D * F)];
  for (const [token, experts] of chosen.entries()) for (const [i, expert] of experts.entries()) {
    for (let d = 0; d < D; d++) for (let f = 0; f < F; f++) {
      const at = (expert * D + d) * F + f;
      y[token * F + f] += p[token * TOP + i] * x[token * D + d] * w[at];
      dw[at] += x[token * D + d] * dy[token * F + f];
    }
  }
  return { y, d_w: dw };
}
