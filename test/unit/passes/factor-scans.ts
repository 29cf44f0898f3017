import type { Drawn } from './scans.js';

/** Scans whose decay is a factor that may be 0, in every form that a gate and its readers have. */
export const FACTOR_SCANS: Readonly<Record<string, string>> = {
  'per key channel': 'scan f(q, k: [K], v: [V], a: [K] in 0..1) -> o: [V] { state S: [K, V]  S = a * S[t-1] + outer(k, v)  o = q @ S }',
  'per value channel': 'scan f(q, k: [K], v: [V], a: [V] in 0..1) -> o: [V] { state S: [K, V]  S = a * S[t-1] + outer(k, v)  o = q @ S }',
  'per token': 'scan f(q, k: [K], v: [V], a: [] in 0..1) -> o: [V] { state S: [K, V]  S = a * S[t-1] + outer(k, v)  o = q @ S }',
  'of two kinds, read before and after': `scan f(q, k: [K], v: [V], a: [K] in 0..1, b: [] in 0..1) -> o: [V] { state S: [K, V]
    S = a * b * S[t-1] + outer(k, v)  o = b * q @ S[t-1] + k @ S }`,
  'per key channel, with an erase': `scan f(q, k: [K], v: [V], a: [K] in 0..1, beta: [] in 0..1) -> o: [V] {
    state S: [K, V]  let n = l2norm[K](k)
    let P = a * S[t-1]  S = P + outer(n, beta * (v - n @ P))  o = q @ S }`,
  'per token, with an erase of what was before': `scan f(q, k: [K], v: [V], a: [] in 0..1, beta: [] in 0..1) -> o: [V] {
    state S: [K, V]  let n = l2norm[K](k)
    S = a * S[t-1] + outer(n, beta * (v - n @ S[t-1]))  o = beta * q @ S }`,
};

/** Puts 0, denormals, small numbers and 1 among the decays. */
export function addEnds(tensors: Pick<Drawn, 'given'>): void {
  for (const name of ['a', 'b']) {
    const data = tensors.given.get(name);
    data?.forEach((_, i) => {
      const special = [0, 1e-40, 1e-8, 0, undefined, 1, undefined][i % 7];
      if (special !== undefined) data[i] = special;
    });
  }
}
