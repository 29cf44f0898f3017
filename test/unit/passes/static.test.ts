import { describe, expect, it } from 'vitest';
import { compareTiles, type CompareOptions } from '../../property/tiles.js';
import { draw, specOf } from './scans.js';

const KINDS: readonly CompareOptions[] = [{ chunk: 4, longest: 1 }, { chunk: 16, fits: () => false, segments: false, inlineScores: 'all' }];

/** Values made of params alone, folds along every axis among them, wherever a formula may have them. */
const SCALARS = ['sum[K](a)', 'max[V](u)', 'a @ c', 'sum[V](softmax[V](u) * u)', '(a @ W) @ u', 's'];
const ROWS = ['softmax[K](a)', 'l2norm(a)', 'rmsnorm[K](a)', 'W @ u', 'a * sum[K](a)', 'a / sum[V](u * u)'];
const COLUMNS = ['softmax[V](u)', 'l2norm(u)', 'a @ W', 'u * sum[V](u)', 'softmax[V](a @ W)', 'max[K](a) * u'];

function worst(body: string, declared: string): number {
  const spec = specOf(`scan f(q, k: [K], v: [V], g: [] in -inf..0) -> o: [V] with K = 3, V = 4 {
    param a, c: [K], u: [V], W: [K, V], s: []
    state ${declared}
    ${body}
  }`);
  const drawn = draw(spec, new Map([['K', 3], ['V', 4]]), [9, 0, 1, 4], 1);
  return Math.max(...KINDS.map((kind) => compareTiles(spec, drawn.call, drawn.given, drawn.cotangents, kind).worst));
}

describe('what params alone make', () => {
  it.each(SCALARS)('a number: %s', (x) => {
    expect(worst(
      `S = exp(g - abs(${x})) * S[t-1] + (${x}) * outer(k, v)\no = (q @ S) * (${x}) + (${x}) * v`, 'S: [K, V]',
    )).toBeLessThan(1e-10);
    expect(worst(`h = sigmoid(${x}) * h[t-1] + (${x}) * v\no = h * (${x})`, 'h: [V]')).toBeLessThan(1e-10);
  });
  it.each(ROWS)('a row: %s', (x) => {
    expect(worst(
      `S = exp(g * abs(${x})) * S[t-1] + outer((${x}) * k, v)\no = ((${x}) * q) @ S + (${x}) @ S`, 'S: [K, V]',
    )).toBeLessThan(1e-10);
    expect(worst(`S = exp(g) * S[t-1] + outer(${x}, v)\no = (${x}) @ S`, 'S: [K, V]')).toBeLessThan(1e-10);
    expect(worst(`S = S[t-1] + outer(l2norm(k), v - (0.3 * (${x})) @ S[t-1])\no = q @ S`, 'S: [K, V]')).toBeLessThan(1e-10);
  });
  it.each(COLUMNS)('a column: %s', (x) => {
    expect(worst(`S = exp(g * abs(${x})) * S[t-1] + outer(k, (${x}) * v)\no = (q @ S) * (${x})`, 'S: [K, V]')).toBeLessThan(1e-10);
    expect(worst(`S = sigmoid(${x}) * S[t-1] + outer(k, ${x})\no = (q @ S) + (${x})`, 'S: [K, V]')).toBeLessThan(1e-10);
    expect(worst(`h = sigmoid(${x}) * h[t-1] + (${x}) * v\no = h * (${x})`, 'h: [V]')).toBeLessThan(1e-10);
    expect(worst(`h = exp(g) * h[t-1] + (${x})\no = h - h[t-1]`, 'h: [V]')).toBeLessThan(1e-10);
  });
});
