import { describe, expect, it } from 'vitest';
import { render } from '../../../../src/diagnostics/render.js';
import { factsOf } from '../../../../src/ir/graph/facts.js';
import { stepProblem } from '../../../../src/passes/graph/step.js';
import { FILES, graphOf, open, readText } from './files.js';

const TOKENS = `moe f(x: [D]) -> y: [D] with D = 8, E = 4 {
  param gate: [D, E], w: [E, D]

  let p = softmax[E](x @ gate)
  let kept = top[tokens, ceil(2 * tokens / E)](p)
  y = sum[E](p[kept] * w)
}
`;

describe('token by token', () => {
  it('E813 where outputs depend on a choice among tokens', () => {
    const found = stepProblem(graphOf(readText(TOKENS), 'f'));
    expect(found?.code).toBe('E813');
    expect(found && render(found, { source: () => TOKENS, colour: false })).toMatchInlineSnapshot(`
      "error[E813]: \`f\` has no program \`step\`
       ┌─ test.lmoe:5:14
       │
      5│   let kept = top[tokens, ceil(2 * tokens / E)](p)
       │              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ chosen among tokens of the whole call
       │
       = help: where it is meant for training, write it in a branch: \`if training { ... }\`
       = help: a choice that one token makes alone is along a named axis: \`top[E, 2](s)\`"
    `);
  });

  it('is allowed in training only', () => {
    const text = TOKENS.replace('let kept = top[tokens, ceil(2 * tokens / E)](p)',
      'let kept = top[E, 2](p)\n  if training { kept = top[tokens, ceil(2 * tokens / E)](p) }');
    expect(stepProblem(graphOf(readText(text), 'f'))).toBeUndefined();
    expect(stepProblem(graphOf(readText(text), 'f', true))?.code).toBe('E813');
  });

  it('folds in losses and updates are no obstacle, a fold in an output is one', () => {
    expect(stepProblem(graphOf(
      readText('layer f(x: [D]) -> y: [D] with D = 8 { param w: [D]   y = w * x   loss l = mean[tokens](sum[D](y^2)) }'), 'f',
    ))).toBeUndefined();
    expect(stepProblem(graphOf(readText('layer f(x: [D]) -> y: [D] with D = 8 { y = x - mean[time](x) }'), 'f'))?.code).toBe('E813');
  });

  it('parts below count', () => {
    const text = `${TOKENS}\nlayer g(x: [D]) -> y: [D] with D = 8 { y = x + f(x) }`;
    expect(stepProblem(graphOf(readText(text), 'g'))?.code).toBe('E813');
  });

  it.skipIf(FILES.length === 0)('of the examples, mixtures that choose among tokens have none', () => {
    const without: string[] = [];
    for (const file of FILES) {
      for (const part of open(file).parts.list.filter((own) => own.file === file && own.kind !== 'scan')) {
        const graph = graphOf(open(file), part.name, false, Object.fromEntries(part.unsized.map((axis) => [axis, 8])));
        if (stepProblem(graph) !== undefined) without.push(part.name);
      }
    }
    expect(without.sort()).toEqual(['expert_choice', 'gshard', 'st_moe', 'switch']);
  });
});

describe('tokenwise parts', () => {
  const tokenwise = (body: string): boolean => factsOf(graphOf(readText(`layer f(x: [D]) -> y: [D] with D = 8, T = 4 { ${body} }`),
    'f')).tokenwise;
  it.each([
    ['param w: [D]   y = w * rmsnorm(x)', true],
    ['y = x - x[t-1]', false],
    ['param w: [T, D]   y = conv[T](x, w)', false],
    ['y = sum[past](x[past])', false],
    ['y = x - mean[time](x)', false],
    ['y = x * position', false],
  ])('%s', (body, is) => expect(tokenwise(body)).toBe(is));

  it('are called at the tokens that are seen, others are not', () => {
    const parts = 'layer norm(x: [D]) -> y: [D] with D = 8 { param w: [D]   y = w * rmsnorm(x) }\n'
      + 'layer shift(x: [D]) -> y: [D] with D = 8 { y = x - x[t-1] }\n';
    const called = (name: string): readonly string[] =>
      readText(`${parts}layer f(x: [D]) -> y: [D] with D = 8 { y = sum[past](${name}(x[past])) }`).diagnostics.map((d) => d.code);
    const graph = graphOf(readText(`${parts}layer f(x: [D]) -> y: [D] with D = 8 { y = sum[past](norm(x[past])) }`), 'f');
    // The past is no axis that is mapped over: tokens that are seen are tokens.
    expect(graph.nodes.flatMap((node) => (node.kind === 'call' ? [node.mapped] : []))).toEqual([[]]);
    expect(graph.nodes.find((node) => node.kind === 'result')?.type.axes.map((axis) => axis.name)).toEqual(['past', 'D']);
    expect(called('norm')).toEqual([]);
    expect(called('shift')).toEqual(['E208']);
  });
});
