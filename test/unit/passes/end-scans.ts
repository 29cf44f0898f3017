import type { Drawn } from './scans.js';

/** A scan, and values of its inputs and params where its functions end. */
export interface EndScan {
  readonly text: string;
  readonly values: Readonly<Record<string, readonly number[]>>;
  /** Tensors whose gradient is 0 throughout. */
  readonly zero?: readonly string[];
}

/** Formulas at the ends of their functions: where f32, or float64 too, has infinities, zeros and numbers without digits in between. */
export const END_SCANS: Readonly<Record<string, EndScan>> = {
  'a bounded gate whose rate overflows': {
    text: `scan s(q, k: [K], v: [V], f: [K], beta: [] in 0..1) -> o: [V] { param A_log: [], bias: [K]  state S: [K, V]  let n = l2norm[K](k)
      let P = exp(-5 * sigmoid(exp(A_log) * (f + bias))) * S[t-1]  S = P + outer(n, beta * (v - n @ P))  o = q @ S }`,
    values: { A_log: [89, 800], bias: [-1, 1, 0], f: [2, -2, 1.5] }, zero: ['A_log', 'f', 'bias'],
  },
  'infinity times 0': {
    text: `scan s(q, k: [K], v: [V], f: []) -> o: [V] { param A_log: []  state S: [K, V]
      S = exp(-exp(A_log) * relu(f)) * S[t-1] + outer(k, v)  o = q @ S }`,
    values: { A_log: [89, 800], f: [-1, -2, 1, -3, -1e-3] }, zero: ['A_log', 'f'],
  },
  'a step size that overflows or underflows': {
    text: `scan s(x: [P], dt: [], B, C: [N]) -> o: [P] { param A_log, D: []  state h: [N, P]
      let delta = softplus(dt)  h = exp(-exp(A_log) * delta) * h[t-1] + outer(B, delta * x)  o = C @ h + D * x }`,
    values: { A_log: [95, 750], dt: [-2000, -1, 0, 2, 30] }, zero: ['A_log'],
  },
  'a gate that is 1 where its sigmoid underflows': {
    text: `scan s(x, r, i: [D]) -> o: [D] { param lam: [D]  state h: [D]  let g = 8 * sigmoid(r) * log_sigmoid(lam)
      h = exp(g) * h[t-1] + sqrt(1 - exp(2 * g)) * sigmoid(i) * x  o = h }`,
    values: { r: [-1e4, -200, -95, -60, -20, 0.5, 30, 1e4] },
  },
  'what a decay of 1 leaves': {
    text: 'scan s(x, z: [D]) -> o: [D] { state h: [D]  let a = sigmoid(z)  h = a * h[t-1] + sqrt(1 - a^2) * x  o = h }',
    values: { z: [20, 30, 95, 1e4, 0.3, -95] },
  },
  'the slope of tanh': {
    text: 'scan s(x, z: [D]) -> o: [D] { state h: [D]  let a = tanh(z)  h = (1 - a^2) * h[t-1] + sqrt(1 - a^2) * x  o = h }',
    values: { z: [20, -12, 95, 0.3, -1] },
  },
  'a quotient of exponentials': {
    text: 'scan s(q, k: [K], v: [V], z: []) -> o: [V] { state S: [K, V]  S = (1 / (1 + exp(z))) * S[t-1] + outer(k, v)  o = q @ S }',
    values: { z: [95, 1e4, -95, 0.5] },
  },
  'a share of exponentials': {
    text: 'scan s(q, k: [K], v: [V], z: []) -> o: [V] { state S: [K, V]  S = (exp(z) / (1 + exp(z))) * S[t-1] + outer(k, v)  o = q @ S }',
    values: { z: [95, 1e4, -95, 0.5] },
  },
  'a share of three exponentials': {
    text: `scan s(q, k: [K], v: [V], z: [], w: []) -> o: [V] {
      state S: [K, V]  S = (exp(z) / (exp(w) + exp(z) + 0.5)) * S[t-1] + outer(k, v)  o = q @ S
    }`,
    values: { z: [95, 300, -95, 0.5, 320], w: [90, 300, 0.5] },
  },
  'a power of 0': {
    text: `scan s(q, k: [K], v: [V], f: [] in 0..1, y: []) -> o: [V] {
      state S: [K, V]  S = f^(1 + softplus(y)) * S[t-1] + outer(k, v)  o = q @ S
    }`,
    values: { f: [0, 0.5, 1, 0, 0.9], y: [-3, 0.3, 2, -1] },
  },
  'a small power of 0': {
    text: `scan s(q, k: [K], v: [V], f, y: []) -> o: [V] {
      state S: [K, V]  S = clamp(f, 0, 1)^softplus(y) * S[t-1] + outer(k, v)  o = q @ S
    }`,
    values: { f: [-1, 0.5, 2, -3, 0.9], y: [-3, -10, 2, 0.3] },
  },
  'a power of 0 in a vector': {
    text: 'scan s(x, f: [D] in 0..1, y: [D]) -> o: [D] { state h: [D]  h = 0.9 * h[t-1] + f^(1 + softplus(y)) * x  o = h }',
    values: { f: [0, 0.5, 1, 0, 0.9], y: [-3, 0.3, 2, -1] },
  },
};

/** Puts the values in, over and over. */
export function setEnds({ values }: EndScan, { given }: Pick<Drawn, 'given'>): void {
  for (const [name, all] of Object.entries(values)) given.get(name)?.forEach((_, i, data) => (data[i] = all[i % all.length]));
}
