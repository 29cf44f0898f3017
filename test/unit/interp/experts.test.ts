import { describe, expect, it } from 'vitest';
import { ROW } from '../../../src/ir/common/axes.js';
import { buildKernel, type KernelBuilder } from '../../../src/ir/tile/build.js';
import type { Domain } from '../../../src/ir/tile/domain.js';
import { printTiles } from '../../../src/ir/tile/print.js';
import type { TileBuffer, TileModule } from '../../../src/ir/tile/tile.js';
import { verifyTiles } from '../../../src/ir/tile/verify.js';
import { runTiles } from '../../../src/interp/tile.js';
import { randomSource } from '../../../src/support/random.js';
import { COUNTS as MIXED, mixture, mixtureByLoops, mixtureDims, mixtureGiven, SLOTS } from '../mixture.js';

const [D, F, C] = [5, 3, 4];

const rows = (name: string, axis: string, role: TileBuffer['role']): TileBuffer => (
  { name, outer: 'row', domain: SLOTS, inner: 'once', axes: [axis], dtype: 'f32', role }
);
const weights = (name: string, role: TileBuffer['role']): TileBuffer => (
  { name, outer: 'run', domain: SLOTS, inner: 'once', axes: ['D', 'F'], dtype: 'f32', role }
);
const [x, y, dx, dy] = [rows('x', 'D', 'input'), rows('y', 'F', 'output'), rows('d_x', 'D', 'gradient'), rows('d_y', 'F', 'cotangent')];
const [w, dw] = [weights('w', 'param'), weights('d_w', 'gradient')];

/** y[slot] = x[slot] w[expert of slot], and its gradients. */
const module: TileModule = {
  name: 'experts', chunk: C, sizes: new Map([['D', D], ['F', F]]), domains: [SLOTS], buffers: [x, w, y, dy, dx, dw],
  kernels: [
    buildKernel({ name: 'product', doc: 'Rows times the weight of their expert.', outer: 'chunk', domain: SLOTS, inner: 'once' }, (k) => {
      k.store(y, k.contract(k.load(x), k.load(w), 'D'));
    }),
    buildKernel({ name: 'back', doc: 'The same against it.', outer: 'chunk', domain: SLOTS, inner: 'once' }, (k) => {
      k.store(dx, k.contract(k.load(dy), k.load(w), 'F'));
    }),
    buildKernel({ name: 'weights', doc: 'Sums over the slots of an expert.', outer: 'run', domain: SLOTS, inner: 'once' }, (k) => {
      const [sum] = k.loop('chunks', false, [k.zeros(['D', 'F'])], ([sum]) => [k.add(sum, k.contract(k.load(x), k.load(dy), ROW))]);
      k.store(dw, sum);
    }),
  ],
  programs: {
    mix: { takes: ['x', 'w'], gives: ['y'], launches: ['product'] },
    unmix: { takes: ['x', 'w', 'd_y'], gives: ['d_x', 'd_w'], launches: ['back', 'weights'] },
  },
};

/** Two empty experts, one of several tiles. */
const COUNTS = [3, 0, 9, 0, 4];
const SLOT_COUNT = COUNTS.reduce((sum, count) => sum + count, 0);
const starts = COUNTS.map((_, expert) => COUNTS.slice(0, expert).reduce((sum, count) => sum + count, 0));
const expertOf = COUNTS.flatMap((count, expert) => new Array<number>(count).fill(expert));

function given(): Map<string, Float64Array> {
  const random = randomSource(7);
  const numbers = (n: number) => Float64Array.from({ length: n }, () => random.normal());
  return new Map([['x', numbers(SLOT_COUNT * D)], ['d_y', numbers(SLOT_COUNT * F)], ['w', numbers(COUNTS.length * D * F)]]);
}

function run(program: string): Readonly<Record<string, Float64Array>> {
  const buffers = given();
  const runs = COUNTS.map((count, expert) => [starts[expert], count] as const);
  runTiles(module, program, { heads: 1, groups: 1, runs: { slot: runs } }, buffers);
  return Object.fromEntries(buffers);
}

function close(found: Float64Array, wanted: Float64Array): void {
  expect(found.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) expect(found[i]).toBeCloseTo(value, 12);
}

describe('kernels over slots of experts', () => {
  it('are well formed', () => expect(verifyTiles(module)).toEqual([]));

  it('multiply rows with the weight of their expert', () => {
    const { x, w, y } = run('mix');
    const wanted = new Float64Array(SLOT_COUNT * F);
    for (const [slot, expert] of expertOf.entries()) for (let f = 0; f < F; f++) {
      for (let d = 0; d < D; d++) wanted[slot * F + f] += x[slot * D + d] * w[(expert * D + d) * F + f];
    }
    close(y, wanted);
  });

  it('give the gradients of rows, and of weights: zeros where no row is', () => {
    const { x, w, d_y: dy, d_x: dx, d_w: dw } = run('unmix');
    const [rowsWanted, weightsWanted] = [new Float64Array(SLOT_COUNT * D), new Float64Array(COUNTS.length * D * F)];
    for (const [slot, expert] of expertOf.entries()) for (let d = 0; d < D; d++) for (let f = 0; f < F; f++) {
      rowsWanted[slot * D + d] += dy[slot * F + f] * w[(expert * D + d) * F + f];
      weightsWanted[(expert * D + d) * F + f] += x[slot * D + d] * dy[slot * F + f];
    }
    close(dx, rowsWanted);
    close(dw, weightsWanted);
    expect([...dw.subarray(D * F, 2 * D * F)]).toEqual(new Array<number>(D * F).fill(0));
  });

  it('print in the words of their domain', () => {
    expect(printTiles(module)).toBe(`module experts  chunk=4 D=5 F=3

buffer x: f32[slot, D]  input
buffer w: f32[expert, D, F]  param
buffer y: f32[slot, F]  output
buffer d_y: f32[slot, F]  cotangent
buffer d_x: f32[slot, D]  gradient
buffer d_w: f32[expert, D, F]  gradient

/// Rows times the weight of their expert.
kernel product (per tile) {
  %0 [%row, D] = load x row
  %1 [D, F] = load w
  %2 [%row, F] = contract[D] %0, %1
  store y, %2
}

/// The same against it.
kernel back (per tile) {
  %0 [%row, F] = load d_y row
  %1 [D, F] = load w
  %2 [%row, D] = contract[F] %0, %1
  store d_x, %2
}

/// Sums over the slots of an expert.
kernel weights (per expert) {
  %0 [D, F] = zeros
  loop tiles with %1 [D, F] = %0 {
    %2 [%row, D] = load x row
    %3 [%row, F] = load d_y row
    %4 [D, F] = contract[%row] %2, %3
    %5 [D, F] = add %1, %4
    next %1 <- %5
  }
  store d_w, %1
}

program mix: product
program unmix: back, weights
`);
  });

  it('keep to their own domain', () => {
    const tokens: Domain = { row: 'token', chunk: 'chunk', segment: 'segment', run: 'sequence' };
    const t: TileBuffer = { ...x, name: 't', domain: tokens };
    const stray = buildKernel({ name: 'stray', doc: '', outer: 'chunk', domain: SLOTS, inner: 'once' }, (k) => k.store(dx, k.load(t)));
    const wrong = { ...module, buffers: [...module.buffers, t], kernels: [...module.kernels, stray] };
    expect(verifyTiles(wrong)).toEqual([
      'experts: t is of tokens, which the module does not have', 'experts.stray: t is per token, but no token is known here',
    ]);
    expect(verifyTiles({ ...wrong, domains: [SLOTS, { ...tokens, chunk: 'tile' }] })).toContain('experts: two domains share a name');
  });
});

describe('a mixture over tokens and slots', () => {
  it('is well formed, and says which rows it gathers', () => {
    expect(verifyTiles(mixture)).toEqual([]);
    expect(printTiles(mixture)).toContain('= gather x row by source');
    expect(MIXED.filter((count) => count === 0).length).toBe(2);
  });

  it('gives what loops over tokens and their experts give', () => {
    const given = mixtureGiven();
    const wanted = mixtureByLoops(given);
    for (const [program, name] of [['forward', 'y'], ['backward', 'd_w']] as const) {
      const buffers = new Map(Object.entries(given));
      runTiles(mixture, program, mixtureDims, buffers);
      close(buffers.get(name) ?? new Float64Array(), wanted[name]);
    }
  });

  const wrong: readonly (readonly [name: string, write: (k: KernelBuilder) => void, message: RegExp])[] = [
    ['numbers that are no rows', (k) => k.gather(x, y), /gather x: y has no numbers of rows/],
    ['what has no rows', (k) => k.gather(w, index), /gather w: it has no rows/],
    ['an axis that both have', (k) => k.gather(x, { ...index, name: 'wide' }), /gather x: wide has an axis of it/],
    ['what the kernel writes', (k) => k.store(y, k.gather(y, index)), /gathers rows of y by index, and stores to one of them/],
  ];
  const index: TileBuffer = { ...x, name: 'index', axes: [], dtype: 'i32' };
  it.each(wrong)('gathers no rows of %s', (_, write, message) => {
    const kernel = buildKernel({ name: 'k', doc: '', outer: 'chunk', domain: SLOTS, inner: 'once' }, write);
    const all = [...module.buffers, index, { ...index, name: 'wide', axes: ['D'] }];
    expect(verifyTiles({ ...module, buffers: all, kernels: [...module.kernels, kernel] }).join('\n')).toMatch(message);
  });
});
