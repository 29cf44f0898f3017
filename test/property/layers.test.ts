import { describe, expect, it } from 'vitest';
import { evaluate, gradients, type Evaluation, type GraphCall } from '../../src/interp/graph/machine.js';
import type { Graph, GraphNode } from '../../src/ir/graph/graph.js';
import { frontend } from '../../src/passes/frontend.js';
import { randomSource } from '../../src/support/random.js';
import { someCall, someCotangents } from '../unit/interp/graph/make-graph.js';
import { evaluatePointwise } from '../unit/interp/graph/pointwise.js';
import { draftLayer } from './layers.js';

const DRAFTS = Number(process.env.DRAFTS ?? 150);
const FIRST = Number(process.env.FIRST_DRAFT ?? 1);
const LENGTHS = [4, 1, 3];

interface Program {
  readonly seed: number;
  readonly text: string;
  readonly folds: boolean;
  readonly training: Graph;
  readonly outside: Graph;
}

const programs: Program[] = [];
const refused = new Map<string, number>();
for (let seed = FIRST; seed < FIRST + DRAFTS; seed++) {
  const { text, name, folds } = draftLayer(seed);
  const { parts, diagnostics } = frontend('draft.lmoe', text);
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  for (const { code } of errors) refused.set(code, (refused.get(code) ?? 0) + 1);
  if (errors.length > 0) continue;
  const [training, outside] = [true, false].map((mode) => parts.elaborate(name, new Map(), mode).graph);
  if (training !== undefined && outside !== undefined) programs.push({ seed, text, folds, training, outside });
}

/**
 * A token picks nothing, but where something is restricted: of what is absent there, the pointwise meaning does not know that it was
 * picked.
 */
function callOf({ text, seed }: Program, graph: Graph): GraphCall {
  const call = someCall(graph, LENGTHS, seed);
  if (!/\[v\d+\]/.test(text)) call.inputs.get('i')?.set([-1], seed % 8);
  return call;
}

function near(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  expect(found.length, what).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const away = Math.abs(found[i] - expected[i]) / Math.max(1, Math.abs(expected[i]));
    expect(away < tolerance || Object.is(found[i], expected[i]), `${what}[${i}]: ${found[i]}, not ${expected[i]}`).toBe(true);
  }
}

/** Runs a check on every program; what fails says the program. */
function every(check: (program: Program) => void): void {
  for (const program of programs) {
    try {
      check(program);
    } catch (error) {
      throw new Error(`draft ${program.seed}: ${String(error)}\n${program.text}`, { cause: error });
    }
  }
}

describe('drafted layers', () => {
  it('many of them are right programs', () => {
    expect(programs.length, JSON.stringify([...refused])).toBeGreaterThan(DRAFTS / 3);
  });

  it('have every kind of node, and calls on some of the tokens', () => {
    const count = (has: (graph: Graph, id: number) => boolean): number => {
      return programs.filter(({ training }) => training.nodes.some((_, id) => has(training, id))).length;
    };
    const kinds: GraphNode['kind'][] = [
      'contract', 'fold', 'softmax', 'top', 'compare', 'logic', 'mask', 'restrict', 'lift', 'pick', 'before', 'conv', 'past', 'rope',
      'uniform', 'call',
    ];
    for (const kind of kinds) expect(count((graph, id) => graph.nodes[id].kind === kind), kind).toBeGreaterThan(0);
    const restricted = count(({ nodes }, id) => {
      const node = nodes[id];
      return node.kind === 'call' && node.args.some((arg) => nodes[arg].type.restricted.length > 0);
    });
    expect(restricted).toBeGreaterThan(0);
  });

  it('mean what they mean number by number', () => every((program) => {
    const { training } = program;
    const call = callOf(program, training);
    const [found, expected] = [evaluate(training, call), evaluatePointwise(training, call)];
    for (const [name, values] of expected.outputs) near(found.outputs.get(name) ?? [], values, 1e-9, name);
    for (const [name, value] of expected.losses) near([found.losses.get(name) ?? NaN], [value], 1e-9, name);
  }));

  it('have the gradients of differences, where there are no kinks', () => {
    let compared = 0;
    every((program) => {
      const { training, seed } = program;
      const call = callOf(program, training);
      const made = evaluate(training, call);
      const cotangents = someCotangents(training, made);
      const value = (moved: GraphCall): number => {
        const { outputs, losses } = evaluate(training, { ...moved, program: 'eval' });
        let sum = [...losses.values()].reduce((a, b) => a + b, 0);
        for (const [name, values] of outputs) values.forEach((x, i) => {
          sum += x * (cotangents.get(`d_${name}`)?.[i] ?? 0);
        });
        return sum;
      };
      const random = randomSource(seed);
      for (const [name, gradient] of gradients(made, cotangents)) {
        const path = name.slice(2);
        const table = call.inputs.has(path) ? 'inputs' : 'params';
        const data = call[table].get(path) ?? new Float64Array();
        const i = random.below(data.length);
        const at = (x: number): number =>
          value({ ...call, [table]: new Map(call[table]).set(path, data.map((old, k) => (k === i ? x : old))) });
        const slope = (h: number): number => {
          return (8 * (at(data[i] + h) - at(data[i] - h)) - (at(data[i] + 2 * h) - at(data[i] - 2 * h))) / (12 * h);
        };
        const [wide, narrow] = [1e-4, 3e-5].map(slope);
        // Differences that do not agree with each other have met a kink.
        if (!(Math.abs(wide - narrow) < 1e-6 * Math.max(1, Math.abs(narrow)))) continue;
        compared++;
        near([gradient[i]], [narrow], 1e-5, `${name}[${i}]`);
      }
    });
    expect(compared).toBeGreaterThan(2 * programs.length);
  });

  it('are in a batch what they are alone, and step by step what they are at once, unless they fold tokens', () => every((program) => {
    const { outside, folds } = program;
    if (folds) return;
    const call: GraphCall = { ...callOf(program, outside), program: 'eval' };
    const all = evaluate(outside, call);
    let start = 0;
    LENGTHS.forEach((length, n) => {
      const row = (from: number, to: number): Pick<GraphCall, 'inputs' | 'lengths' | 'ids'> => ({
        lengths: [to - from], ids: [n],
        inputs: new Map([...call.inputs].map(([name, data]) => {
          const width = data.length / LENGTHS.reduce((a, b) => a + b, 0);
          return [name, data.slice((start + from) * width, (start + to) * width)];
        })),
      });
      const part = (name: string, from: number, to: number): Float64Array => {
        const data = all.outputs.get(name) ?? new Float64Array();
        const width = data.length / LENGTHS.reduce((a, b) => a + b, 0);
        return data.slice((start + from) * width, (start + to) * width);
      };
      const alone = evaluate(outside, { ...call, ...row(0, length) });
      for (const [name, values] of alone.outputs) near(values, part(name, 0, length), 1e-9, `${name} alone`);
      let made: Evaluation = evaluate(outside, { ...call, ...row(0, 0) });
      for (let t = 0; t < length; t++) {
        made = evaluate(outside, { ...call, ...row(t, t + 1), program: 'step', state: made.state });
        for (const [name, values] of made.outputs) near(values, part(name, t, t + 1), 1e-9, `${name} at ${t}`);
      }
      start += length;
    });
  }));
});
