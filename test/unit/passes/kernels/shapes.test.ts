import { describe, expect, it } from 'vitest';
import { someCall } from '../../interp/graph/make-graph.js';
import { graphOf } from '../../interp/graph/texts.js';
import { judgeBackward, judgeForward } from '../flow/judge.js';
import { judgeKernels, madeOf } from './judge.js';

const FFN = `layer ffn(x: [D]) -> y: [D] with D = 4, F = 3 {
  param up: [D, F], down: [F, D]
  y = silu(x @ up) @ down
}`;

/** Programs of a mixture whose kernels once read what was not there. */
const PROGRAMS = [
  ['what is chosen once is chosen for every token', `moe m(x: [D]) -> y: [D] with D = 4, E = 3, F = 3 {
    param s: [E]
    use expert[E] = ffn with F
    let c = top[E, 2](s)
    y = sum[E](sigmoid(s[c]) * expert(x))
  }`],
  ['a choice is there before its slots are listed, whoever else might make it', `moe m(x: [A]) -> y: [C] with A = 2, C = 2 {
    param w: [A, C]
    let c = top[A, 2](x)
    let v = x[c]
    y = 0 * sum[A](x) + v @[A] w
  }`],
] as const;

it('NaN is less, more and equal to nothing', () => {
  const ops = ['<', '<=', '>', '>=', '==', '!='];
  const graph = graphOf(`layer m(x, z: [D]) -> ${ops.map((_, i) => `a${i}, b${i}`).join(', ')}: [D] with D = 4 {
    ${ops.map((op, i) => `a${i} = mask(x ${op} z)   b${i} = mask(x ${op} 0.25)`).join('\n')}
  }`, 'm');
  const call = someCall(graph, [3, 2], 12, { program: 'train' });
  const ends = [NaN, Infinity, -Infinity, 0.25];
  const x = Float64Array.from({ length: 20 }, (_, i) => ends[i % 4]);
  const z = Float64Array.from({ length: 20 }, (_, i) => ends[Math.floor(i / 4) % 4]);
  const extreme = { ...call, inputs: new Map([['x', x], ['z', z]]) };
  judgeForward(graph, extreme, 0);
  judgeKernels(madeOf(graph), extreme, 0);
});

describe('kernels of tiles for parts of other shapes', () => {
  it.each(PROGRAMS)('%s', (_, text) => {
    const graph = graphOf(`${FFN}\n${text}`, 'm');
    const made = madeOf(graph);
    for (const lengths of [[7, 4], [1], [3, 0, 1]]) {
      const call = someCall(graph, lengths, 12, { program: 'train' });
      judgeForward(graph, call, 1e-10);
      judgeBackward(graph, call, 1e-10);
      judgeKernels(made, call);
    }
  });

  it('sums of slots for each sequence are refused with a reason', () => {
    const graph = graphOf(`${FFN}
layer m(x: [D]) -> y: [D] with D = 4, E = 3, F = 3 {
  param gate: [D, E]
  use expert[E] = ffn with F
  let s = x @ gate
  let c = top[E, 2](s)
  let z = s * expert(x)
  let h = z[c]
  y = sum[E](h * sum[time](h))
}`, 'm');
    const { refusals } = madeOf(graph);
    expect(new Set(refusals.map(({ reason }) => reason))).toContain('rows seen from rows of others');
  });

  it('values that are read along many ways are looked at once', () => {
    const text = `layer m(x: [D]) -> y: [D] with D = 4 {
      param w: [D, D2], back: [D2, D]
      let h = x
      repeat i in 1..40 {
        h = sin(h) * (h + i / 40)
      }
      y = (h @ w) @ back
    }`;
    const graph = graphOf(text.replace('D = 4', 'D = 4, D2 = 3'), 'm');
    judgeKernels(madeOf(graph), someCall(graph, [3, 2], 12, { program: 'train' }));
  });
});
