import { describe, expect, it } from 'vitest';
import { renderAll } from '../../src/diagnostics/render.js';
import { evaluate, gradients, type Evaluation, type GraphCall } from '../../src/interp/graph/machine.js';
import { update } from '../../src/interp/graph/update.js';
import { printAst } from '../../src/ir/ast/print.js';
import type { Graph } from '../../src/ir/graph/graph.js';
import { frontend } from '../../src/passes/frontend.js';
import { randomSource } from '../../src/support/random.js';
import { parsed } from '../unit/grammar/meaning.js';
import { someCall, someCotangents } from '../unit/interp/graph/make-graph.js';
import { evaluatePointwise } from '../unit/interp/graph/pointwise.js';
import { generateGoals } from './goal-forms.js';
import { IMPORTED, type Spelling } from './goals.js';

/** `npm run fuzz` gives them; else a fixed number of programs from a fixed seed. */
const SECONDS = Number(process.env['LMOEC_FUZZ_SECONDS'] ?? 0);
const FIRST = Number(process.env['LMOEC_FUZZ_SEED'] ?? 1);
const COUNT = Number(process.env['GOALS'] ?? 45);
const LENGTHS = [3, 1, 2];
const ROWS = LENGTHS.reduce((a, b) => a + b);

interface Meaning {
  readonly training: Graph;
  readonly outside: Graph;
}

function meaningOf({ text, imported, last }: Spelling): Meaning {
  const { parts, diagnostics } = frontend('random.lmoe', text, (path) => (path === IMPORTED ? imported : undefined));
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new Error(renderAll(errors, { source: (file) => (file === IMPORTED ? imported : text), colour: false }));
  const [training, outside] = [true, false].map((mode) => parts.elaborate(last, new Map(), mode).graph);
  if (training === undefined || outside === undefined) throw new Error('no graph, and no error');
  return { training, outside };
}

function away(found: ArrayLike<number> | undefined, expected: ArrayLike<number>): number {
  if (found?.length !== expected.length) return Infinity;
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const one = Object.is(found[i], expected[i]) ? 0 : Math.abs(found[i] - expected[i]) / Math.max(1, Math.abs(expected[i]));
    if (!(one <= most)) most = one;
  }
  return most;
}

type Numbers = ReadonlyMap<string, ArrayLike<number>>;

function near(found: Numbers, expected: Numbers, what: string, most = 1e-9): void {
  expect([...found.keys()].sort(), what).toEqual([...expected.keys()].sort());
  for (const [name, values] of expected) expect(away(found.get(name), values), `${what}: ${name}`).toBeLessThan(most);
}

const numbers = (losses: ReadonlyMap<string, number>): Map<string, number[]> => new Map([...losses].map(([name, x]) => [name, [x]]));

/** Outputs and losses weighted. */
function objective(graph: Graph, call: GraphCall, cotangents: ReadonlyMap<string, Float64Array>): number {
  const { outputs, losses } = evaluate(graph, { ...call, program: 'eval' });
  let sum = [...losses.values()].reduce((a, b) => a + b, 0);
  for (const [name, values] of outputs) values.forEach((x, i) => {
    sum += x * (cotangents.get(`d_${name}`)?.[i] ?? 0);
  });
  return sum;
}

/** The slope along one direction in all inputs and params, beside the gradient there; undefined beside a kink. */
function slope(
  graph: Graph, call: GraphCall, made: Evaluation, seed: number,
): { readonly found: number; readonly expected: number } | undefined {
  const random = randomSource(seed, 'direction');
  const cotangents = someCotangents(graph, made, seed);
  const directions = new Map([...gradients(made, cotangents)].map(([name, values]) =>
    [name.slice(2), { gradient: values, along: values.map(() => 2 * random.uniform() - 1) }] as const));
  let found = 0;
  for (const { gradient, along } of directions.values()) gradient.forEach((g, i) => {
    found += g * along[i];
  });
  const at = (h: number): number => {
    const moved = (table: ReadonlyMap<string, Float64Array>): Map<string, Float64Array> => new Map([...table].map(([path, values]) =>
      [path, values.map((x, i) => x + h * (directions.get(path)?.along[i] ?? 0))]));
    return objective(graph, { ...call, inputs: moved(call.inputs), params: moved(call.params) }, cotangents);
  };
  const difference = (h: number): number => (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
  const [wide, narrow] = [1e-4, 4e-5].map(difference);
  return Math.abs(wide - narrow) < 1e-6 * Math.max(1, Math.abs(narrow)) ? { found, expected: narrow } : undefined;
}

function rows(values: ReadonlyMap<string, Float64Array>, from: number, to: number): Map<string, Float64Array> {
  return new Map([...values].map(([name, data]) => {
    const width = data.length / ROWS;
    return [name, data.slice(from * width, to * width)];
  }));
}

/** Each sequence alone, and token by token. */
function alone(graph: Graph, call: GraphCall, all: Evaluation): void {
  let start = 0;
  for (const [n, length] of LENGTHS.entries()) {
    const own = (from: number, to: number): GraphCall => ({ ...call, program: 'eval', lengths: [to - from], ids: [n],
      inputs: rows(call.inputs, start + from, start + to) });
    near(evaluate(graph, own(0, length)).outputs, rows(all.outputs, start, start + length), `sequence ${n} alone`);
    let { state } = evaluate(graph, own(0, length > 2 ? 1 : 0));
    for (let i = length > 2 ? 1 : 0; i < length; i++) {
      const made = evaluate(graph, { ...own(i, i + 1), program: 'step', state });
      near(made.outputs, rows(all.outputs, start + i, start + i + 1), `token ${i} of sequence ${n}`);
      ({ state } = made);
    }
    start += length;
  }
}

/** The batch from its last sequence to its first. */
function turned(graph: Graph, call: GraphCall, all: Evaluation): void {
  const starts = LENGTHS.map((_, n) => LENGTHS.slice(0, n).reduce((a, b) => a + b, 0));
  const order = LENGTHS.map((_, n) => n).reverse();
  const turn = (values: ReadonlyMap<string, Float64Array>): Map<string, Float64Array> => new Map([...values].map(([name, data]) => {
    const width = data.length / ROWS;
    return [name, Float64Array.from(order.flatMap((n) => [...data.slice(starts[n] * width, (starts[n] + LENGTHS[n]) * width)]))];
  }));
  const made = evaluate(graph, { ...call, lengths: order.map((n) => LENGTHS[n]), ids: order, inputs: turn(call.inputs) });
  near(made.outputs, turn(all.outputs), 'in another order');
  near(numbers(made.losses), numbers(all.losses), 'in another order');
}

const seen = { compared: 0, programs: 0 };

function judge(seed: number): void {
  const [short, long] = [generateGoals(seed), generateGoals(seed, true)];
  try {
    seen.programs++;
    const { training, outside } = meaningOf(short);
    const formatted = printAst(parsed(short.text));
    expect(printAst(parsed(formatted))).toBe(formatted);
    const call = someCall(training, LENGTHS, seed);
    const made = evaluate(training, call);
    for (const values of made.outputs.values()) expect(values.every(Number.isFinite), 'not a number').toBe(true);
    const again = evaluate(meaningOf({ ...short, text: formatted }).training, call);
    near(again.outputs, made.outputs, 'formatted', 1e-15);
    const other = meaningOf(long);
    const beside = evaluate(other.training, call);
    near(beside.outputs, made.outputs, 'written out');
    near(numbers(beside.losses), numbers(made.losses), 'written out');
    const cotangents = someCotangents(training, made, seed);
    near(gradients(beside, cotangents), gradients(made, cotangents), 'written out', 1e-7);
    near(update([beside], call.params), update([made], call.params), 'written out');
    const pointwise = evaluatePointwise(training, call);
    near(made.outputs, pointwise.outputs, 'number by number');
    near(numbers(made.losses), numbers(pointwise.losses), 'number by number');
    const bent = slope(training, call, made, seed);
    if (bent !== undefined) {
      seen.compared++;
      expect(away([bent.found], [bent.expected]), `a gradient of ${bent.found}, a slope of ${bent.expected}`).toBeLessThan(1e-4);
    }
    const whole = evaluate(outside, { ...call, program: 'eval' });
    turned(outside, call, whole);
    if (!short.folds) alone(outside, call, whole);
  } catch (error) {
    throw new Error(`seed ${seed}: ${String(error)}\n${short.text}\n--- ${IMPORTED}\n${short.imported}`, { cause: error });
  }
}

describe('layers that are made goal first', () => {
  it('mean what they mean in every spelling, order and packing', () => {
    const end = Date.now() + 500 * SECONDS;
    for (let seed = FIRST; seed < FIRST + COUNT || Date.now() < end; seed++) {
      judge(seed);
    }
    expect(seen.compared).toBeGreaterThan(seen.programs / 3);
  }, 120_000 + 1000 * SECONDS);
});
