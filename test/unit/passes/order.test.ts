import { describe, expect, it } from 'vitest';
import { compareTiles, type CompareOptions } from '../../property/tiles.js';
import { draw, specOf } from './scans.js';

const LENGTHS = [9, 0, 1, 4];
const KINDS: readonly CompareOptions[] = [
  { chunk: 4, longest: 1 }, { chunk: 4, segments: false, exactGates: true }, { chunk: 16, fits: () => false, inlineScores: 'all' },
];

/** Every order of a list. */
function orders<T>(list: readonly T[]): T[][] {
  if (list.length === 0) return [[]];
  return list.flatMap((first, i) => orders([...list.slice(0, i), ...list.slice(i + 1)]).map((rest) => [first, ...rest]));
}

/** The worst error of all tensors of all programs against the meaning of the text, in several kinds of chunks. */
function worst(text: string, kinds: readonly CompareOptions[] = KINDS): number {
  const spec = specOf(text);
  const drawn = draw(spec, new Map(spec.axes.map(({ name, defaultSize }) => [name, defaultSize ?? 3])), LENGTHS, 1);
  return Math.max(...kinds.map((kind) => compareTiles(spec, drawn.call, drawn.given, drawn.cotangents, kind).worst));
}

describe('order of states', () => {
  const chained = `
    let write = 1 - exp(g)
    keys = exp(g) * keys[t-1] + outer(k, write)
    values = exp(g) * values[t-1] + outer(write, v)
    last = exp(g) * last[t-1] + outer(g, q @ keys)
    n = 0.9 * n[t-1] + 1
  `;
  it.each(orders(['values: [M, V]', 'keys: [K, M]', 'last: [M, M2]', 'n: []']).map((order) => [order.join(', ')]))('state %s', (states) => {
    const text = `scan f(q, k: [K], v: [V], g: [M] in -inf..0, e: [M2]) -> o: [V], p: [M2] with K = 3, V = 4, M = 2, M2 = 2 {
      state ${states}
      ${chained.replace('outer(g, q @ keys)', 'outer(q @ keys, e)')}
      o = softmax[M](q @ keys / sqrt(K)) @ values / n
      p = (softmax[M](q @ keys) @ values) @ outer(v, e) + g @ last
    }`;
    expect(worst(text, KINDS.slice(0, 1))).toBeLessThan(1e-10);
  });

  it('follows reads that come before decays and writes', () => {
    for (const states of orders(['B: [M, V]', 'A: [K, M]'])) {
      expect(worst(`scan f(q, k: [K], v: [V], g: [] in -inf..0, w: [M]) -> o: [V] with K = 3, V = 4, M = 2 {
        state ${states.join(', ')}
        A = exp(g) * A[t-1] + outer(k, w)
        B = exp(g) * B[t-1] + outer(w, v)
        o = (q @ A[t-1]) @ B[t-1] + (k @ A) @ B
      }`)).toBeLessThan(1e-10);
    }
  });
});

describe('a state read along what was read of it', () => {
  const body = (update: string, read: string, more = '') =>
    `scan f(q, k: [K], v: [V], g: [] in -inf..0, b: [] in 0..1) -> o: [V] with K = 3, V = 3 {
    param W: [V, K]
    state S: [K, V]${more}
    S = ${update}
    o = ${read}
  }`;
  it.each([
    ['without decay', 'S[t-1] + outer(k, v)', '((q @ S) @ W) @ S'],
    ['by a number', 'S[t-1] + outer(k, v)', '(sum[V](q @ S) * q) @ S'],
    ['three times', 'exp(g) * S[t-1] + outer(k, v)', '(l2norm((silu(q @ S) @ W) @ S) @ W) @ S + q @ S'],
    ['before and after', 'exp(g) * S[t-1] + outer(k, v)', '((q @ S[t-1]) @ W) @ S'],
    ['with an erase', 'exp(g) * S[t-1] + outer(l2norm(k), b * (v - l2norm(k) @ (exp(g) * S[t-1])))', '((q @ S) @ W) @ S'],
  ])('%s', (_, update, read) => expect(worst(body(update, read))).toBeLessThan(1e-10));

  it('two states, each along what was read of the other', () => {
    for (const states of orders(['A: [K, V]', 'B: [V, K2]'])) {
      expect(worst(`scan f(q, k: [K], v: [V], w: [K2], g: [] in -inf..0) -> o: [V], p: [K2] with K = 3, V = 2, K2 = 3 {
        param W: [K2, K]
        state ${states.join(', ')}
        A = exp(g) * A[t-1] + outer(k, v)
        B = exp(g) * B[t-1] + outer(v, w)
        p = (q @ A) @ B
        o = ((v @ B) @ W) @ A
      }`)).toBeLessThan(1e-10);
    }
  });
});

describe('equal write terms', () => {
  it.each([
    'S[t-1] + outer(k, v) + outer(k, v)', 'exp(g) * S[t-1] + outer(k, v) + outer(k, b * v) + outer(k, v)',
    'exp(g) * S[t-1] + outer(k, b * (v - k @ S[t-1])) + outer(k, v) + outer(k, v)',
  ])('%s', (update) => {
    for (const read of ['q @ S', 'q @ (S[t-1] + outer(k, v))', 'q @ (exp(g) * S[t-1] + outer(k, v))', 'q @ (S + outer(k, v))']) {
      expect(worst(`scan f(q, k: [K], v: [V], g, b: [] in -1..0) -> o: [V] with K = 3, V = 2 {
        state S: [K, V]
        S = ${update}
        o = ${read}
      }`), read).toBeLessThan(1e-10);
    }
  });
});
