import { describe, expect, it } from 'vitest';
import { someCall } from '../../interp/graph/make-graph.js';
import { alike, flowFor, judgeForward, judgeUpdate } from './judge.js';
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
        for (const value of [0, 1]) judgeForward(graph, alike(someCall(graph, [3, 2], 12, { program }), value));
      }
    });
  }

  it('buffers have their new values after a step of several calls', () => {
    let updated = 0;
    for (const one of MIXTURES) {
      if (one[1] === 'st_moe') continue;
      const graph = mixture(one, true);
      const call = someCall(graph, [7, 4], 3);
      judgeUpdate(
        graph, [call, { ...someCall(graph, [2, 5], 4), params: call.params }, { ...someCall(graph, [1], 5), params: call.params }],
      );
      updated += graph.updates.length;
    }
    expect(updated).toBe(3);
  });

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
