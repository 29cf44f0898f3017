import { describe, expect, it } from 'vitest';
import { someCall } from '../../interp/graph/make-graph.js';
import { exampleGraph, graphOf } from '../../interp/graph/texts.js';
import { alike } from '../flow/judge.js';
import { MIXTURES, mixture } from '../flow/mixtures.js';
import { judgeKernels, madeOf, type Made } from './judge.js';

const CONVOLUTION = `layer mixed(x: [D]) -> y: [D] with D = 6, T = 4 {
  param w: [D, T] = normal(1)
  y = silu(conv[T](x, w))
}`;

/** `13/13`: how many of its kernels are made, and why the others are not. */
function lineOf({ flow, clusters, refusals }: Made): string {
  const total = clusters.forward.length + clusters.backward.length;
  const missing = new Set(refusals.map(({ program, kernel }) => `${program} ${kernel}`)).size;
  const reasons = [...new Set(refusals.map(({ program, kernel, reason }) => `\n  ${program} ${kernel}: ${reason}`))];
  return `${flow.name} ${total - missing}/${total}${reasons.join('')}\n`;
}

const mixtures = MIXTURES.filter(([, name]) => name !== 'st_moe').map((one) => {
  const graph = mixture(one, true);
  return { one, graph, made: madeOf(graph) };
});

describe('kernels of tiles for mixtures', () => {
  for (const { one: [, name, numbers], graph, made } of mixtures) {
    if (made.lowered === undefined) continue;
    it(`${name} ${JSON.stringify(numbers)}: give what the flow gives, forward and backward`, () => {
      // A balanced plan of tokens that are all alike is the same for all experts: rounding would choose.
      const plans = made.flow.values.some(({ kind }) => kind === 'sinkhorn');
      for (const lengths of [[7, 4], [1], [3, 0, 1]]) {
        if (!plans || lengths.length > 1) judgeKernels(made, someCall(graph, lengths, 12, { program: 'train' }));
      }
      for (const value of plans ? [0] : [0, 1]) judgeKernels(made, alike(someCall(graph, [3, 2], 12, { program: 'train' }), value));
    });
  }

  it('what is not made yet says why', async () => {
    await expect(mixtures.map(({ made }) => lineOf(made)).join('')).toMatchFileSnapshot('./golden/made.txt');
  });

  it('sums over columns that are stored block by block are whole where they are read', () => {
    const graph = mixture(['softmax', 'mixtral', { D: 6, E: 3, F: 128, k: 2 }], true);
    const made = madeOf(graph);
    expect(made.lowered?.module.buffers.filter(({ axes }) => axes.some((axis) => axis.endsWith('/64')))).toHaveLength(1);
    judgeKernels(made, someCall(graph, [7, 0, 4], 12, { program: 'train' }));
  });

  it.each([
    ['dense products of a layer', exampleGraph('layers/feed_forward', 'swiglu', { D: 6, F: 5 })],
    ['tokens before', exampleGraph('layers/rwkv7', 'channel_mix', { D: 6, F: 5, i: 1, L: 3 })],
    ['several tokens before', graphOf(CONVOLUTION, 'mixed')],
  ])('%s are made by the same means', (_, graph) => {
    const made = madeOf(graph);
    expect(made.refusals).toEqual([]);
    for (const lengths of [[7, 4], [1], [3, 0, 1]]) judgeKernels(made, someCall(graph, lengths, 12));
  });
});
