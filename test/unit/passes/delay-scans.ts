/** Scans that look at earlier tokens, by what they look at. No state is carried for it, in any of them but the last two. */
export const DELAYS: Readonly<Record<string, string>> = {
  'a key and the one before': `scan s(q, k: [K], v: [V], g: [] in -inf..0) -> o: [V] { param mix: [K]  state S: [K, V]
    let key = k + mix * (k[t-1] - k)  S = exp(g) * S[t-1] + outer(key, v)  o = q @ S }`,
  'a convolution of four taps': `scan s(x: [P], dt: [], B, C: [N]) -> y: [P] {
    param A_log, dt_bias, D: [], c0, c1, c2, c3: [P]  state x1, x2: [P], h: [N, P]
    x1 = x[t-1]  x2 = x1[t-1]  let u = silu(c0 * x + c1 * x1 + c2 * x2 + c3 * x2[t-1])  let delta = softplus(dt + dt_bias)
    h = exp(-exp(A_log) * delta) * h[t-1] + outer(B, delta * u)  y = C @ h + D * u }`,
  'convolutions, norms and an erase': `scan s(q, k: [K], v: [V], b: []) -> o: [V] {
    param c0, c1: [K], d0, d1, d2: [V]  state v1: [V], S: [K, V]
    v1 = v[t-1]  let query = l2norm(silu(c0 * q + c1 * q[t-1]))  let key = l2norm(silu(c1 * k - c0 * k[t-1]))
    let value = silu(d0 * v + d1 * v1 + d2 * v1[t-1])
    let P = 0.9 * S[t-1]  S = P + outer(key, sigmoid(b) * (value - key @ P))  o = query @ S }`,
  'a gate of the token before': `scan s(q, k: [K], v: [V], g: [] in -inf..0, w: [K] in -inf..0) -> o: [V] { state S: [K, V]
    S = exp(0.5 * g[t-1] - 0.1 * w[t-1]^2) * S[t-1] + outer(k, v)  o = q @ S }`,
  'values shared by a group': `scan s(q: [K], k: [K] per group, v: [V] per group, g: [] in -inf..0) -> o: [V] { state S: [K, V]
    S = exp(g) * S[t-1] + outer(k - 0.5 * k[t-1], v + v[t-1])  o = q @ S }`,
  'a computed value of the token before': `scan s(q, k: [K], v: [V], z: []) -> o: [V] { param w: [V]  state last: [V], S: [K, V]
    last = silu(w * v) * sigmoid(z)  S = 0.8 * S[t-1] + outer(k, last + 0.5 * last[t-1])  o = q @ S + last[t-1] }`,
  'no other state': 'scan s(x, z: [D]) -> y: [D], n: [] { '
    + 'param w: [D]  state two: [D], one: [D]  one = x[t-1]  two = one[t-1]  y = w * two * z + z[t-1]  n = sum[D](two[t-1] * x) }',
  'sums over what was': 'scan s(x, z: [D]) -> y: [], m: [] { '
    + 'param w: [D]  state two: [D]  two = x[t-1]  y = sum[D](z[t-1])  m = y * mean[D](two[t-1]) + sum[D](w * x) }',
  'only what is remembered': 'scan s(x: [D]) -> y: [D] { state a: [D], b: [D]  a = x  b = a[t-1]  y = b }',
  'an elementwise state of it': 'scan s(x, f: [D]) -> h: [D] { '
    + 'param c: [D]  state x1: [D], h: [D]  x1 = x[t-1]  h = sigmoid(f + f[t-1]) * h[t-1] + c * x * x1[t-1] + rmsnorm[D](x1) }',
  'a convolution of what is computed': 'scan s(x: [D]) -> y: [D] { '
    + 'param c: [D]  state u: [D], u1: [D]  u = tanh(c * x)  u1 = u[t-1]  y = u - c * u1 + u1[t-1] }',
  'a matrix of what was': 'scan s(q: [K], x: [V]) -> o: [V] { state S: [K, V]  S = outer(q, x)  o = q @ S[t-1] }',
  'what was read before': 'scan s(q, k: [K], v: [V]) -> o: [V] { '
    + 'state S: [K, V], r: [V]  S = 0.9 * S[t-1] + outer(k, v + v[t-1])  r = q @ S  o = r + 0.5 * r[t-1] }',
};
