import type { Tensors } from '../../../src/interp/spec-machine.js';
import type { Drawn } from './scans.js';

/** Between them, what reads an input: gates of every kind, clamps, maxima, norms, erases, elementwise scans. */
export const NAN_SCANS: Readonly<Record<string, string>> = {
  'a log gate': 'scan s(q, k: [K], v: [V], g: [] in -inf..0) -> o: [V] { state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S }',
  'a log gate per channel': 'scan s(q, k: [K], v: [V], g: [K] in -inf..0) -> o: [V] { '
    + 'state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S }',
  'a log gate per value channel': 'scan s(q, k: [K], v: [V], g: [V] in -inf..0) -> o: [V] { '
    + 'state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S }',
  'a factor and an erase': `scan s(q, k: [K], v: [V], a: [K] in 0..1, beta: [] in 0..1) -> o: [V] { state S: [K, V]  let n = l2norm[K](k)
    let P = a * S[t-1]  S = P + outer(n, beta * (v - n @ P))  o = q @ S }`,
  'functions with ends': `scan s(q, k: [K], v: [V], f: [], z: [V]) -> o: [V] { state S: [K, V]
    S = sigmoid(max(f, -5)) * S[t-1] + outer(softmax[K](k), relu(min(v, 1)))
    o = tanh(clamp(q, -1, 1) @ S) * silu(abs(z)) + gelu(z) + sqrt(softplus(z)) }`,
  'whole numbers and signs': `scan s(q, k: [K], v: [V], f: []) -> o: [V] { state S: [K, V]
    S = normal_cdf(f) * S[t-1] + outer(round(k), floor(v))  o = (sign(q) @ S) * erf(v) + ceil(v) }`,
  'an elementwise scan': `scan s(x, r, i: [D]) -> o: [D] { state h: [D]  let g = -softplus(r)
    h = exp(g) * h[t-1] + sqrt(1 - exp(2 * g)) * sigmoid(i) * relu(x)  o = max(h, 0) }`,
  'extrema over an axis': 'scan s(x: [D]) -> o: [D], most: [] { '
    + 'state h: [D]  h = 0.5 * h[t-1] + x  o = log_sigmoid(h)  most = max[D](x) - min[D](h) }',
};

/** The token that has it. */
export const AT = 18;

/** Each input in turn with one NaN, everything else as it was. */
export function spoilt(
  { given }: Pick<Drawn, 'given'>, inputs: readonly string[], tokens: number,
): readonly (readonly [name: string, given: Map<string, Float64Array>])[] {
  return inputs.map((name) => {
    const data = given.get(name) ?? new Float64Array();
    const width = data.length / tokens;
    return [name, new Map(given).set(name, data.map((x, i) => (i === AT * width ? NaN : x)))];
  });
}

/** Elements that are NaN by the meaning and not in what was found, by tensor. */
export function missing(
  expected: Tensors, found: (name: string) => ArrayLike<number> | undefined, names: readonly string[],
): readonly string[] {
  return names.flatMap((name) => {
    const values = found(name);
    const lost = [...expected.get(name) ?? []].filter((x, i) => Number.isNaN(x) && !Number.isNaN(values?.[i] ?? 0)).length;
    return lost === 0 ? [] : [`${name}: ${lost}`];
  });
}
