import { describe, expect, it } from 'vitest';
import { someCall } from '../../interp/graph/make-graph.js';
import { graphOf } from '../../interp/graph/texts.js';
import { judgeBackward, judgeForward } from '../flow/judge.js';
import { judgeKernels, madeOf } from './judge.js';

const FFN = 'layer ffn(u: [D]) -> y: [D] with D = 4, F = 3 { param up: [D, F], down: [F, D]   y = relu(u @ up) @ down }\n';
const PARTS: readonly (readonly [what: string, text: string])[] = [
  ['a row of a table', 'layer f(x: [D], i: one of E) -> y: [D] with D = 4, E = 3 { param table: [E, D]   y = x * table[i] }'],
  ['an expert that a token brings', `moe f(x: [D], i: one of E) -> y: [D] with D = 4, E = 3 {
    use expert[E] = ffn
    let all = expert(x)
    y = all[i] + x
  }`],
  ['a score where it was chosen', `moe f(x: [D], i: one of E) -> y: [D] with D = 4, E = 3 {
    param gate: [D, E] = normal(1)
    use expert[E] = ffn
    let s = sigmoid(x @ gate)
    let c = top[E, 2](s)
    let w = s[c]
    let own = w[i]
    let one = sum[](own)
    y = sum[E](w * expert(x)) + one * x
  }`],
  ['a product of all elements', 'layer f(x: [D]) -> y: [D] with D = 5 { y = x * prod[D](1 + x / 4) }'],
  ['a product of what is chosen', `moe f(x: [D]) -> y: [D] with D = 4, E = 3 {
    param gate: [D, E] = normal(1)
    use expert[E] = ffn
    let s = x @ gate
    let c = top[E, 2](s)
    y = x * prod[E](s[c]) + sum[E](s[c] * expert(x))
  }`],
];

describe('elements by their numbers, and products of elements, are made of sums', () => {
  it.each(PARTS)('%s', (_, text) => {
    const graph = graphOf(FFN + text, 'f');
    const made = madeOf(graph);
    expect(made.refusals).toEqual([]);
    for (const lengths of [[4, 1, 3], [1]]) {
      const call = someCall(graph, lengths, 5, { program: 'train' });
      // None of them.
      call.inputs.get('i')?.set([-1]);
      judgeForward(graph, call, 1e-10, false);
      judgeBackward(graph, call, 1e-10);
      judgeKernels(made, call);
    }
  });

  it('of more than can be looked through is refused', () => {
    const { refusals } = madeOf(graphOf('layer f(x: [D]) -> y: [D] with D = 40 { y = x * prod[D](1 + x / 4) }', 'f'));
    expect(refusals.map(({ reason }) => reason)).toContain('products of elements');
  });
});
