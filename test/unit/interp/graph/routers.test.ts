import { describe, expect, it } from 'vitest';
import { evaluate } from '../../../../src/interp/graph/machine.js';
import { update } from '../../../../src/interp/graph/update.js';
import { gradientError, someCall } from './make-graph.js';
import { rowsOf, type Row } from './plain.js';
import { routers, type Sizes } from './routers.js';
import { exampleGraph } from './texts.js';

const D = 6;
const plain = { D, E: 4, F: 5 };
const sizes = { ...plain, k: 2 };
const groups = { D, F: 5, S: 4, G: 3, M: 2, k: 3, keep: 2 };

/** Where each is declared, and the numbers it is tried with. Room is small, so that tokens are left out. */
const cases: Readonly<Record<string, readonly [file: string, name: string, numbers: Readonly<Record<string, number>>]>> = {
  noisy_topk: ['noise', 'noisy_topk', sizes],
  gshard: ['capacity', 'gshard', { ...plain, cf: 0.6, zw: 0 }],
  'gshard, as st_moe calls it': ['capacity', 'gshard', { ...plain, cf: 1.25, eval_cf: 2, zw: 1e-3 }],
  switch: ['capacity', 'switch', { ...plain, cf: 0.7 }],
  mixtral: ['softmax', 'mixtral', sizes],
  qwen_moe: ['softmax', 'qwen_moe', { ...sizes, S: 3, renorm: 0, aux: 0.1 }],
  'qwen_moe, renormalised': ['softmax', 'qwen_moe', { ...sizes, S: 3, renorm: 1, aux: 0.1 }],
  qwen3_moe: ['softmax', 'qwen3_moe', sizes],
  olmoe: ['softmax', 'olmoe', { ...sizes, aux: 1e-2, zw: 1e-3 }],
  deepseek_v2: ['groups', 'deepseek_v2', { ...groups, scale: 16 }],
  deepseek_v3: ['groups', 'deepseek_v3', { ...groups, scale: 2.5, aux: 0.1 }],
  latent: ['groups', 'latent', { ...sizes, Z: 3, S: 4, scale: 5 }],
  gpt_oss_moe: ['softmax', 'gpt_oss_moe', { ...sizes, aux: 0.9 }],
  minimax: ['capacity', 'minimax', { ...sizes, cf: 0.8 }],
  hunyuan: ['capacity', 'hunyuan', { ...sizes, cf: 0.8, recycle: 0 }],
  'hunyuan, recycled': ['capacity', 'hunyuan', { ...sizes, cf: 0.8, recycle: 1 }],
  expert_choice: ['balanced', 'expert_choice', { ...plain, cf: 1.5 }],
  sinkhorn_base: ['balanced', 'sinkhorn_base', { ...sizes, k: 1 }],
  'sinkhorn_base of two': ['balanced', 'sinkhorn_base', sizes],
  quantile: ['balanced', 'quantile', { ...sizes, ema: 0.9 }],
  sqrt_softplus: ['gates', 'sqrt_softplus', sizes],
  token_rounding: ['balanced', 'token_rounding', { ...sizes, tile: 3 }],
  llama4: ['gates', 'llama4', { ...sizes, k: 1 }],
  remoe: ['gates', 'remoe', { D, E: 4, F: 5, pull: 0.1 }],
};

const LENGTHS = [7, 4];

function near(found: ArrayLike<number> | undefined, expected: readonly number[], what: string): void {
  expect(found?.length, what).toBe(expected.length);
  expected.forEach((value, i) =>
    expect(Math.abs((found?.[i] ?? NaN) - value), `${what}[${i}]`).toBeLessThan(1e-12 * Math.max(1, Math.abs(value))));
}

describe('routers', () => {
  for (const [title, [file, name, numbers]] of Object.entries(cases)) {
    it(`${title}: equal to plain loops, with its losses and updates`, () => {
      const graph = exampleGraph(`moe/${file}`, name, numbers);
      const call = someCall(graph, LENGTHS, 11);
      const made = evaluate(graph, call);
      const x = rowsOf(call.inputs.get('x') ?? new Float64Array(), D);
      const full: Sizes = { k: 2, ...numbers, D, E: numbers.E ?? numbers.G * numbers.M, F: numbers.F };
      const expected = routers[name]({ x, params: call.params, lengths: LENGTHS, sizes: full, seed: 5, step: 2 });
      near(made.outputs.get('y'), expected.y.flat(), 'y');
      for (const [output, rows] of Object.entries(expected.outputs ?? {})) near(made.outputs.get(output), rows.flat(), output);
      expect([...made.losses.keys()].sort()).toEqual(Object.keys(expected.losses ?? {}).sort());
      for (const [loss, value] of Object.entries(expected.losses ?? {})) near([made.losses.get(loss) ?? NaN], [value], loss);
      const next = update([made], call.params);
      expect([...next.keys()]).toEqual(Object.keys(expected.updates ?? {}));
      for (const [buffer, row] of Object.entries<Row>(expected.updates ?? {})) near(next.get(buffer), row, buffer);
    });

    it(`${title}: gradients are differences`, () => {
      const graph = exampleGraph(`moe/${file}`, name, numbers);
      expect(gradientError(graph, someCall(graph, LENGTHS, 12), 8)).toBeLessThan(1e-7);
    });
  }
});
