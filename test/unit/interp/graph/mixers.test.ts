import { describe, expect, it } from 'vitest';
import { evaluate, type GraphCall } from '../../../../src/interp/graph/machine.js';
import { gradientError, someCall, sizeOf } from './make-graph.js';
import { mixers } from './mixers.js';
import { rowsOf } from './plain.js';
import { exampleGraph } from './texts.js';

/** Where each is declared, and the numbers it is tried with. */
const cases: Readonly<Record<string, readonly [file: string, name: string, numbers: Readonly<Record<string, number>>]>> = {
  gqa: ['attention', 'gqa', { D: 6, J: 2, R: 2, K: 4, I: 1, theta: 100, bias: 0, qk_norm: 0, eps: 1e-6 }],
  'gqa with biases and norms': ['attention', 'gqa', { D: 6, J: 2, R: 2, K: 4, I: 2, theta: 100, bias: 1, qk_norm: 1, eps: 1e-3 }],
  'gqa without positions': ['attention', 'gqa', { D: 6, J: 1, R: 3, K: 4, I: 0, theta: 100, bias: 0, qk_norm: 0, eps: 1e-6 }],
  gated_gqa: ['attention', 'gated_gqa', { D: 6, J: 2, R: 2, K: 4, I: 1, theta: 100 }],
  sink_gqa: ['attention', 'sink_gqa', { D: 6, J: 2, R: 2, K: 4, I: 2, theta: 150000, factor: 32, window: 0 }],
  'sink_gqa in a window': ['attention', 'sink_gqa', { D: 6, J: 2, R: 2, K: 4, I: 2, theta: 150000, factor: 32, window: 3 }],
  mla: ['attention', 'mla', { D: 6, H: 2, A: 5, C: 4, N: 3, R: 4, V: 3, I: 2, theta: 10000, factor: 40, rotate: 1 }],
  'mla without a bottleneck and positions': ['attention', 'mla',
    { D: 6, H: 2, A: 0, C: 4, N: 3, R: 4, V: 3, I: 2, theta: 10000, factor: 1, rotate: 0 }],
  gdn: ['delta', 'gdn', { D: 6, J: 2, R: 2, K: 3, V: 4, T: 3 }],
  kimi_kda: ['delta', 'kimi_kda', { D: 6, H: 2, K: 3, V: 4, Z: 2, T: 3 }],
  mamba2: ['mamba2', 'mamba2', { D: 6, G: 2, R: 2, V: 3, K: 4, T: 3, eps: 1e-5 }],
  lightning_mixer: ['lightning', 'lightning_mixer', { D: 6, H: 2, K: 3, V: 4, i: 1, L: 3 }],
  gla_mixer: ['gla', 'gla_mixer', { D: 6, H: 2, K: 3, V: 4, Z: 2 }],
  seed_gla: ['gla', 'seed_gla', { D: 6, H: 2, K: 3, V: 4, Z: 2 }],
  'time_mix of the first layer': ['rwkv7', 'time_mix', { D: 6, H: 2, K: 3, V: 4, A: 2, Z: 3, M: 2, P: 3, i: 0, L: 3 }],
  time_mix: ['rwkv7', 'time_mix', { D: 6, H: 2, K: 3, V: 4, A: 2, Z: 3, M: 2, P: 3, i: 1, L: 3 }],
  channel_mix: ['rwkv7', 'channel_mix', { D: 6, F: 5, i: 1, L: 3 }],
  mom: ['memories', 'mom', { D: 6, H: 2, K: 3, V: 4, M: 4, T: 3, k: 2 }],
};

const LENGTHS = [7, 4];

/** The tokens `from` to `to` of every sequence. */
function cut(
  call: GraphCall, widths: ReadonlyMap<string, number>, from: number, to: (length: number) => number,
): Pick<GraphCall, 'inputs' | 'lengths'> {
  const starts = LENGTHS.map((_, n) => LENGTHS.slice(0, n).reduce((a, b) => a + b, 0));
  return {
    lengths: LENGTHS.map((length) => Math.max(0, to(length) - from)),
    inputs: new Map([...call.inputs].map(([name, data]) => {
      const width = widths.get(name) ?? 1;
      return [name, Float64Array.from(LENGTHS.flatMap((length, n) =>
        [...data.subarray((starts[n] + from) * width, (starts[n] + Math.max(from, to(length))) * width)]))];
    })),
  };
}

describe('mixers', () => {
  for (const [title, [file, name, numbers]] of Object.entries(cases)) {
    it(`${title}: equal to plain loops`, () => {
      const graph = exampleGraph(`layers/${file}`, name, numbers);
      const call = someCall(graph, LENGTHS, 21);
      const made = evaluate(graph, call);
      const inputs = Object.fromEntries(graph.inputs.map((input) =>
        [input.name, rowsOf(call.inputs.get(input.name) ?? new Float64Array(), sizeOf(input.type.axes))]));
      const expected = mixers[name]({ x: inputs.x, inputs, params: call.params, lengths: LENGTHS, sizes: numbers });
      expect([...made.outputs.keys()]).toEqual(Object.keys(expected));
      for (const [output, rows] of Object.entries(expected)) {
        const found = made.outputs.get(output);
        rows.flat().forEach((value, i) =>
          expect(Math.abs(value - (found?.[i] ?? NaN)), `${output}[${i}]`).toBeLessThan(1e-12 * Math.max(1, Math.abs(value))));
      }
    });

    it(`${title}: gradients are differences`, () => {
      expect(gradientError(exampleGraph(`layers/${file}`, name, numbers),
        someCall(exampleGraph(`layers/${file}`, name, numbers), LENGTHS, 22), 6)).toBeLessThan(1e-6);
    });

    it(`${title}: a prompt and then step by step, equal to all at once`, () => {
      const graph = exampleGraph(`layers/${file}`, name, numbers, false);
      const call: GraphCall = { ...someCall(graph, LENGTHS, 23), program: 'eval' };
      const widths = new Map(graph.inputs.map((input) => [input.name, sizeOf(input.type.axes)]));
      const all = evaluate(graph, call);
      // A prompt of two tokens each, then one of each sequence until the shorter one ends, and then the rest of the longer one at once.
      let made = evaluate(graph, { ...call, ...cut(call, widths, 0, () => 2) });
      const found = LENGTHS.map((): Map<string, number[]> => new Map(graph.outputs.map((output) => [output.name, []])));
      const take = (lengths: readonly number[]): void => graph.outputs.forEach((output) => {
        const data = made.outputs.get(output.name) ?? new Float64Array();
        const width = sizeOf(output.axes);
        let at = 0;
        lengths.forEach((length, n) => {
          found[n].get(output.name)?.push(...data.subarray(at, at + length * width));
          at += length * width;
        });
      });
      take([2, 2]);
      for (let t = 2; t < 5; t++) {
        const piece = cut(call, widths, t, (length) => Math.min(length, t === 4 ? 7 : t + 1));
        made = evaluate(graph, { ...call, ...piece, program: 'step', state: made.state });
        take(piece.lengths);
      }
      for (const { name: output } of graph.outputs) {
        const joined = found.flatMap((one) => one.get(output) ?? []);
        const expected = all.outputs.get(output) ?? new Float64Array();
        expect(joined.length).toBe(expected.length);
        joined.forEach((value, i) =>
          expect(Math.abs(value - expected[i]), `${output}[${i}]`).toBeLessThan(1e-12 * Math.max(1, Math.abs(value))));
      }
    });
  }
});
