import { describe, expect, it } from 'vitest';
import { printFlow } from '../../../../src/ir/flow/print.js';
import { adjointOf } from '../../../../src/passes/flow/adjoint.js';
import { flowOf, isRefused } from '../../../../src/passes/flow/flow.js';
import { someCall } from '../../interp/graph/make-graph.js';
import { exampleGraph } from '../../interp/graph/texts.js';
import { FILES, graphOf, open } from '../graph/files.js';
import { flowFor, judgeBackward, judgeForward } from './judge.js';

const heads = { D: 6, J: 2, R: 2, K: 4 };
const gla = { D: 6, H: 2, K: 3, V: 4, Z: 2 };
const time = { D: 6, H: 2, K: 3, V: 4, A: 2, Z: 3, M: 2, P: 3, L: 3 };

/** Layers of the examples, and numbers to try them with. */
const LAYERS: readonly (readonly [file: string, name: string, numbers: Readonly<Record<string, number>>])[] = [
  ['attention', 'gqa', { ...heads, I: 2, bias: 1, qk_norm: 1 }], ['attention', 'gqa', { D: 6, J: 1, R: 3, K: 4, I: 0 }],
  ['attention', 'gated_gqa', { ...heads, I: 1 }], ['attention', 'sink_gqa', { ...heads, I: 2 }],
  ['attention', 'sink_gqa', { ...heads, I: 2, window: 3 }], ['attention', 'mla', { D: 6, H: 2, A: 5, C: 4, N: 3, R: 4, V: 3, I: 2 }],
  ['delta', 'gdn', { D: 6, J: 2, R: 2, K: 3, V: 4, T: 3 }], ['delta', 'kimi_kda', { D: 6, H: 2, K: 3, V: 4, Z: 2, T: 3 }],
  ['mamba2', 'mamba2', { D: 6, G: 2, R: 2, V: 3, K: 4, T: 3 }], ['lightning', 'lightning_mixer', { D: 6, H: 2, K: 3, V: 4, i: 1, L: 3 }],
  ['gla', 'gla_mixer', gla], ['gla', 'seed_gla', gla], ['rwkv7', 'time_mix', { ...time, i: 0 }], ['rwkv7', 'time_mix', { ...time, i: 1 }],
  ['rwkv7', 'channel_mix', { D: 6, F: 5, i: 1, L: 3 }], ['memories', 'mom', { D: 6, H: 2, K: 3, V: 4, M: 4, T: 3, k: 2 }],
  ['feed_forward', 'swiglu', { D: 6, F: 5 }], ['feed_forward', 'clamped_swiglu', { D: 6, F: 5 }],
  ['feed_forward', 'relu_ffn', { D: 6, F: 5, rate: 0.4 }],
];

describe('layers as flows', () => {
  for (const [file, name, numbers] of LAYERS) {
    it(`${name} ${JSON.stringify(numbers)}: mean what the graph means, forward and backward`, () => {
      const graph = exampleGraph(`layers/${file}`, name, numbers);
      for (const lengths of [[7, 4], [3, 0, 1]]) {
        const call = someCall(graph, lengths, 12);
        judgeForward(graph, call);
        judgeBackward(graph, call);
      }
    });
  }

  it('a memory is a scan along the slots of its index', () => {
    const { values, domains } = flowFor(exampleGraph('layers/memories', 'mom', { D: 6, H: 2, K: 3, V: 4, M: 4, T: 3, k: 2 }));
    const scans = values.flatMap((value) => (
      value.kind === 'scan' ? [[domains[value.domain].kind, value.heads.map((axis) => axis.name)]] : []
    ));
    expect(scans.sort()).toEqual([['slot', ['H']], ['token', ['H']]]);
  });

  it('what sees the past stands on pairs of tokens', () => {
    const text = printFlow(flowFor(exampleGraph('layers/attention', 'gqa', { ...heads, I: 2 })));
    expect(text).toContain('domain pair1 = token x past');
    expect(text).toMatch(/softmax\[to token\] %\d+ : \[J = 2, R = 2\] pair1/);
  });
});

describe('examples', () => {
  it.each(FILES.filter((file) => !file.startsWith('examples/models')))('all parts of %s have flows with gradients', (file) => {
    for (const { name, kind, unsized } of open(file).parts.list.filter((part) => part.file === file)) {
      if (kind === 'scan') continue;
      const flow = flowOf(graphOf(open(file), name, true, Object.fromEntries(unsized.map((axis) => [axis, 8]))));
      expect(isRefused(flow) ? flow : isRefused(adjointOf(flow)), name).toBe(false);
    }
  });

  it('a whole model has one', () => {
    const graph = graphOf(open('examples/models/tiny_linear_moe.lmoe'), 'tiny_linear_moe', true);
    const call = someCall(graph, [3, 2], 5);
    judgeForward(graph, call, 1e-11);
  });
});
