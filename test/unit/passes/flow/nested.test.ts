import { describe, it } from 'vitest';
import { someCall } from '../../interp/graph/make-graph.js';
import { graphOf } from '../../interp/graph/texts.js';
import { judgeKernels, madeOf } from '../kernels/judge.js';
import { judgeBackward, judgeForward, judgeUpdate } from './judge.js';

const PARTS = `
layer ffn(x: [D]) -> y: [D] with D = 4, F = 3 {
  param up: [D, F], down: [F, D]
  y = silu(x @ up) @ down
}
layer number(x: [D]) -> y: [] with D = 4 {
  param w: [D]
  y = tanh(x @ w)
}
moe inner(x: [D]) -> y: [D] with D = 4, F = 3, C = 3, m = 2 {
  param route: [D, C]
  use part[C] = ffn with F
  let s = sigmoid(x @ route)
  let c = top[C, m](s)
  y = sum[C](s[c] * part(x))
}
moe counting(x: [D]) -> y: [D] with D = 4, F = 3, C = 3 {
  param route: [D, C]
  buffer b: [C] = 0
  use part[C] = ffn with F
  let s = sigmoid(x @ route)
  let c = top[C, 1](s + b)
  y = sum[C](s[c] * part(x))
  loss balance = C * sum[C](mean[tokens](mask(c)) * mean[tokens](s))
  let n = sum[tokens, calls](mask(c))
  update b += 0.1 * sign(mean[C](n) - n)
}
moe timed(x: [D]) -> y: [D] with D = 4, F = 3, C = 3 {
  param route: [D, C]
  use part[C] = ffn with F
  let s = sigmoid(x @ route)
  let c = top[C, 2](s)
  y = sum[C](s[c] * part(x))
  loss even = mean[batch](sum[C](mean[time](mask(c)) * mean[time](s)))
}
moe outer_of(x: [D]) -> y: [D] with D = 4, F = 3, B = 2, part = inner {
  param way: [D, B]
  use half[B] = part with F
  let z = x @ way
  y = sum[B](z[top[B, 1](z)] * half(x))
}
`;

/** Rows of a family are the tokens at which its call is read, wherever that is computed and however often. */
const PROGRAMS = [
  ['a mixture in the experts of a mixture', `moe m(x: [D]) -> y: [D] with D = 4, E = 3, F = 3 {
    param gate: [D, E]
    use expert[E] = inner with F
    let p = softmax[E](x @ gate)
    let c = top[E, 2](p)
    y = sum[E](p[c] * expert(x))
  }`],
  ['of one expert each', `moe m(x: [D]) -> y: [D] with D = 4, E = 1, F = 3 {
    param gate: [D, E]
    use expert[E] = inner with F, C = 1, m = 1
    let p = sigmoid(x @ gate)
    y = sum[E](p[p > 0.5] * expert(x))
  }`],
  ['in groups', `moe m(x: [D]) -> y: [D] with D = 4, G = 2, M = 3, F = 3 {
    param gate: [D, G, M]
    use expert[G, M] = inner with F
    let p = softmax[G, M](x @ gate)
    let groups = top[G, 1](max[M](p))
    let c = top[G, M, 2](p[groups])
    y = sum[G, M](p[c] * expert(x))
  }`],
  ['a shared one, beside and behind', `moe m(x: [D]) -> y: [D] with D = 4, E = 3, F = 3 {
    param gate: [D, E]
    use expert[E] = ffn with F
    use shared = inner with F
    let p = softmax[E](x @ gate)
    let c = top[E, 2](p)
    y = shared(sum[E](p[c] * expert(x)) + shared(x))
  }`],
  ['a family behind itself', `moe m(x: [D]) -> y: [D] with D = 4, E = 3, F = 3 {
    param gate: [D, E]
    use expert[E] = ffn with F
    let p = softmax[E](x @ gate)
    y = sum[E](p[p > 0.3] * expert(expert(x)))
  }`],
  ['a call that two choices read', `moe m(x: [D]) -> y: [D] with D = 4, E = 4, F = 3 {
    param gate: [D, E]
    use expert[E] = ffn with F
    let z = x @ gate
    let h = expert(x)
    let best = top[E, 2](z)
    let least = top[E, 3](-z)
    y = sum[E](z[best] * h) + sum[E](sigmoid(z[least]) * h)
  }`],
  ['a call that is read everywhere too', `moe m(x: [D]) -> y: [D] with D = 4, E = 3, F = 3 {
    param gate: [D, E]
    use expert[E] = ffn with F
    let z = x @ gate
    let h = expert(x)
    let c = top[E, 1](z)
    y = sum[E](z[c] * h) + 0.1 * sum[E](h)
  }`],
  ['experts that give a number', `moe m(x: [D]) -> y: [D] with D = 4, E = 3 {
    param gate: [D, E]
    use expert[E] = number
    let z = x @ gate
    let c = top[E, 2](z)
    y = x * sum[E](z[c] * expert(x))
  }`],
  ['the mean of what was chosen', `moe m(x: [D]) -> y: [D] with D = 4, G = 2, M = 3, F = 3 {
    param gate: [D, G, M]
    use expert[G, M] = ffn with F
    let p = softmax[G, M](x @ gate)
    let some = p[p > 0.15]
    y = mean[G, M](some * expert(x))
  }`],
  // It folds tokens, so that every index has all that are given to it; what is read of it is another matter.
  ['losses and buffers of a mixture in experts', `moe m(x: [D]) -> y: [D] with D = 4, E = 3, F = 3 {
    param gate: [D, E]
    use expert[E] = counting with F
    let p = softmax[E](x @ gate)
    let c = top[E, 2](p)
    y = sum[E](p[c] * expert(x))
  }`],
  ['losses of sequences, and inputs of an expert', `moe m(x: [D]) -> y: [D] with D = 4, E = 3, F = 3 {
    param gate: [D, E], w: [E, D] = normal(1)
    use expert[E] = timed with F
    let p = softmax[E](x @ gate)
    y = sum[E](p[p > 0.2] * expert(x * w))
  }`],
  ['three levels', `moe m(x: [D]) -> y: [D] with D = 4, E = 3, F = 3 {
    param gate: [D, E]
    use expert[E] = outer_of with F
    let z = x @ gate
    let c = top[E, 2](z)
    y = sum[E](z[c] * expert(x))
  }`],
  ['three levels with losses', `moe m(x: [D]) -> y: [D] with D = 4, E = 2, F = 3 {
    param gate: [D, E]
    use expert[E] = outer_of with F, part = counting
    let z = x @ gate
    let c = top[E, 1](z)
    y = sum[E](z[c] * expert(x))
  }`],
  ['a mixture mapped over an axis', `layer m(x: [D]) -> y: [D] with D = 4, H = 2, F = 3 {
    use part = inner with F
    param w: [D, H] = normal(1)
    y = sum[H](part(x * w))
  }`],
  ['one with losses mapped over an axis', `layer m(x: [D]) -> y: [D] with D = 4, H = 2, F = 3 {
    use part = timed with F
    param w: [D, H] = normal(1)
    y = sum[H](part(x * w))
  }`],
] as const;

describe('rows of families', () => {
  it.each(PROGRAMS)('%s', (_, text) => {
    const graph = graphOf(`${PARTS}\n${text}`, 'm');
    const made = madeOf(graph);
    for (const lengths of [[7, 4], [1], [3, 0, 1]]) {
      const call = someCall(graph, lengths, 12, { program: 'train' });
      judgeForward(graph, call, 1e-10);
      judgeBackward(graph, call, 1e-10);
      judgeUpdate(graph, [call, call], 1e-10);
      judgeKernels(made, call);
    }
  });
});
