import { describe, expect, it } from 'vitest';
import { compileScan } from '../../../src/driver/scan/compile.js';
import { nodeHost } from '../../../src/driver/host.js';
import { sourceOf } from '../../../src/driver/session.js';
import { gradSpec } from '../../../src/interp/spec-gradient.js';
import { randomSource } from '../../../src/support/random.js';
import { compiler, runKernels } from './emulate.js';

const [SIZE, TOKENS, HEADS] = [64, 128, 2];
const host = nodeHost();

/**
 * Error of what a bias of raw gates gets: gates are -A softplus(raw + bias), made outside of the scan, and most tokens do not decay at all.
 * The slope of that function is steepest where a decay leaves least of everything,
 * so that what pairs of tokens leave there of rounding counts most.
 */
async function biasError(axes: '[]' | '[K]'): Promise<number> {
  const source = sourceOf(host, 'delta.lmoe', `scan delta(q, k: [K], v: [V], g: ${axes} in -inf..0, beta: []) -> o: [V]
      with K = ${SIZE}, V = ${SIZE} {
    state S: [K, V]
    let P = exp(g) * S[t-1]
    S = P + outer(k, beta * (v - k @ P))
    o = q @ S / sqrt(K)
  }`);
  const [spec] = source.specs;
  const sizes = new Map([['K', SIZE], ['V', SIZE]]);
  const made = await compileScan(host, source, spec, { target: 'cuda.sm90', dtype: 'f16', sizes, command: 'test' });
  if (!('plan' in made)) throw new Error('delta does not compile');
  const random = randomSource(3, axes);
  const draw = (n: number, one: () => number) => Float64Array.from({ length: n }, one);
  const normal = () => random.normal();
  const [tokens, channels] = [TOKENS * HEADS, axes === '[]' ? HEADS : HEADS * SIZE];
  const unit = (x: Float64Array) => x.map((value, i) => value / Math.hypot(...x.subarray(i - (i % SIZE), i - (i % SIZE) + SIZE)));
  const bias = draw(channels, normal);
  const raw = draw(TOKENS * channels, () => (random.uniform() > 0.9 ? normal() : -1000));
  const shifted = raw.map((x, i) => x + bias[i % channels]);
  const speed = (i: number) => [3, 12][axes === '[]' ? i % HEADS : Math.floor((i % channels) / SIZE)];
  const given = new Map<string, Float64Array>([
    ['q', unit(draw(tokens * SIZE, normal))], ['k', unit(draw(tokens * SIZE, normal))], ['v', draw(tokens * SIZE, normal)],
    ['g', shifted.map((x, i) => -speed(i) * Math.log1p(Math.exp(x)))], ['beta', draw(tokens, () => 0.5 + 0.25 * random.uniform())],
    ['S', draw(HEADS * SIZE * SIZE, normal)], ['d_o', draw(tokens * SIZE, normal)],
    ['d_final.S', draw(HEADS * SIZE * SIZE, () => random.uniform())],
  ]);
  const slope = shifted.map((x, i) => -speed(i) / (1 + Math.exp(-x)));
  const ofBias = (d: Float64Array) => {
    const sums = new Float64Array(channels);
    d.forEach((x, i) => {
      sums[i % channels] += x * slope[i];
    });
    return sums;
  };
  let error = NaN;
  const options = {
    dtype: 'f16', plain: false, call: { heads: HEADS, groups: HEADS, lengths: [TOKENS] },
    longest: 8, programs: ['backward'], orders: ['0'], given,
  } as const;
  runKernels(made.module, options, (_, inputs, results) => {
    const cotangents = new Map([['d_o', inputs.get('d_o') ?? new Float64Array()], ['d_S', inputs.get('d_final.S') ?? new Float64Array()]]);
    const expected = ofBias(
      gradSpec(spec, { sizes, heads: HEADS, groups: HEADS, lengths: [TOKENS] }, inputs, cotangents).get('d_g') ?? new Float64Array(),
    );
    const found = ofBias(results.get('d_g') ?? new Float64Array());
    error = Math.hypot(...found.map((x, i) => x - expected[i])) / Math.hypot(...expected);
  });
  return error;
}

describe.skipIf(!compiler)('gradients of what makes a gate outside of the scan (skipped where g++ is missing)', () => {
  it.each(['[]', '[K]'] as const)('g: %s', async (axes) => {
    expect(await biasError(axes)).toBeLessThan(0.004);
  });
});

/** Relative error of the gradient of one strong log gate among weak ones, in f32, and the largest of all, with cotangents so large. */
async function gateErrors(update: string, scale = 1): Promise<{ readonly strong: number; readonly all: number }> {
  const [size, tokens, strong] = [16, 40, 20];
  const text = `scan f(q, k: [K], v: [V], g: [] in -inf..0) -> o: [V] with K = 16, V = 16 {\n  state S: [K, V]\n${update}\n  o = q @ S\n}`;
  const source = sourceOf(host, 'f.lmoe', text);
  const [spec] = source.specs;
  const sizes = new Map([['K', size], ['V', size]]);
  const made = await compileScan(host, source, spec, { target: 'cuda.sm90', dtype: 'f32', sizes, command: 'test' });
  if (!('plan' in made)) throw new Error('f does not compile');
  const random = randomSource(3, update);
  const draw = (n: number) => Float64Array.from({ length: n }, () => Math.fround(random.normal() / 4));
  const given = new Map<string, Float64Array>([
    ...['q', 'k', 'v'].map((name) => [name, draw(tokens * size)] as const),
    ['d_o', draw(tokens * size).map((x) => x * scale)],
    ['g', Float64Array.from({ length: tokens }, (_, t) => Math.fround(t === strong ? -20 : -0.01))],
    ['S', draw(size * size)], ['d_final.S', draw(size * size).map((x) => x * scale)],
  ]);
  let errors = { strong: NaN, all: NaN };
  const options = {
    dtype: 'f32', plain: false, call: { heads: 1, groups: 1, lengths: [tokens] }, longest: 8, programs: ['backward'], orders: ['0'], given,
  } as const;
  runKernels(made.module, options, (_, inputs, results) => {
    const cotangents = new Map([['d_o', given.get('d_o') ?? new Float64Array()], ['d_S', given.get('d_final.S') ?? new Float64Array()]]);
    const meant = gradSpec(spec, { sizes, heads: 1, groups: 1, lengths: [tokens] }, inputs, cotangents).get('d_g') ?? new Float64Array();
    const off = meant.map((x, t) => Math.abs((results.get('d_g')?.[t] ?? NaN) - x));
    errors = { strong: off[strong] / Math.abs(meant[strong]), all: Math.max(...off) / Math.max(...meant.map(Math.abs)) };
  });
  return errors;
}

const UPDATES = [
  '  S = exp(g) * S[t-1] + outer(k, v)',
  '  let P = exp(g) * S[t-1]\n  S = P + outer(k, 0.5 * (v - k @ P))',
  '  S = exp(g) * S[t-1] + outer(k, 0.5 * (v - k @ S[t-1]))',
];

describe.skipIf(!compiler)('gradients of strong gates among weak ones (skipped where g++ is missing)', () => {
  it.each(UPDATES)('have their own digits: %s', async (update) => {
    expect((await gateErrors(update)).strong).toBeLessThan(1e-4);
  }, 120_000);

  it.each(UPDATES)('are as right where cotangents are large: %s', async (update) => {
    for (const scale of [1, 1024, 1e6]) expect((await gateErrors(update, scale)).all, `${scale}`).toBeLessThan(1e-5);
  }, 120_000);
});
