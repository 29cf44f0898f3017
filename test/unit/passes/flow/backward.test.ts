import { describe, it } from 'vitest';
import { someCall } from '../../interp/graph/make-graph.js';
import { alike, judgeBackward } from './judge.js';
import { MIXTURES, mixture } from './mixtures.js';

describe('gradients of mixtures as flows', () => {
  for (const one of MIXTURES) {
    const [, name, numbers] = one;
    // Without numbers of its own it has the widths of its paper.
    if (name === 'st_moe') continue;
    it(`${name} ${JSON.stringify(numbers)}: are those of the graph`, () => {
      const graph = mixture(one, true);
      for (const lengths of [[7, 4], [1], [3, 0, 1]]) judgeBackward(graph, someCall(graph, lengths, 12));
      for (const value of [0, 1]) judgeBackward(graph, alike(someCall(graph, [3, 2], 12), value));
    });
  }
});
