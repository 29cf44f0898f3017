import type { Drawn } from './scans.js';

/** Scans whose decay is next to 1, with the numbers that make it so. */
export const STEADY_SCANS: Readonly<Record<string, readonly [text: string, input: string, value: number]>> = {
  'a log gate': [
    'scan s(q, k: [K], v: [V], g: [] in -inf..0) -> o: [V] { state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S }', 'g', -1e-5,
  ],
  'a log gate per channel': [
    'scan s(q, k: [K], v: [V], g: [K] in -inf..0) -> o: [V] { state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S }', 'g', -1e-5,
  ],
  'a sigmoid': [
    'scan s(q, k: [K], v: [V], f: []) -> o: [V] { state S: [K, V]  S = sigmoid(f) * S[t-1] + outer(k, v)  o = q @ S }', 'f', 11.5,
  ],
  'a factor': [
    'scan s(q, k: [K], v: [V], a: [] in 0..1) -> o: [V] { state S: [K, V]  S = a * S[t-1] + outer(k, v)  o = q @ S }', 'a', 1 - 1e-5,
  ],
  'a product': [
    'scan s(q, k: [K], v: [V], a: [] in 0..1) -> o: [V] { state S: [K, V]  S = a * exp(-1e-5) * S[t-1] + outer(k, v)  o = q @ S }', 'a', 1,
  ],
  'an elementwise scan': ['scan s(x, g: [D]) -> o: [D] { state h: [D]  h = exp(g) * h[t-1] + x  o = h }', 'g', -1e-5],
  'an elementwise scan by sigmoids': [
    'scan s(x, f: [D]) -> o: [D] { state h: [D]  h = sigmoid(f) * sigmoid(f) * h[t-1] + x  o = h }', 'f', 12.2,
  ],
  'a matrix and what is forgotten': [
    'scan s(q, k: [K], v: [V], e: [] in 0..1) -> o: [V] { state S: [K, V]  S = (1 - e) * S[t-1] + outer(k, v)  o = q @ S }', 'e', 1e-6,
  ],
  'a matrix and a share': [
    'scan s(q, k: [K], v: [V], e: [K] in 0..1) -> o: [V] { state S: [K, V]  S = S[t-1] / (1 + e) + outer(k, v)  o = q @ S }', 'e', 1e-6,
  ],
  'a matrix and a least decay': [
    'scan s(q, k: [K], v: [V], l: [K] in 0..1, f: [K]) -> o: [V] { state S: [K, V]  '
      + 'S = (l + (1 - l) * sigmoid(f)) * S[t-1] + outer(k, v)  o = q @ S }',
    'f', 12.2,
  ],
  'a vector and its reader': [
    'scan s(q, k: [K], a: [] in 0..1) -> o: [] { state n: [K]  n = a * n[t-1] + k  o = q @ n }', 'a', 1 - 1e-6,
  ],
  'an erase': [
    'scan s(q, k: [K], v: [V], a, b: [] in 0..1) -> o: [V] { state S: [K, V]  let n = l2norm[K](k)  '
      + 'let P = a * S[t-1]  S = P + outer(n, 1e-5 * b * (v - n @ P))  o = q @ S }',
    'a', 1 - 1e-6,
  ],
  'an elementwise scan by factors': ['scan s(x, a: [D] in 0..1) -> o: [D] { state h: [D]  h = a * h[t-1] + x  o = h }', 'a', 1 - 1e-6],
  'an elementwise scan by a number': ['scan s(x, y: [D]) -> o: [D] { state h: [D]  h = 0.999999 * h[t-1] + x * y  o = h }', 'y', 0.3],
  'an elementwise scan and what is forgotten': [
    'scan s(x: [D], e: [D] in 0..1) -> o: [D] { state h: [D]  h = (1 - e) * h[t-1] + e * x  o = h }', 'e', 1e-6,
  ],
  'an elementwise scan and a share': [
    'scan s(x: [D], e: [D] in 0..1) -> o: [D] { state h: [D]  h = h[t-1] / (1 + e) + x  o = h }', 'e', 1e-6,
  ],
  'an elementwise scan and a root': [
    'scan s(x, g: [D] in -inf..0) -> o: [D] { state h: [D]  h = sqrt(exp(g)) * h[t-1] + x  o = h }', 'g', -1e-6,
  ],
  'channels and a least decay': [
    'scan s(x, l: [D] in 0..1, f: [D]) -> o: [D] { state h: [D]  h = (l + (1 - l) * sigmoid(f)) * h[t-1] + x  o = h }', 'f', 12.2,
  ],
  'a sequential matrix': [
    'scan s(q, k: [K], v: [V], g: [] in -inf..0) -> o: [V] sequential { '
      + 'state S: [K, V]  let P = exp(g) * S[t-1]  S = P + outer(k, v - 0.0 * (k @ P))  o = q @ S }',
    'g', -1e-5,
  ],
  'a sequential sum of many terms': [
    'scan s(x, f: [D]) -> o: [D] sequential { state h: [D]  h = x + 0.0 * h[t-1] + sigmoid(f) * (h[t-1] * sigmoid(f)) - 0.5 * x  o = h }',
    'f', 12.2,
  ],
};

/** A number that f32 has, at every token. */
export function setSteady({ given }: Pick<Drawn, 'given'>, input: string, value: number): void {
  given.get(input)?.fill(Math.fround(value));
}
