import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { portionFlows } from '../../../../src/driver/graph/divided.js';
import { lowerFlow } from '../../../../src/driver/graph/kernels.js';
import { graphsAt } from '../../../../src/driver/graph/torch.js';
import { nodeHost } from '../../../../src/driver/host.js';
import { ownParts } from '../../../../src/driver/parts.js';
import { isProblem, openSource, sourceOf, type Source } from '../../../../src/driver/session.js';
import { printFlow } from '../../../../src/ir/flow/print.js';
import { dividedIn, isDivided } from '../../../../src/passes/flow/divide.js';
import { flowOf, isRefused } from '../../../../src/passes/flow/flow.js';
import { NO_EXAMPLES } from '../../../examples.js';

const FFN = 'layer ffn(x: [D]) -> y: [D] with D = 4, F = 3 { param up: [D, F], down: [F, D]  y = relu(x @ up) @ down }\n';

function graphsIn(source: Source, name: string) {
  const part = source.parts.list.find((one) => one.name === name);
  const graphs = part && graphsAt({ source, part }, new Map());
  if (graphs === undefined || 'diagnostics' in graphs) throw new Error(`${name}: ${graphs?.diagnostics[0]?.title ?? 'is not there'}`);
  return graphs;
}

function dividedOf(body: string) {
  const text = `${FFN}moe m(x: [D]) -> y: [D] with D = 4, E = 6, F = 3, k = 2 {\n${body}\n}\n`;
  const source = sourceOf(nodeHost(), 'm.lmoe', text);
  if (source.failed) throw new Error(source.render(false));
  const flow = flowOf(graphsIn(source, 'm').train);
  if (isRefused(flow)) throw new Error(flow.refusals[0].reason);
  return dividedIn(flow);
}

/** The reason why a mixture has no parts; '' if it has some. */
function reason(body: string): string {
  const made = dividedOf(body);
  return isDivided(made) ? '' : made.reason;
}

const ROUTER = '  param gate: [D, E]\n  use expert[E] = ffn with F\n  let z = x @ gate\n  let chosen = top[E, k](z)\n';

describe('mixtures in parts', () => {
  it('are cut at what experts read of tokens and at the sum of what they give', () => {
    const made = dividedOf(`${ROUTER}  y = sum[E](z[chosen] * expert(x)) + x`);
    if (!isDivided(made)) throw new Error(made.reason);
    expect(made).toMatchObject({ rows: [{ name: 'x', given: true }], scores: 'scores', perToken: 2, sums: 'sums' });
    expect(made.route.outputs.map(({ name }) => name)).toEqual(['scores', 'held']);
    expect(made.route.params.map(({ path }) => path)).toEqual(['gate']);
    expect(made.work(2, undefined).params.map(({ path, axes }) => [path, axes[0].size])).toEqual([['expert.up', 2], ['expert.down', 2]]);
    expect(made.combine?.inputs.map(({ name }) => name).sort()).toEqual(['sums', 'x']);
  });
  it('have rows of their own where experts read what a token makes', () => {
    const made = dividedOf(`${ROUTER}  y = sum[E](z[chosen] * expert(2 * x))`);
    expect(made).toMatchObject({ rows: [{ name: 'features', given: false }], combine: undefined, sums: 'y' });
  });
  it('may weigh nothing, or what goes in', () => {
    const loss = '  loss l = mean[tokens](sum[E](z^2))';
    const alike = dividedOf(`${ROUTER}  let one = mask(chosen)\n  y = sum[E](one[chosen] * expert(x))\n${loss}`);
    expect(alike).toMatchObject({ perToken: 2 });
    expect(dividedOf(`${ROUTER}  y = sum[E](expert(outer(z[chosen], x)))`)).toMatchObject({ scores: 'scores', combine: undefined });
    expect(dividedOf(`  use expert[E] = ffn with F\n  y = sum[E](expert(x))`)).toMatchObject({
      reason: 'nothing in it is done for some tokens only',
    });
  });
  it('know nothing of how a choice is made', () => {
    expect(reason('  param gate: [D, E]\n  use expert[E] = ffn with F\n  let p = softmax[E](x @ gate)\n'
      + '  let chosen = top[tokens, 2](p)\n  y = sum[E](p[chosen] * expert(x))')).toBe('');
  });
  it.each([
    ['a loss of what they give', `${ROUTER}  y = sum[E](z[chosen] * expert(x))\n  loss size = mean[tokens](sum[D](y^2))`,
      'a loss or an update reads'],
    ['two sums', `${ROUTER}  let o = expert(x)\n  y = sum[E](z[chosen] * o) + sum[E](z[chosen]^2 * o)`, 'summed more than once'],
    ['the largest in place of the sum', `${ROUTER}  y = max[E](z[chosen] * expert(x))`, 'something else'],
    ['two choices', `${ROUTER}  use other[E] = ffn with F\n  let worse = top[E, 1](-z)
  y = sum[E](z[chosen] * expert(x)) + sum[E](z[worse] * other(x))`, 'more than one choice'],
    ['two weights', `${ROUTER}  let s = sigmoid(z)\n  y = sum[E](s[chosen] * expert(outer(z[chosen], x)))`, 'more than one number weighs'],
    ['a part without weights', `${ROUTER}  y = sum[E](outer(z[chosen], x))`, 'no weights of each index'],
  ])('have none where there is no such sum: %s', (_, body, why) => {
    expect(reason(body)).toContain(why);
  });
});

describe.skipIf(NO_EXAMPLES)('parts of the mixtures of the examples', () => {
  it('are there, read weights of as many experts as a rank has, and have kernels', () => {
    const names = readdirSync('examples/moe').flatMap((file) => {
      const source = openSource(nodeHost(), `examples/moe/${file}`);
      if (isProblem(source)) throw new Error(source.title);
      return ownParts(source).map(({ name }) => {
        const graphs = graphsIn(source, name);
        const flows = portionFlows(graphs, [2]);
        if ('reason' in flows) throw new Error(`${name}: ${flows.reason}`);
        for (const { key, flow } of flows) {
          const made = lowerFlow({ name, doc: '' }, flow, true, 64);
          expect('lowered' in made ? '' : `${key}: ${JSON.stringify(made)}`, name).toBe('');
          if (key.startsWith('experts')) expect(printFlow(flow)).not.toMatch(/\bcount\b|\bdraw\b|= top/);
        }
        return name;
      });
    });
    expect(names.length).toBe(21);
  });
});
