import { describe, expect, it } from 'vitest';
import { someCall } from '../../interp/graph/make-graph.js';
import { flowFor, judgeForward } from './judge.js';
import { MIXTURES, mixture } from './mixtures.js';

describe('mixtures as flows', () => {
  for (const one of MIXTURES) {
    const [, name, numbers] = one;
    // Without numbers of its own it has the widths of its paper.
    if (name === 'st_moe') continue;
    it(`${name} ${JSON.stringify(numbers)}: mean what the graph means`, () => {
      for (const training of [true, false]) {
        const graph = mixture(one, training);
        const program = training ? 'train' : 'eval';
        for (const lengths of [[7, 4], [1], [3, 0, 1]]) judgeForward(graph, someCall(graph, lengths, 12, { program }));
      }
    });
  }

  it('experts are computed at slots', () => {
    for (const one of MIXTURES) {
      const flow = flowFor(mixture(one, true));
      expect(flow.domains.length, one[1]).toBe(4);
      for (const { kind, type } of flow.values) {
        if (kind === 'contract' && type.axes.some(({ name }) => name.startsWith('expert.'))) expect(type.domain).toBe(3);
      }
    }
  });
});
