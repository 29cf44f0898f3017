import { expect } from 'vitest';
import { backward, forward, update, type FlowCall } from '../../../../src/interp/flow/machine.js';
import { evaluate, gradients, type GraphCall } from '../../../../src/interp/graph/machine.js';
import { update as updateOf } from '../../../../src/interp/graph/update.js';
import type { Flow } from '../../../../src/ir/flow/flow.js';
import type { Graph } from '../../../../src/ir/graph/graph.js';
import { adjointOf } from '../../../../src/passes/flow/adjoint.js';
import { flowOf, isRefused } from '../../../../src/passes/flow/flow.js';
import { someCotangents } from '../../interp/graph/make-graph.js';

export function near(found: ArrayLike<number> | undefined, expected: ArrayLike<number>, what: string, tolerance = 1e-12): void {
  expect(found?.length, what).toBe(expected.length);
  const scale = Math.max(1, ...Array.from(expected, (x) => (Number.isFinite(x) ? Math.abs(x) : 0)));
  for (let i = 0; i < expected.length; i++) {
    const [x, y] = [found?.[i] ?? NaN, expected[i]];
    expect(Object.is(x, y) || Math.abs(x - y) <= tolerance * scale, `${what}[${i}]: ${x}, not ${y}`).toBe(true);
  }
}

/** The same number for all tokens: 0 makes ties of all scores, 1 sends all tokens to the same experts, and others have none. */
export function alike(call: GraphCall, value: number): GraphCall {
  return { ...call, inputs: new Map([...call.inputs].map(([name, data]) => [name, data.map(() => value)])) };
}

/** The Flow of a graph; an exception with all reasons if it has none. */
export function flowFor(graph: Graph): Flow {
  const made = flowOf(graph);
  if (isRefused(made)) throw new Error(made.refusals.map(({ reason }) => reason).join('\n'));
  return made;
}

function callOf(call: GraphCall, more: ReadonlyMap<string, Float64Array> = new Map()): FlowCall {
  const { lengths, params, ids, positions, seed, step } = call;
  return { lengths, params, inputs: new Map([...call.inputs, ...more]), ids, positions, seed, step, poison: true };
}

/**
 * Says the Flow the same as the graph? What is absent is NaN, so that nothing reads it. Counts are the same where families are computed at
 * slots; numbers of one index each are computed for all tokens.
 */
export function judgeForward(graph: Graph, call: GraphCall, tolerance = 1e-12, counts = true): void {
  const [found, expected] = [forward(flowFor(graph), callOf(call)), evaluate(graph, call)];
  for (const [name, data] of expected.outputs) near(found.outputs.get(name), data, name, tolerance);
  expect([...found.losses.keys()].sort()).toEqual([...expected.losses.keys()].sort());
  for (const [name, value] of expected.losses) near([found.losses.get(name) ?? NaN], [value], `loss ${name}`, tolerance);
  if (counts) for (const [name, data] of expected.counts) near(found.counts.get(name), data, `count ${name}`, tolerance);
}

/** Are new values of buffers those of the graph, after a step of several calls? */
export function judgeUpdate(graph: Graph, calls: readonly GraphCall[], tolerance = 1e-12): void {
  const flow = flowFor(graph);
  const found = update(flow, calls.map((call) => forward(flow, callOf(call))), calls[0].params);
  const expected = updateOf(calls.map((call) => evaluate(graph, call)), calls[0].params);
  expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, data] of expected) near(found.get(name), data, name, tolerance);
}

/** And are its gradients those of the graph, from what forward keeps and nothing else? */
export function judgeBackward(graph: Graph, call: GraphCall, tolerance = 1e-12): void {
  const made = evaluate(graph, call);
  const cotangents = new Map(someCotangents(graph, made));
  [...made.losses.keys()].forEach((name, i) => cotangents.set(`d_loss.${name}`, Float64Array.of(0.5 + i)));
  const flow = adjointOf(flowFor(graph));
  if (isRefused(flow)) throw new Error(flow.refusals.map(({ reason }) => reason).join('\n'));
  const { kept } = forward(flow, callOf(call));
  const found = backward(flow, callOf(call, cotangents), kept);
  const expected = gradients(made, cotangents);
  expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, data] of expected) near(found.get(name), data, name, tolerance);
}
