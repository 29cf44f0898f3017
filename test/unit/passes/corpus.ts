/** A scan of every class, and of what has gone wrong between them. Each is called `s`. */
export const SCANS: Readonly<Record<string, string>> = {
  'no decay': 'scan s(q, k: [K], v: [V]) -> o: [V] { state S: [K, V]  S = S[t-1] + outer(k, v)  o = q @ S / sqrt(K) }',
  'a constant decay per head': 'scan s(q, k: [K], v: [V]) -> o: [V] { '
    + 'const c = 1 - 2^(-2 - head)  state S: [K, V]  S = c * S[t-1] + outer(k, v)  o = q @ S }',
  'a trained decay': 'scan s(q, k: [K], v: [V]) -> o: [V] { '
    + 'param a: []  state S: [K, V]  S = sigmoid(a) * S[t-1] + outer(k, v)  o = q @ S }',
  'a scalar gate': 'scan s(q, k: [K], v: [V], g: [] in -inf..0) -> o: [V] { '
    + 'state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S }',
  'a gate per key channel': 'scan s(q, k: [K], v: [V], g: [K] in -inf..0) -> o: [V] { '
    + 'state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S / sqrt(K) }',
  'a gate per value channel': 'scan s(q, k: [K], v: [V], g: [V] in -inf..0) -> o: [V] { '
    + 'state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S }',
  'a read before the update': 'scan s(q, k: [K], v: [V], g: [K] in -inf..0) -> o: [V] { '
    + 'state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S[t-1] }',
  'a read before the update, gated per value channel': 'scan s(q, k: [K], v: [V], g: [V] in -inf..0) -> o: [V] { '
    + 'state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S[t-1] }',
  'a bonus for the own token': 'scan s(q, k: [K], v: [V], g: [K] in -inf..0) -> o: [V] { '
    + 'param u: [K]  state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ (S[t-1] + u * outer(k, v)) }',
  'an erase': 'scan s(q, k: [K], v: [V], b: [] in 0..1) -> o: [V] { '
    + 'state S: [K, V]  S = S[t-1] + outer(k, b * (v - k @ S[t-1]))  o = q @ S }',
  'an erase after a scalar gate': 'scan s(q, k: [K] per group, v: [V], g: [] in -inf..0, b: [] in 0..1) -> o: [V] { '
    + 'state S: [K, V]  let P = exp(g) * S[t-1]  S = P + outer(k, b * (v - k @ P))  o = q @ S }',
  'an erase before a channel gate, elsewhere than the write': 'scan s(q, k, a, b: [K], v: [V], g: [K] in -1..0) -> o: [V] { '
    + 'state S: [K, V]  S = exp(g) * S[t-1] + outer(b, a @ S[t-1]) + outer(k, v)  o = q @ S }',
  'two erases, the second seeing the first': `scan s(q, k, l: [K], v, w: [V], g: [] in -inf..0, b, c: [] in 0..1) -> o: [V] {
    state S: [K, V]
    let P = exp(g) * S[t-1]  let Q = P + outer(k, b * (v - k @ P))  S = Q + outer(l, c * (w - l @ Q))  o = q @ S }`,
  'three erases and a pure write': `scan s(q, k, l, m, p: [K], v, w, x, y: [V], b, c, d: [] in 0..1) -> o: [V] { state S: [K, V]
    let Q = S[t-1] + outer(k, b * (v - k @ S[t-1]))  let R = Q + outer(l, c * (w - l @ Q))
    S = R + outer(m, d * (x - m @ R)) + outer(p, y)  o = q @ S }`,
  'keys of unit length and a discretised gate': `scan s(q, k: [K], v: [V], dt: []) -> o: [V] { param A, shift: []  state S: [K, V]
    let delta = softplus(dt + shift)  let n = l2norm[K](k)
    S = exp(-exp(A) * delta) * S[t-1] + outer(n, delta * v)  o = l2norm[K](q) @ S }`,
  'a normaliser': 'scan s(q, k: [K], v: [V], f: []) -> o: [V] { '
    + 'state S: [K, V], n: [K]  S = sigmoid(f) * S[t-1] + outer(k, v)  n = sigmoid(f) * n[t-1] + k  o = q @ S / max(abs(q @ n), 1) }',
  'two states with a softmax between': `scan s(q, k: [K], v: [V], g: [M] in -inf..0) -> o: [V] { state A: [K, M], B: [M, V]
    let w = 1 - exp(g)  A = exp(g) * A[t-1] + outer(k, w)  B = exp(g) * B[t-1] + outer(w, v)  o = softmax[M](q @ A / sqrt(K)) @ B }`,
  'a skip, a norm and an output gate': 'scan s(q, k: [K], v, z: [V]) -> o: [V] { '
    + 'param D: [V]  state S: [K, V]  S = S[t-1] + outer(k, v)  o = rmsnorm[V](q @ S + D * v) * silu(z) }',
  'an elementwise state that is the output': 'scan s(x, g: [D] in -inf..0) -> h: [D] { state h: [D]  h = exp(g) * h[t-1] + x }',
  'an elementwise state of two axes': 'scan s(x, dt: [D], B, C: [N]) -> y: [D] { '
    + 'param A: [D, N]  state h: [D, N]  let d = softplus(dt)  h = exp(-exp(A) * d) * h[t-1] + outer(d * x, B)  y = h @ C }',
  'an elementwise state through a norm': 'scan s(x, f: [D]) -> o: [D] { '
    + 'state h: [D]  h = sigmoid(f) * h[t-1] + rmsnorm[D](x)  o = rmsnorm[D](h) - h[t-1] }',
  'the input before': 'scan s(q, k: [K], v: [V]) -> o: [V] { state S: [K, V]  S = 0.9 * S[t-1] + outer(k, v + 0.5 * v[t-1])  o = q @ S }',
  'step by step': 'scan s(x, z: [D]) -> h: [D] sequential { param w: [D]  state h: [D]  h = tanh(w * h[t-1] + x) * sigmoid(z) }',
};
