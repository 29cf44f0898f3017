import { describe, expect, it } from 'vitest';
import { forward } from '../../../../src/interp/flow/machine.js';
import { runTiles } from '../../../../src/interp/tile.js';
import { fromHalves, toHalves } from '../../../../src/support/float.js';
import { someCall } from '../../interp/graph/make-graph.js';
import { exampleGraph, graphOf } from '../../interp/graph/texts.js';
import { judgeKernels, madeOf, tileCall } from './judge.js';

const bf16 = (values: Float64Array): Float64Array => Float64Array.from(fromHalves('bf16', toHalves('bf16', values)));
const one = (value: number): number => bf16(Float64Array.of(value))[0];

/** A layer whose loss is what some product says. */
const layer = (line: string) => graphOf(`
layer f(x: [D]) -> y: [D] with D = 64, E = 8, L = 32 {
  param up: ${line.includes('across') ? '[L, E]\n  param across: [D, L]' : '[D, E]'}
  ${line}
  y = x * sum[E](z)
  loss score = mean[tokens](logsumexp[E](z)^2)
}`, 'f');

/** Error of the loss, over few tokens, where products round their operands to 16 bits and memory what it holds of rows. */
function errorOf(line: string, halves: boolean): number {
  const graph = layer(line);
  const made = madeOf(graph, 64, halves);
  const drawn = someCall(graph, [3], 4);
  const rounded = (from: ReadonlyMap<string, Float64Array>) => new Map([...from].map(([name, data]) => [name, bf16(data)]));
  const call = { ...drawn, inputs: rounded(drawn.inputs), params: rounded(drawn.params) };
  const tiles = tileCall(made, call);
  const wanted = forward(made.flow, tiles.call).losses.get('score') ?? NaN;
  runTiles(tiles.lowered.module, 'forward', tiles.dims, tiles.buffers, { io: one, operand: one });
  const binding = tiles.lowered.bindings.find(({ held, buffer }) => (
    buffer.role === 'output' && held.kind === 'value' && made.flow.losses.some(({ value }) => value === held.value)
  ));
  const [found] = tiles.buffers.get(binding?.buffer.name ?? '') ?? [];
  return Math.abs(found - wanted) / Math.abs(wanted);
}

describe('products of f32(x) on devices that multiply operands of 16 bits', () => {
  it.each([
    ['a jittered input', 'let z = (f32(x) * (1 + uniform[D](-0.01, 0.01))) @ f32(up)'],
    ['a computed one', 'let z = f32(silu(x)) @ up'],
    ['a product', 'let z = f32(x @ across) @ up'],
    ['both computed', 'let z = f32(silu(x)) @ f32(tanh(up))'],
  ])('keep what is computed in f32: %s', (_, line) => {
    expect(errorOf(line, false)).toBeGreaterThan(1e-4);
    expect(errorOf(line, true)).toBeLessThan(1e-5);
  });

  it.each([
    ['in memory as it was given', 'let z = f32(x) @ f32(up)'],
    ['not said to be f32', 'let z = silu(x) @ f32(up)'],
    ['made of such, but multiplied with what is not', 'let z = (f32(x) * 2) @ up'],
    ['f32 numbers in front of rows', 'let z = (f32(sum[D](x)) * x) @ f32(up)'],
  ])('are as they were where an operand is %s', (_, line) => {
    const [plain, halves] = [false, true].map((some) => madeOf(layer(line), 64, some).lowered?.module.kernels);
    expect(halves).toEqual(plain);
    expect(plain?.length).toBeGreaterThan(1);
  });

  it('mean the same, gradients included', () => {
    const graph = exampleGraph('moe/capacity', 'switch', { D: 6, E: 4, F: 5, cf: 0.7 });
    const [plain, halves] = [false, true].map((some) => madeOf(graph, 4, some));
    expect(halves.flow.values.length).toBeGreaterThan(plain.flow.values.length);
    judgeKernels(halves, someCall(graph, [5, 2], 3));
  });
});
