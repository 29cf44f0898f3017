import { describe, expect, it } from 'vitest';
import { printFlow } from '../../../../src/ir/flow/print.js';
import { verifyFlow } from '../../../../src/ir/flow/verify.js';
import { adjointOf } from '../../../../src/passes/flow/adjoint.js';
import { flowOf, isRefused } from '../../../../src/passes/flow/flow.js';
import { graphOf, open, readText } from '../graph/files.js';
import { flowFor } from './judge.js';

describe('flows as text', () => {
  const GOLDENS = [
    ['layers/feed_forward', 'swiglu'], ['moe/softmax', 'qwen3_moe'], ['moe/gates', 'llama4'], ['moe/groups', 'deepseek_v3'],
  ] as const;
  it.each(GOLDENS)('%s %s', async (file, name) => {
    const made = adjointOf(flowFor(graphOf(open(`examples/${file}.lmoe`), name, true)));
    expect(isRefused(made)).toBe(false);
    if (!isRefused(made)) await expect(printFlow(made)).toMatchFileSnapshot(`./golden/${name}.txt`);
  });
});

describe('what has no flow', () => {
  it('says why', () => {
    const seen = 'let near = past[2]   y = sum[near, past](outer(x[near] @ x, x[past]))';
    const graph = graphOf(readText(`layer f(x: [D]) -> y: [D] with D = 4 { ${seen} }`), 'f');
    const made = flowOf(graph);
    expect(isRefused(made) && made.refusals.map(({ reason }) => reason)).toEqual(['it sees the past along two axes']);
  });

  it('is refused where a mixture that folds its tokens is given some of them', () => {
    const made = flowOf(graphOf(readText(`layer ffn(x: [D]) -> y: [D] with D = 4 { param w: [D]  y = w * x }
moe inner(x: [D]) -> y: [D] with D = 4, E = 3 {
  param gate: [D, E]
  use expert[E] = ffn
  let s = sigmoid(x @ gate)
  let c = top[E, 1](s)
  y = sum[E](s[c] * expert(x))
  loss size = mean[tokens](sum[E](s))
}
moe nested(x: [D]) -> y: [D] with D = 4, J = 2 {
  param gate: [D, J]
  use m[J] = inner
  let s = softmax[J](x @ gate)
  let c = top[J, 1](s)
  y = sum[J](m(outer(s[c], x)))
}`), 'nested'));
    const reasons = isRefused(made) ? made.refusals.map(({ reason }) => reason) : [];
    expect(reasons).toContain('inner looks at other tokens, and is called on some of them');
  });
});

describe('the verifier', () => {
  const flow = flowFor(graphOf(readText('layer f(x: [D]) -> y: [D] with D = 4 { param w: [D]   y = w * rmsnorm(x) }'), 'f'));
  it('has nothing against a flow that was made', () => expect(verifyFlow(flow)).toEqual([]));
  it('sees a value that reads a later one', () => {
    expect(verifyFlow({ ...flow, values: [...flow.values].reverse() }).join()).toContain('reads a value that is not before it');
  });
  it('sees a type that does not follow', () => {
    const values = flow.values.map((value) => (
      value.kind === 'fold' ? { ...value, type: { ...value.type, axes: flow.inputs[0].axes } } : value
    ));
    expect(verifyFlow({ ...flow, values }).join()).toContain('does not have the type that follows');
  });
  it('sees values of two domains in one operation', () => {
    const values = flow.values.map((value) => (
      value.kind === 'fold' ? { ...value, along: { ...value.along, to: 2, kept: flow.inputs[0].axes } } : value
    ));
    expect(verifyFlow({ ...flow, values }).join()).toContain('keeps groups that its rows do not have');
  });
});
