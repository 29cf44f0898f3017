import { describe, expect, it } from 'vitest';
import { readText } from './files.js';

/** Parts that wrong programs use. */
const PRELUDE = `
scan mem(k, v: [K], g: [] in -inf..0) -> S: [K] with K = 4 { state S: [K]   S = exp(g) * S[t-1] + k * v }
scan grouped(v: [V], k: [K] per group, g: [] in -inf..0) -> o: [V] with K = 4, V = 4 {
  state S: [K, V]   S = exp(g) * S[t-1] + outer(k, v)   o = k @ S
}
scan weighted(k: [K]) -> S: [K] with K = 4 { param w: [K]   state S: [K]   S = 0.5 * S[t-1] + w * k }
layer ffn(x: [D]) -> y: [D] with D = 8, F = 16 { param up: [D, F], down: [F, D]   y = relu(x @ up) @ down }
layer norm(x: [D]) -> y: [D] with D = 8, eps = 1e-6 { param w: [D] = 1   y = w * rmsnorm(x, eps: eps) }
layer half(x: [D]) -> y: [D] with D = 8 { y = 0.5 * x }
layer shift(x: [D]) -> y: [D] with D = 8 { y = x - x[t-1] }
layer two(x: [D]) -> y, z: [D] with D = 8 { y = 2 * x   z = -x }
layer bounded(x: [D] in 0..1) -> y: [D] with D = 8 { y = sqrt(x) }
layer embedded(i: one of W) -> y: [D] with W = 16, D = 8 { param e: [W, D]   y = e[i] }
layer choose(x: [D]) -> y: [D], share: [E] with D = 8, E = 4 { param gate: [D, E]   share = softmax[E](x @ gate)   y = x }
`;

const SETTINGS = 'with D = 8, E = 4, H = 2, K = 4, T = 4, I = 2, G = 2, M = 4, n = 2, W = 16, kind = "L", part = ffn';
const wrap = (kind: string,
  body: string): string =>
    `${PRELUDE}${kind} f(x: [D], ids: one of W) -> y: [D] ${SETTINGS} `
    + `{ param gate: [D, E]   let s = x @ gate   let _c = top[E, 2](s)   ${body} }`;
const codesOf = (kind: string, body: string): readonly string[] => [...new Set(readText(wrap(kind,
  body)).diagnostics.filter(({ code }) => code !== 'W201').map(({ code }) => code))];

/** What stands behind a use of `gate`, so that only one thing is wrong. */
const END = 'y = x * sum[E](s)';

const LAYERS: Readonly<Record<string, readonly string[]>> = {
  E201: ['y = x * sum[E](s) * q', 'use a = fnn   y = a(x) * sum[E](s)', 'use a = ffn with Q = 3   y = a(x) * sum[E](s)', `q = x   ${END}`,
    `let z = i   ${END}`, 'use a = norm with epsilon = 1   y = a(x) * sum[E](s)',
    `repeat j in 0..L - 1 { }   ${END}`],
  E202: [`y = x * s`, `y = x + s`, 'y = x * sum[E](s) + s', `let c = x > s   ${END}`, `let a = max(x, s)   ${END}`,
    `let a = x % s   ${END}`, `let a = _c and x > 0   ${END}`, `let a = clamp(x, s, 1)   ${END}`,
    `param w: [T, H]   y = conv[T](x, w) * sum[E](s)`, `let a = softmax[D](x, sink: s)   ${END}`, `let a = rmsnorm(x, eps: s)   ${END}`,
      'y = s^x'],
  E203: [`let a = x @ s   ${END}`, `let a = outer(x, s) @ outer(x, s)   ${END}`, `let a = x @[E] s   ${END}`, `let a = x @ 2   ${END}`,
    `let a = x @[] x   ${END}`, `let a = outer(x, s) @[K] outer(x, s)   ${END}`],
  E204: [`let a = outer(x, x)   ${END}`, `let a = outer(s, gate)   ${END}`],
  E205: [`let s = x   ${END}`, `let a = x   let a = x   ${END}`, `param gate: [D]   ${END}`, `let x = s   ${END}`, `let E = 3   ${END}`,
    `use a, a = half   y = a(x) * sum[E](s)`, `loss l = 1   loss l = 2   ${END}`,
    `repeat D in 0..1 { }   ${END}`, `const s = 3   ${END}`, `use a = ffn with F = 3, F = 4   y = a(x) * sum[E](s)`,
      `param d_gate: [D, E]   y = x * sum[E](s + x @ d_gate)`,
    'use a = choose with E = 5   let b, p = a(x)   y = b * sum[E](p)',
      'let z = x   repeat i in 0..1 { use a = ffn   z = a(z) }   repeat i in 0..1 { use a = ffn   z = a(z) }   y = z * sum[E](s)',
    `repeat i in 0..1 { loss l = 1 }   repeat i in 1..2 { loss l = 1 }   ${END}`,
      'let z = ffn(x)   use ffn = norm   y = ffn(z) * sum[E](s)'],
  E206: [`param w: [Q]   ${END}`, `let a = sum[H](x)   ${END}`, `let a: [Q] = 0   ${END}`, 'y = x * sum[D](s)',
    `let a = softmax[tokens](s)   ${END}`, `let a = top[H, 1](s)   ${END}`, `param w: [D, H]   y = conv[T](x, w)`,
    `let a = gate[ids]   ${END}`, `let a = index[x]   ${END}`, `let a = normal[tokens]()   ${END}`, `let a = l2norm[K](x)   ${END}`,
      `let a = rope[K](x, 1, pairs: halves)   ${END}`, `let a = sum[E + 1](s)   ${END}`],
  E207: [`param w: [D, D]   ${END}`, `let a = sum[E, E](s)   ${END}`, `let b = x[past]   let a = b[past]   ${END}`,
    `let a = top[E, E, 2](s)   ${END}`, `let a: [D, D] = 0   ${END}`, 'use e[D] = half   y = sum[D](x * e(x)) * sum[E](s)',
    'use a = choose with D = E, E   let b, p = a(s)   y = x * sum[E](b * p)',
      'use e[E] = choose   let b, p = e(x)   y = x * sum[E](p) * sum[E](s)'],
  E208: [`y = s`, `y = outer(x, s)`, `let a: [H] = x   ${END}`, `let a = x   a = s   ${END}`, `let a = x   a += outer(x, s)   ${END}`,
    `let a = s   repeat i in 0..1 { a = x }   ${END}`, 'use a = ffn   y = x * a(s)',
    `param w: [D] = index[E]   y = x * w`, `let a = half(outer(x, s) @ s)   let b: [H] = a   ${END}`,
      `buffer b: [E] = 0   update b = mean[tokens, calls](x)   ${END}`, 'y = x @ outer(s, x)', `let a = 2   a = x   ${END}`,
    `let a = choose(x @ outer(x, s))   ${END}`, `let a = mem(s, s, 0)   ${END}`, 'use a = ffn with D = 4   y = a(x)',
      `let p = x[past]   let a = shift(p)   ${END}`],
  E209: ['y += x', 'y = y + x', `if n == 3 { y = x }   y += x * sum[E](s)`],
  E210: [`y = x[t-2] * sum[E](s)`, `y = x[t+1] * sum[E](s)`, 'y = x[t] * sum[E](s)', `let a = s[t-3]   ${END}`, 'y = x[t-1.5] * sum[E](s)'],
  E211: [`let top = x   ${END}`, `let tokens = x   ${END}`, `param past: [D]   ${END}`, `let training = 1   ${END}`,
    `use mask = half   ${END}`, `const pi = 3   ${END}`, `let cu_seqlens = x   ${END}`, 'y = x * top', 'y = x * inf',
    `let time = 3   ${END}`],
  E212: [`let a = topk(s)   ${END}`, `let a = x(s)   ${END}`, `let a = E(s)   ${END}`, `let a = foo(s)   ${END}`,
    `let a = orthogonal(1)   ${END}`, `let a = concat(x, s)   ${END}`],
  E213: [`let a = exp(x, s)   ${END}`, `let a = exp()   ${END}`, `let a = exp[D](x)   ${END}`, `let a = sum[E](s, s)   ${END}`,
    `let a = top[E](s)   ${END}`, `let a = top(s, 2)   ${END}`, `let a = half(x, x)   ${END}`,
    `let a = half()   ${END}`, `let a = half[D](x)   ${END}`, `let a = softmax[E](s, temperature: 2)   ${END}`,
      `let a = rmsnorm(x, eps: 1, eps: 2)   ${END}`, `const f = index[I]   let a = rope[D](x, f)   ${END}`,
    `const f = index[I]   let a = rope[D](x, f, pairs: other)   ${END}`, `let a = dropout(x, 1)   ${END}`, `let a = dropout(x)   ${END}`,
      `let a = uniform(1, 0)   ${END}`, `let a = normal(0.02)   ${END}`,
    `let a = sinkhorn[E](s, tol: 1e-3)   ${END}`, `let a = sinkhorn[tokens, E](s)   ${END}`, `let a = mask(_c, _c)   ${END}`,
      `let a = outer(x)   ${END}`, `let a = clamp(x, 0)   ${END}`, `let a = half(x: x)   ${END}`,
    `let a = mask   ${END}`.replace('mask', 'mask[E]'), `let a = sinkhorn[tokens, E](s, tol: 0)   ${END}`, `let a = index[E](s)   ${END}`],
  E214: [`let a = sum(s)   ${END}`, `let a = max(s)   ${END}`, `let a = softmax(s)   ${END}`, `let a = mean[](s)   ${END}`,
    `let a = mean[batch](s)   ${END}`, `let a = sum[ranks](s)   ${END}`, `let a = rmsnorm(outer(x, s))   ${END}`,
    `let a = top[tokens, 2](mean[tokens](s))   ${END}`, `let a = sum[calls](s)   ${END}`, `let a = conv(x, x)   ${END}`,
      `let a = mean[calls](mean[time](s))   ${END}`, `let a = logsumexp(s)   ${END}`, 'let a = mean(ids)   '.concat(END)],
  E215: ['let a = x', 'if n == 3 { y = x }'],
  E216: [`gate = 2   ${END}`, `x = 2 * x   ${END}`, `E = 5   ${END}`, `const a = 2   a = 3   ${END}`, `use a = half   a = x   ${END}`,
    `repeat i in 0..1 { i = 2 }   ${END}`, `buffer b: [E] = 0   b = s   ${END}`,
    `buffer b: [E] = 0   update b = mean[tokens](s)   update b = mean[tokens](s)   ${END}`, `init 0   init 1   ${END}`],
  E217: [`const a = x   ${END}`, `const a = 2 * gate   ${END}`, `param w: [D] = x   y = w * x`, `param w: [D] = gate   y = w * x`,
    `use a = ffn with F = sum[E](s)   ${END}`, `let a = dropout(x, sum[E](s))   ${END}`,
    `const a = index[time]   ${END}`, `let a = uniform(0, sum[E](s))   ${END}`, `let a = sinkhorn[tokens, E](s, tol: s)   ${END}`,
      `const a = normal()   ${END}`, `param w: [D] = normal(sum[E](s))   y = w * x`, `init sum[E](s)   ${END}`],
  E220: [`let a = mem(outer(x, s) @ outer(x, index[K]), outer(s, index[K]), -abs(x @ x))   ${END}`,
    `let k = outer(s, index[K] + 0 * sum[D](x))   let a = mem(k, k, -abs(sum[D](x)))   ${END}`,
    'use a = weighted   let k = index[K] * sum[D](x)   let p = a(k)   let q = a(outer(s, k))   y = x * sum[K](p) * sum[E, K](q)'],
  E402: [`let a = x[past[0]]   ${END}`, `let a = x[past[1.5]]   ${END}`, `const R = 2.5   param w: [R]   ${END}`,
    `use a = ffn with D = 2.5   ${END}`, `use a = ffn with D = "a"   ${END}`, `let a = x[past[sum[E](s)]]   ${END}`,
    `let a = past["n"]   ${END}`],
  E405: ['y = x * 1e39', 'y = x * log(0)', 'y = x / (1 - 1) * (1 / 0)', 'y = x * sqrt(-1)'],
  E801: [`let a = x[0]   ${END}`, `let a = x[s]   ${END}`, `let a = x[D]   ${END}`, `let a = x[n]   ${END}`, `let a = x[_c, _c]   ${END}`,
    `let a = x[]   ${END}`, `let a = x["a"]   ${END}`, `let a = s[n > 1]   ${END}`, `let a = gate[ffn]   ${END}`,
    `let a = s[mask(_c)]   ${END}`, `let a = x[-1]   ${END}`, `let a = s[index[E]]   ${END}`, `let a = x[training]   ${END}`,
      `let a = x[tokens]   ${END}`],
  E802: ['y = x[x > 0] * sum[E](s)', 'y = x[sum[E](s) > 0]', `y = half(x[x > 0]) * sum[E](s)`, 'y = x * max[E](s[s > 0])',
    'y = x * sum[D](x[sum[E](s) > 0])', 'let v = s[s > 0]   y = x * min[E](v)', 'y = x * logsumexp[E](s[s > 1])',
    'let q = softmax[E](s[_c])   y = x * q[ids]'.replace('q[ids]', 'max[H](outer(q, index[H]))').replace('max[H](outer(q, index[H]))',
      'sum[D](outer(x, q)) @ outer(index[E], x) * max[E](s[s > 9])'),
    'let z = x[mean[tokens](s[s > 0] @ s) > 0]   y = z',
      'buffer b: [] = 0   y = x * sum[E](s)   update b = max[tokens](sum[E](s)[0])'.replace('sum[E](s)[0]', 'max[E](s[s > 0])'),
      'let near = x[x > 0]   let v = near[past]   y = max[past](v)',
    'let z = ffn(x[sum[E](s) > 0])   y = z', 'let z = x   if n == 2 { z = x[sum[E](s) > 1] }   y = z', 'y = x[not (sum[E](s) > 0)]',
      `let d = dropout(x, 0.1)   y = d[d > 0] * sum[E](s)`, 'let k = x[sum[E](s) > 0]   y = k[t-1]'],
  E803: [`let a = top[E, 5](s)   ${END}`, `let a = top[E, 1.5](s)   ${END}`, `let a = top[E, -1](s)   ${END}`,
    `let a = top[E, s](s)   ${END}`, `let a = top[E, 3](s[_c])   ${END}`, `let a = top[tokens, sum[D](x)](s)   ${END}`,
    `let a = top[tokens, 2.5](s)   ${END}`, `let a = top[time, sum[D](x)](s)   ${END}`, `let a = top[E, E + 1](s)   ${END}`,
      `let a = top[D, x](outer(x, s))   ${END}`, `let a = top[time, 0.5](s)   ${END}`, `let a = top[E, E / 3](s)   ${END}`,
    `param g: [D, G, M]   let p = x @ g   let a = top[G, 1](max[M](p))   let b = top[G, M, 5](p[a])   y = x * sum[G, M](p[b])`,
      `let a = top[batch, sum[D](x)](s)   ${END}`, `let a = top[tokens, mean[time](sum[E](s))](s)   ${END}`,
    `let a = top[E, 4](s[top[E, 3](s)])   ${END}`],
  E804: ['param w: [D]   y = x * sum[E](s)', 'param w: [E]   let a = top[E, 2](s + w)   y = x * sum[E](s[a])',
    'param w: [D]   y = x * sum[E](s) * sum[D](mask(w > 0))', 'param w: [D]   y = x * sum[E](s) * sum[D](stop(w))',
    'param w: [D]   y = x * sum[E](s) * sum[D](sign(w))', 'param w: [D]   y = x * sum[E](s) + floor(w)',
      'param w: [E]   y = x * sum[E](s[s > w])', 'param w: [D]   let a = w * x   y = x * sum[E](s)',
    'param w: [E]   buffer b: [E] = 0   y = x * sum[E](s)   update b = mean[tokens](s * w)', 'y = x',
      'param w: [D]   y = x * sum[E](s)   loss l = mean[tokens](sum[D](mask(x > w)))',
      'param w: [E]   let p = sinkhorn[tokens, E](s + w, tol: 1e-3)   y = x * sum[E](s[top[E, 1](p)])',
    'param w: []   y = x * sum[E](s[top[tokens, w * tokens](s)])', 'param w: [D]   y = x * sum[E](s) * round(sum[D](w))',
      'param w: [D]   let a = half(stop(x * w))   y = a * sum[E](s)', 'param w: [D]   y = x * sum[E](s) + sum[D](ceil(w * x))'],
  E805: ['y = x * sum[tokens, calls](sum[E](s))', 'y = x * calls * sum[E](s)', 'let a = mean[tokens, calls](s)   y = x * sum[E](s * a)',
    `y = x * sum[E](s)   loss l = mean[E](sum[tokens, calls](s))`, `let a = top[calls, 2](s)   ${END}`,
    'use a = half   y = a(x * mean[tokens, calls](sum[E](s)))', 'let a = mean[calls](mean[tokens](s))   y = x * max[E](a) * sum[E](s)',
      'y = x * sum[E](s[s > mean[tokens, calls](s)])', 'y = x * sum[E](s) / calls',
    `y = x * sum[E](s)   loss l = calls * mean[tokens](sum[E](s))`, 'let g = s   g = g + sum[tokens, calls](mask(_c))   y = x * sum[E](g)',
      'let a = mean[calls](tokens)   y = x * sum[E](s) * a', 'y = x * sum[E](s[_c]) * min[E](sum[tokens, calls](s))'],
  E806: [`loss l = s   ${END}`, `loss l = sum[E](s)   ${END}`, `loss l = mean[tokens](s)   ${END}`,
    `loss l = mean[time](sum[E](s))   ${END}`, `loss l = gate   ${END}`, `loss l = max[tokens](max[E](s[s > 0]))   ${END}`,
    `loss l = x   ${END}`,
    `loss l = mean[batch](mean[time](s))   ${END}`, `loss l = sum[D](x)   ${END}`, `loss l = 0.1 * x @ x   ${END}`,
      `loss l = mean[time](mean[E](s)^2)   ${END}`, `loss l = logsumexp[E](s)   ${END}`, `loss l = x[past]   ${END}`,
      `loss l = uniform()   ${END}`,
    `loss l = mean[E](s[_c])   ${END}`, `loss l = time   ${END}`],
  E807: [`update gate = 0   ${END}`, `update q = 1   ${END}`, `update s = s   ${END}`, `update y = x   ${END}`, `update E = 3   ${END}`,
    `update x = x   ${END}`, `buffer b: [E] = 0   update b = s   ${END}`, `buffer b: [E] = 0   update b += mean[time](s)   ${END}`,
    `buffer b: [] = 0   update b = time   ${END}`, `buffer b: [E] = 0   update b = uniform[E]()   ${END}`,
      `use a = half   update a = x   ${END}`, `const a = 2   update a = 3   ${END}`, `buffer b: [E] = 0   update c = b   ${END}`,
    `buffer b: [E] = 0   update b += mask(_c)   ${END}`, `buffer b: [] = 0   update b = position   ${END}`],
  E808: [`const f = index[D]   let a = rope[D](x, f, pairs: halves)   ${END}`,
    `const f = index[I, H]   let a = rope[D](x, f, pairs: halves)   ${END}`, `let a = rope[D](x, 0.1, pairs: adjacent)   ${END}`,
    `let a = rope[E](s, s, pairs: halves)   ${END}`,
    `let a = rope[E](s, gate, pairs: halves)   ${END}`,
      `let v = index[I]   let c = v > 0   let a = rope[D](x, v[c], pairs: halves)   ${END}`,
      `let a = rope[D](x, outer(index[I], index[H]), pairs: adjacent)   ${END}`,
    `let a = rope[D](x, x, pairs: halves)   ${END}`],
  E810: [`if sum[E](s) > 0 { y = x } else { y = -x }`, `if tokens > 3 { }   ${END}`, `if _c { }   ${END}`,
    `repeat i in 0..time { }   ${END}`, `if x == 0 { }   ${END}`, `repeat i in 0..sum[E](s) { }   ${END}`, `if kind { }   ${END}`,
    `if ffn { }   ${END}`,
    `repeat i in batch..3 { }   ${END}`, `if uniform() > 0.5 { }   ${END}`, `if ids == 3 { }   ${END}`, `if gate { }   ${END}`,
      `if past { }   ${END}`, `if not _c { }   ${END}`, `if position > 3 { y = x } else { y = -x }`,
      `if n > 1 { if ranks > 1 { } }   ${END}`],
  E811: ['y = ffn(ffn(x)) * sum[E](s)', 'let a = ffn(x)   let b = ffn(x)   y = a * b * sum[E](s)',
    `repeat i in 0..1 { param w: [D] }   ${END}`, 'let a = x   repeat i in 0..1 { a = ffn(a) + ffn(x) }   y = a * sum[E](s)',
    'y = norm(x) * norm(2 * x) * sum[E](s)',
    `repeat i in 0..1 { buffer b: [D] = 0 }   ${END}`,
      'let a = weighted(index[K] * sum[D](x))   let b = weighted(index[K] * sum[D](x))   y = x * (a @ b) * sum[E](s)',
      'let a = part(x)   y = part(a) * sum[E](s)',
    'let a = embedded(ids)   let b = embedded(ids)   y = (a + b) * sum[E](s)',
      'if n == 2 { let a = ffn(x) }   let b = ffn(x)   y = b * sum[E](s)',
      'repeat i in 0..1 { repeat j in 0..1 { param w: [D] } }   y = x * sum[E](s)',
    'let a, p = choose(x)   let b, q = choose(x)   y = a * sum[E](p + q + s)',
    'let z = x   repeat i in 0..1 { z = ffn(z) }   repeat i in 0..1 { z = ffn(z) }   y = z * sum[E](s)'],
  E816: ['y = x * sum[E](s * _c)', 'y = two(x) * sum[E](s)', 'y = x * kind', 'y = x * ffn', 'y = x * part', 'y = x * past',
    `let a = not s   ${END}`, `let a = s and _c   ${END}`, `let a = mask(s)   ${END}`, `let a, b = half(x)   ${END}`,
    `let a, b = x   ${END}`,
    `let a, b, c = two(x)   ${END}`, `use a = half   y = a * x`, `if kind == 1 { }   ${END}`, `if kind > "A" { }   ${END}`,
      `let a = _c   a = s   ${END}`, `let a = s   a = _c   ${END}`, `let a = x   a = past   ${END}`, `repeat i, j in 0..3 { }   ${END}`,
    `repeat i in 3 { }   ${END}`, `repeat i in 0..2.5 { }   ${END}`, `let a = embedded(x)   ${END}`, `let a = embedded(3)   ${END}`,
      `use a = embedded with W = E   let b = a(ids)   ${END}`, `let a = exp(_c)   ${END}`, `let a = _c @ _c   ${END}`,
    `let a = kind + 1   ${END}`, `let a = ids[past]   ${END}`, `let a: [E] = past   ${END}`, `let a: [E] = kind   ${END}`,
      `use a = ffn with F = "a"   ${END}`, `let a = softmax[E](_c)   ${END}`, `repeat i in ffn { }   ${END}`, `let a = _c[t-1]   ${END}`,
      `let a = kind[past]   ${END}`,
    `let a = ffn[past]   ${END}`, 'loss l = mean[tokens](_c)   '.concat(END)],
  W202: ['use e[E] = ffn   y = sum[E](s * e(x))', 'use e[E] = ffn   y = sum[E](s[x @ x > 0] * e(x))'.replace('s[x @ x > 0]', 's'),
    'use e[E] = ffn   y = mean[E](e(x)) * sum[E](s)', 'use e[E] = half   y = s @ e(x)',
    'use e[E] = ffn   y = sum[E](mask(_c) * e(x)) * sum[E](s)',
    'use e[E] = ffn   y = max[E](e(x)) * sum[E](s)', 'use e[G, M] = ffn   y = sum[G, M](e(x)) * sum[E](s)'],
  W203: ['let a = mem(index[K] * sum[D](x), index[K] * 1, sum[E](s))   y = x * sum[K](a)', 'y = bounded(x) * sum[E](s)',
    'y = bounded(softplus(x)) * sum[E](s)', 'y = bounded(2 * sigmoid(x)) * sum[E](s)', 'y = bounded(x^2) * sum[E](s)'],
};

const MIXTURES: Readonly<Record<string, readonly string[]>> = {
  E809: ['y = x[t-1] * sum[E](s)', 'param w: [T, D]   y = conv[T](x, w) * sum[E](s)', 'y = shift(x) * sum[E](s)',
    'use a = shift   y = a(x) * sum[E](s)', 'y = sum[past](x[past]) * sum[E](s)',
    'let near = past[4]   y = mean[near](x[near]) * sum[E](s)',
    'let a = mem(index[K] * sum[D](x), index[K] * 1, -abs(sum[E](s)))   y = x * sum[K](a)', 'let a = s[t-1]   y = x * sum[E](s + a)',
      'use m = weighted   y = x * sum[K](m(index[K] * sum[D](x))) * sum[E](s)', 'y = half(x[t-1]) * sum[E](s)',
    'use e[E] = shift   y = sum[E](s[_c] * e(x))'],
  E107: [`state q: [D]   ${END}`],
};

const all = (kind: string, table: Readonly<Record<string, readonly string[]>>): readonly (readonly [string, string, string])[] => (
  Object.entries(table).flatMap(([code, bodies]) => bodies.map((body) => [code, kind, body] as const))
);

describe('wrong programs', () => {
  it.each([...all('layer', LAYERS), ...all('moe', MIXTURES)])('%s %s { %s }',
    (code, kind, body) => expect(codesOf(kind, body)).toEqual([code]));

  it('are right without what is wrong', () => {
    expect(codesOf('layer', END)).toEqual([]);
    expect(codesOf('moe', END)).toEqual([]);
  });
});
