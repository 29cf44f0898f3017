import { describe, expect, it } from 'vitest';
import { printGraph } from '../../../../src/ir/graph/print.js';
import { graphOf, readText } from './files.js';

const FFN = 'layer ffn(x: [D]) -> y: [D] with D = 8, F = 16 { param up: [D, F], down: [F, D]   y = relu(x @ up) @ down }\n';
const MEM = 'scan mem(k, v: [K], g: [] in -inf..0) -> S: [K] with K = 4 { param a: [K]   state S: [K]\n' +
  'S = exp(g) * S[t-1] + a * k * v }\n';
const NORM = 'layer norm(x: [D]) -> y: [D] with D = 8, eps = 1e-6 { param w: [D] = 1   y = w * rmsnorm(x, eps: eps) }\n';
const EMB = 'layer emb(i: one of W) -> y: [D] with W = 16, D = 4 { param e: [W, D]   y = e[i] }\n';
const TWO = 'layer two(x: [D]) -> y, z: [D], n: [] with D = 8 { y = x   z = 2 * x   n = sum[D](x) }\n';

/** What the document does not show. */
const PROGRAMS: readonly (readonly [string, string])[] = [
  ['axes that the header leaves open', `layer g(x: [D]) -> y: [D] { param w: [D] = 1
    y = w * rmsnorm(x) }\nlayer f(x: [D]) -> y: [D] { use a = g   y = a(x) }`],
  ['axes that the header leaves open, where not every size will do', `layer turned(x: [D], f: [I]) -> y: [H, K] with D = 8, H = 2, K = 6 {
    param w: [D, H, K]   y = rope[K](x @ w, f, pairs: halves) }
    layer halves(x: [D]) -> y: [D] with F = D / 3 { param w: [D, F]   y = x @ w @ w / D }
    layer f(x: [D]) -> y: [D] with D = 12, I = 3 { use a = turned   use b = halves   const f = 100^(-index[I] / I)
    y = b(x) + sum[H, K](a(x, f)) }`],
  ['the best of the past', `layer f(x: [D]) -> y: [D] with D = 8, K = 4, n = 3 { param Wq, Wk: [D, K]   let k = x @ Wk   let near = past[8]
    let s = x @ Wq @ k[past]   let c = top[past, n](s)   let a = x @ Wq @ k[near]
    y = softmax[past](s[c]) @ x[past] + softmax[near](a[top[near, 8](a)]) @ x[near] }`],
  ['a running sum', 'layer f(x: [D]) -> y: [D] with D = 8 { y = sum[past](x[past]) }'],
  ['distances and caps', `layer f(x: [D]) -> y: [D] with D = 8, H = 2, K = 4 { param Wq, Wk, Wv: [D, H, K], Wo: [H, K, D]
    let q = x @ Wq   let k = x @ Wk   let v = x @ Wv
    let p = index[time]   const slope = 2^(-8 * (index[H] + 1) / H)
    let l = 50 * tanh((q @[K] k[past] / sqrt(K) - outer(slope, p - p[past])) / 50)
    y = (softmax[past](l) @[past] v[past]) @[H, K] Wo }`],
  ['a layer mapped over heads', `${NORM}layer f(x: [D]) -> y: [H, K] with D = 8, H = 2, K = 4 { param W: [D, H, K]
    use n = norm with D = K   y = n(x @ W) }`],
  ['a layer at the tokens that are seen', `${NORM}layer f(x: [D]) -> y: [D] with D = 8 { y = sum[past](norm(x[past])) }`],
  ['an embedding in a layer', `${EMB}model f(ids, labels: one of V) -> logits: [V] with V = 32, D = 4 { param head: [V, D]
    use em = emb with W = V   logits = em(ids) @ head
    loss lm = mean[tokens](logsumexp[V](logits) - logits[labels]) }`],
  ['a family of scans', `${MEM}layer f(x: [D]) -> y: [D] with D = 8, M = 3, K = 4 { param W: [D, M, K], Wo: [M, K, D], gate: [D, M]
    use m[M] = mem   let k = x @ W   let s = x @ gate
    let c = top[M, 2](s)   y = sum[M](s * m(k[c], k, log_sigmoid(s))) @ sum[M](Wo) }`],
  ['a family of scans on one input', `${MEM}layer f(x: [D]) -> y: [D] with D = 8, M = 3, K = 4 {
    param W: [D, K], Wo: [M, K, D], gate: [D, M]
    use m[M] = mem   let k = x @ W   let s = x @ gate
    let c = top[M, 2](s)   y = sum[M](s[c] * m(k, k, -1)) @ sum[M](Wo) }`],
  ['turns in turns', `${FFN}model f(ids: one of W) -> y: [D] with W = 16, D = 8, kinds = "AB" { param e: [W, D]   let x = e[ids]
    repeat i in 0..1 { repeat kind in kinds { use a = ffn
    if kind == "A" { x += a(x) } else if i == 0 { x += 2 * a(x) } else { x = a(x) }   loss s = mean[tokens](mean[D](x^2)) } } y = x }`],
  ['mixtures of mixtures', `${FFN}moe inner(x: [D]) -> y: [D] with D = 8, E = 4 { param gate: [D, E]   use expert[E] = ffn
    let s = softmax[E](x @ gate)   let c = top[E, 2](s)   y = sum[E](s[c] * expert(x)) }
    moe f(x: [D]) -> y: [D] with D = 8, M = 2 { param gate: [D, M]   use group[M] = inner   let s = softmax[M](x @ gate)
    let c = top[M, 1](s)   y = sum[M](s[c] * group(x)) }`],
  ['a restriction that is lifted', `layer f(x: [D]) -> y: [D] with D = 8 { param g: [D]   let c = x > 0 and not (x > 1)
    y = sum[](g * x[c]) + mask(c) * x }`],
  ['statistics of a sequence', `layer f(x: [D]) -> y: [D] with D = 8 { param g: [D]   let m = mean[time](x)
    y = g * (x - m) / sqrt(mean[time]((x - m)^2) + 1e-5) }`],
  ['numbers as arguments', `layer g(x, z: [D], s: []) -> y: [D] with D = 8 { y = x * s + z }\n
    layer f(x: [D]) -> y: [D] with D = 8 { use a = g   y = a(x, 0, 1) }`],
  ['what is absent in the past', `layer f(x: [D]) -> y: [D] with D = 8, H = 2 { param W: [D, H]   let k = x @ W   let c = k > 0
    let kc = k[c]   let a = softmax[past](k * kc[past])
    y = sum[H](sum[](sum[past](a * k[past]))) * x }`],
  ['several outputs, some of no use', `${TWO}layer f(x: [D]) -> y: [D] with D = 8 { use p, q = two   let a, b, _c = p(x)
    let d, _e, n = q(a)   y = d + b * n }`],
  ['a hidden space of the experts', `${FFN}moe f(x: [D]) -> y: [D] with D = 8, E = 4, Z = 4 {
    param gate: [D, E], into: [E, D, Z], out: [E, Z, D]
    use expert[E] = ffn with D = Z   let s = x @ gate   let c = top[E, 2](s)
    y = sum[E](s[c] * (expert(x @[D] into) @[Z] out)) }`],
  ['an instance that all turns share', `${FFN}layer f(x: [D]) -> y: [D] with D = 8 { use a = ffn   let z = x
    repeat i in 1..3 { z += a(z) / i }   y = z }`],
  ['an expert that is handed in', `${FFN}moe f(x: [D], e: one of E) -> y: [D] with D = 8, E = 4 { use expert[E] = ffn
    let all = expert(x)   y = all[e] }`],
  ['no turns', 'layer f(x: [D]) -> y: [D] with D = 8, L = 0 { let z = x   repeat i in 0..L - 1 { z = z * i }   y = z }'],
  ['running statistics', `layer f(x: [D]) -> y: [D] with D = 8 { buffer m: [D] = 0, v: [D] = 1 f32   y = (x - m) / sqrt(v + 1e-5)
    update m = 0.9 * m + 0.1 * mean[tokens](x)   update v = 0.9 * v + 0.1 * mean[tokens]((x - m)^2) }`],
  ['room per sequence', `moe f(x: [D]) -> y: [D] with D = 8, E = 4 { param gate: [D, E], w: [E, D]   let s = softmax[E](x @ gate)
    let c = top[time, batch, 3](s)   let d = top[time, ceil(time / E)](s[c])   y = sum[E](s[d] * w) }`],
  ['ranges that are proved', `layer b(x: [D] in 0..1) -> y: [D] with D = 8 { y = sqrt(x) }\n
    layer f(x: [D]) -> y: [D] with D = 8 { use p = b
    y = p(sigmoid(x)^0.25) + p(softmax[D](x)) + p(exp(-softplus(x))) + p(1 - sigmoid(x)) + p(mask(x > 0)) }`],
  ['ranges through parts', `${MEM}layer gate(x: [D]) -> g: [] with D = 8 { param w: [D]
    g = log_sigmoid(x @ w) / 16 }\nlayer f(x: [D]) -> y: [K] with D = 8, K = 4 { param W: [D, K]   use m = mem   let k = x @ W
    y = m(k, k, gate(x)) }`],
  ['parts without weights, called often', `layer g(x: [D]) -> y: [D] with D = 8 { y = dropout(x, 0.5) }\n
    layer f(x: [D]) -> y: [D] with D = 8 { let z = g(g(x))   repeat i in 0..1 { z += g(z) }   repeat i in 0..1 { z += g(z) + g(z) }
    y = z }`],
  ['parts as settings of parts', `${FFN}${NORM}layer block(x: [D]) -> y: [D] with D = 8, inner = ffn { use n = norm   use a = inner
    y = x + a(n(x)) }\nlayer deep(x: [D]) -> y: [D] with D = 8, inner = norm { use b = block with inner   y = b(x) }
    layer f(x: [D]) -> y: [D] with D = 8 { use a = deep   use b = deep with inner = ffn   y = a(b(x)) }`],
];

describe('programs of other habits', () => {
  it.each(PROGRAMS)('%s', (_, text) => {
    const read = readText(text);
    expect(read.diagnostics.map((d) => `${d.code} ${d.title}`)).toEqual([]);
    const { unsized } = read.parts.list.find((part) => part.name === 'f') ?? { unsized: [] };
    const sizes = Object.fromEntries(unsized.map((axis) => [axis, 8]));
    for (const training of [true, false]) expect(printGraph(graphOf(read, 'f', training, sizes))).toContain('output y');
  });
});

describe('settings of one\'s own', () => {
  const read = readText(`${FFN}${NORM}layer f(x: [D]) -> y: [D] with D = 8, E = D / 2, kind = "A", inner = ffn { use a = inner
    param w: [D, E], v: [E, D]   if kind == "A" { y = (a(x) @ w) @ v } else { y = x @ w @ v + a(x) } }`);
  it('numbers change what is computed from them', () => {
    const graph = graphOf(read, 'f', false, { D: 12 });
    expect([...graph.settings]).toEqual([['D', 12], ['E', 6], ['kind', 'A'], ['inner', 'ffn']]);
  });
  it('texts and parts', () => expect(graphOf(read, 'f', false, { kind: 'B', inner: 'norm' }).instances[0].part.name).toBe('norm'));
  it('what there is not, and what is of another kind', () => {
    expect(read.parts.elaborate('f', new Map([['Q', 3]])).diagnostics.map((d) => d.code)).toEqual(['E201']);
    expect(read.parts.elaborate('f', new Map([['kind', 3]])).diagnostics.map((d) => d.code)).toEqual(['E816']);
    expect(read.parts.elaborate('g').diagnostics.map((d) => d.code)).toEqual(['E201']);
    expect(read.parts.elaborate('f', new Map([['D', 3]])).diagnostics.map((d) => d.code)).toEqual(['E402']);
  });
});
