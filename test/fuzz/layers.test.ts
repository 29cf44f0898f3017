import { describe, expect, it } from 'vitest';
import { lexer } from '../../grammar/tokens.js';
import { renderAll } from '../../src/diagnostics/render.js';
import { evaluate, gradients, type GraphCall } from '../../src/interp/graph/machine.js';
import type { GraphState } from '../../src/interp/graph/state.js';
import type { Graph } from '../../src/ir/graph/graph.js';
import { printAst } from '../../src/ir/ast/print.js';
import { frontend } from '../../src/passes/frontend.js';
import { randomSource } from '../../src/support/random.js';
import { parsed, meaning } from '../unit/grammar/meaning.js';
import { gradientError, someCall } from '../unit/interp/graph/make-graph.js';
import { generateLayers } from './layers.js';

/** `npm run fuzz` gives them; else a fixed number of programs from a fixed seed. */
const SECONDS = Number(process.env['LMOEC_FUZZ_SECONDS'] ?? 0);
const FIRST = Number(process.env['LMOEC_FUZZ_SEED'] ?? 1);
const end = Date.now() + 500 * SECONDS;
const seeds = function* (count: number): Generator<number> {
  for (let seed = FIRST; seed < FIRST + count || Date.now() < end; seed++) yield seed;
};

/** One token gone, doubled, swapped with its neighbour, or put in place of another. */
function mutant(text: string, seed: number): string {
  const random = randomSource(seed, 'layers, mutated');
  const tokens = lexer.tokenize(text).tokens.map((token) => token.image);
  for (let n = 1 + random.below(2); n > 0; n--) {
    const at = random.below(tokens.length);
    const how = random.below(4);
    if (how === 0) tokens.splice(at, 1);
    else if (how === 1) tokens.splice(at, 0, tokens[at]);
    else if (how === 2) tokens.splice(at, 2, ...tokens.slice(at, at + 2).reverse());
    else tokens[at] = tokens[random.below(tokens.length)];
  }
  return tokens.join(' ');
}

/** The error of gradients. A call may lie beside a kink, two do not. */
function bend(graph: Graph, seed: number): number {
  const of = (own: number): number => gradientError(graph, someCall(graph, [3, 1, 2], own), 4);
  const first = of(seed);
  return first < 1e-3 ? first : Math.min(first, of(seed + 1));
}

/** How far outputs token by token are from those of whole sequences, for the first sequence of a call. */
function apart(graph: Graph, call: GraphCall): number {
  const [length] = call.lengths;
  const part = (from: number, count: number): ReadonlyMap<string, Float64Array> => new Map([...call.inputs].map(([name, values]) => {
    const width = values.length / call.lengths.reduce((a, b) => a + b, 0);
    return [name, values.slice(from * width, (from + count) * width)];
  }));
  const whole = evaluate(graph, { ...call, program: 'eval', lengths: [length], inputs: part(0, length) });
  let state: GraphState | undefined;
  let worst = 0;
  for (let t = 0; t < length; t++) {
    const made = evaluate(graph, { ...call, program: 'step', lengths: [1], inputs: part(t, 1), ...(state && { state }) });
    state = made.state;
    for (const [name, values] of made.outputs) {
      const expected = whole.outputs.get(name)?.subarray(t * values.length) ?? new Float64Array();
      values.forEach((value, i) => {
        worst = Math.max(worst, Math.abs(value - expected[i]) / Math.max(1, Math.abs(expected[i])));
      });
    }
  }
  return worst;
}

describe('random layers, mixtures and models', () => {
  it('are understood, and mean something with a gradient', () => {
    for (const seed of seeds(40)) {
      const { text, last } = generateLayers(seed);
      const formatted = printAst(parsed(text));
      expect(meaning(parsed(formatted)), `seed ${seed}`).toBe(meaning(parsed(text)));
      const { diagnostics, parts } = frontend('random.lmoe', formatted);
      const errors = diagnostics.filter(({ severity }) => severity === 'error');
      expect(renderAll(errors, { source: () => formatted, colour: false }), `seed ${seed}\n${formatted}`).toBe('');
      for (const training of [true, false]) {
        const { graph } = parts.elaborate(last, new Map(), training);
        if (graph === undefined) throw new Error(`seed ${seed}: no graph of\n${formatted}`);
        const call = someCall(graph, [3, 1, 2], seed, { program: training ? 'train' : 'eval' });
        const made = evaluate(graph, call);
        const numbers = [...made.outputs.values()].flatMap((values) => [...values]);
        expect(numbers.every(Number.isFinite), `seed ${seed}\n${formatted}`).toBe(true);
        if (training) for (const [name, values] of gradients(made)) expect(
          values.every(Number.isFinite), `seed ${seed}: ${name}`,
        ).toBe(true);
        // `stop` has no slope on purpose; tokens that are equal but for rounding change places.
        if (training && seed % 10 === 0 && !/stop\(|top\[t/.test(formatted)) expect(
          bend(graph, seed), `seed ${seed}\n${formatted}`,
        ).toBeLessThan(1e-3);
        // What is chosen or folded among all tokens of a call is known to no step.
        if (!training && !/(top|mean|max)\[(t|batch)/.test(formatted)) expect(
          apart(graph, call), `seed ${seed}, token by token\n${formatted}`,
        ).toBeLessThan(1e-9);
      }
    }
  }, 120_000 + 1000 * SECONDS);

  it('with a slip are understood or refused with a place and a remedy', () => {
    let refused = 0;
    for (const seed of seeds(60)) {
      const text = mutant(generateLayers(seed).text, seed);
      const { diagnostics, ast } = frontend('random.lmoe', text);
      refused += diagnostics.some(({ severity }) => severity === 'error') ? 1 : 0;
      if (ast === undefined) expect(diagnostics.length).toBe(1);
      for (const d of diagnostics) {
        expect(d.help.length, `${d.title}\n${text}`).toBeGreaterThan(0);
        for (const { span } of [d.primary, ...d.secondary]) {
          expect(span.file).toBe('random.lmoe');
          expect(span.end, `${d.title}\n${text}`).toBeGreaterThan(span.start);
          expect(span.end).toBeLessThanOrEqual(text.length);
        }
      }
      expect(renderAll(diagnostics, { source: () => text, colour: false })).not.toMatch(/undefined|\[object|NaN/);
    }
    expect(refused).toBeGreaterThan(20);
  }, 120_000 + 1000 * SECONDS);
});
