import { describe, expect, it } from 'vitest';
import { backward, forward, valuesOf, type FlowCall, type There } from '../../../../src/interp/flow/machine.js';
import type { Rows } from '../../../../src/interp/flow/rows.js';
import type { Flow, FlowResult } from '../../../../src/ir/flow/flow.js';
import { clustersOf } from '../../../../src/passes/cluster/cluster.js';
import type { Kernel } from '../../../../src/passes/cluster/kernel.js';
import { adjointOf } from '../../../../src/passes/flow/adjoint.js';
import { isRefused } from '../../../../src/passes/flow/flow.js';
import { someCall } from '../../interp/graph/make-graph.js';
import { exampleGraph, graphOf } from '../../interp/graph/texts.js';
import { flowFor, near } from '../flow/judge.js';
import { MIXTURES, mixture } from '../flow/mixtures.js';
import type { Graph } from '../../../../src/ir/graph/graph.js';

/** Runs kernels one after the other, each from what it says it loads, and nothing else. */
function launched(flow: Flow, kernels: readonly Kernel[], call: FlowCall, kept: There['values']): There {
  const [values, rows]: [Map<number, Float64Array>, Map<number, Rows>] = [new Map(kept), new Map()];
  for (const { form, rows: domain, loads, stores } of kernels) {
    const named = (table: ReadonlyMap<string, Float64Array>, name: (id: number) => string | undefined): Map<string, Float64Array> => {
      return new Map(loads.flatMap((id) => {
        const found = name(id);
        const data = found === undefined ? undefined : table.get(found);
        return found === undefined || data === undefined ? [] : [[found, data] as const];
      }));
    };
    const own: FlowCall = {
      ...call,
      inputs: named(call.inputs, (id) => {
        const value = flow.values[id];
        return value.kind === 'input' ? flow.inputs[value.input].name : undefined;
      }),
      params: named(call.params, (id) => {
        const value = flow.values[id];
        return value.kind === 'param' ? flow.params[value.param].path : undefined;
      }),
    };
    const there = { values: new Map([...values].filter(([id]) => loads.includes(id))), rows };
    const made = valuesOf(flow, own, there, stores, form === 'tables' && !rows.has(domain) ? [domain] : []);
    for (const [id, data] of made.values) values.set(id, data);
    for (const [id, data] of made.rows) rows.set(id, data);
  }
  return { values, rows };
}

function judge(graph: Graph): void {
  const { params, inputs, lengths, seed, step } = someCall(graph, [5, 3], 12);
  const flow = adjointOf(flowFor(graph));
  if (isRefused(flow)) throw new Error('no gradients');
  const clusters = clustersOf(flow);
  if (isRefused(clusters)) throw new Error('no kernels');
  const call: FlowCall = { params, inputs, lengths, seed, step };
  const expected = forward(flow, call);
  const made = launched(flow, clusters.forward, call, new Map());
  const data = ({ value }: FlowResult, all: There): Float64Array | undefined => all.values.get(value);
  for (const one of flow.outputs) near(data(one, made), forward(
    { ...flow, outputs: [{ ...one, axes: flow.values[one.value].type.axes }] }, call,
  )
    .outputs.get(one.name) ?? [], one.name);
  for (const [id, value] of expected.kept) near(made.values.get(id), value, `kept ${id}`);
  const cotangents = new Map([
    ...flow.outputs.map(({ name }) => [
      `d_${name}`, (expected.outputs.get(name) ?? new Float64Array()).map((x) => Math.sin(3 * x)),
    ] as const),
    ...flow.losses.map(({ name }) => [`d_loss.${name}`, Float64Array.of(0.7)] as const),
  ]);
  const back: FlowCall = { ...call, inputs: new Map([...inputs, ...cotangents]) };
  const found = launched(flow, clusters.backward, back, expected.kept);
  const gradients = backward(flow, back, expected.kept);
  for (const one of flow.backward?.gradients ?? []) {
    const own = data(one, found);
    // Zeros are nobody's work.
    if (own === undefined) near(gradients.get(one.name), new Float64Array(gradients.get(one.name)?.length ?? 0), one.name);
    else if (flow.values[one.value].type.axes.map(({ name }) => name).join() === one.axes.map(({ name }) => name).join()) {
      near(own, gradients.get(one.name) ?? [], one.name);
    }
  }
}

describe('kernels, one after the other', () => {
  it('an embedding: its gradient is never spread over the words', () => {
    const text = 'layer e(ids: one of W) -> y: [D] with W = 5, D = 4 { param table: [W, D]   y = table[ids] }';
    const graph = graphOf(text, 'e');
    judge(graph);
    const flow = adjointOf(flowFor(graph));
    const made = isRefused(flow) ? flow : clustersOf(flow);
    expect(isRefused(made) ? made : made.backward.map(({ form, loads }) => [form, loads.length])).toEqual([['sums', 2]]);
  });
  for (const one of MIXTURES) {
    if (one[1] === 'st_moe') continue;
    it(`${one[1]} ${JSON.stringify(one[2])}: give what the flow gives`, () => judge(mixture(one, true)));
  }
  for (const [file, name, numbers] of [
    ['feed_forward', 'clamped_swiglu', { D: 6, F: 5 }], ['gla', 'seed_gla', { D: 6, H: 2, K: 3, V: 4, Z: 2 }],
    ['memories', 'mom', { D: 6, H: 2, K: 3, V: 4, M: 4, T: 3, k: 2 }], ['rwkv7', 'channel_mix', { D: 6, F: 5, i: 1, L: 3 }],
  ] as const) {
    it(`${name}: give what the flow gives`, () => judge(exampleGraph(`layers/${file}`, name, numbers)));
  }
});
