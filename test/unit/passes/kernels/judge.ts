import { backward, forward, valuesOf, type FlowCall } from '../../../../src/interp/flow/machine.js';
import type { Rows } from '../../../../src/interp/flow/rows.js';
import { runTiles, type TileDims } from '../../../../src/interp/tile.js';
import type { Axis } from '../../../../src/ir/graph/types.js';
import type { Flow, FlowResult } from '../../../../src/ir/flow/flow.js';
import type { Graph } from '../../../../src/ir/graph/graph.js';
import { clustersOf } from '../../../../src/passes/cluster/cluster.js';
import type { Clusters } from '../../../../src/passes/cluster/kernel.js';
import { adjointOf } from '../../../../src/passes/flow/adjoint.js';
import { isRefused } from '../../../../src/passes/flow/flow.js';
import { kernelsOf, type Binding, type Lowered, type Unmade } from '../../../../src/passes/kernels/kernels.js';
import type { GraphCall } from '../../../../src/interp/graph/machine.js';
import { flowFor, near } from '../flow/judge.js';

export const CHUNK = 4;

export interface Made {
  readonly flow: Flow;
  readonly clusters: Clusters;
  readonly lowered: Lowered | undefined;
  readonly refusals: readonly Unmade[];
}

export function madeOf(graph: Graph): Made {
  const flow = adjointOf(flowFor(graph));
  if (isRefused(flow)) throw new Error('no gradients');
  const clusters = clustersOf(flow);
  if (isRefused(clusters)) throw new Error('no kernels');
  const lowered = kernelsOf(flow, clusters, CHUNK);
  return { flow, clusters, lowered: isRefused(lowered) ? undefined : lowered, refusals: isRefused(lowered) ? lowered.refusals : [] };
}

const product = (axes: readonly Axis[]): number => axes.reduce((n, { size }) => n * size, 1);

/** The rows of every slot domain, as the machine of flows has them. */
function rowsOf(flow: Flow, call: FlowCall): ReadonlyMap<number, Rows> {
  const slots = flow.domains.flatMap(({ kind }, id) => (kind === 'slot' ? [id] : []));
  return valuesOf(flow, call, { values: new Map(), rows: new Map() }, [], slots).rows;
}

/** What a host makes: lists of slots, numbers of elements, and what the call brings. */
function given(flow: Flow, call: FlowCall, rows: ReadonlyMap<number, Rows>, { held }: Binding): Float64Array | undefined {
  const tokens = call.lengths.reduce((sum, n) => sum + n, 0);
  switch (held.kind) {
    case 'index': return Float64Array.from({ length: product(held.axes) }, (_, i) => i);
    case 'table': {
      const [domain, own] = [flow.domains[held.domain], rows.get(held.domain)];
      if (domain.kind !== 'slot' || own === undefined) throw new Error('no slots');
      const width = product(domain.groups);
      switch (held.table) {
        case 'token': return Float64Array.from(own.token);
        case 'self': return Float64Array.from({ length: width * width }, (_, i) => (Math.floor(i / width) === i % width ? 1 : 0));
        case 'place': {
          const out = new Float64Array(tokens * width).fill(-1);
          own.token.forEach((token, slot) => {
            out[token * width + own.group[slot]] = slot;
          });
          return out;
        }
        case 'slots': {
          const out = new Float64Array(tokens * domain.perToken).fill(-1);
          const next = new Int32Array(tokens);
          own.token.forEach((token, slot) => {
            out[token * domain.perToken + next[token]++] = slot;
          });
          return out;
        }
      }
    }
    // eslint-disable-next-line no-fallthrough
    case 'value': {
      const value = flow.values[held.value];
      if (value.kind === 'input') return call.inputs.get(flow.inputs[value.input].name);
      if (value.kind === 'param') return call.params.get(flow.params[value.param].path);
      if (value.kind !== 'count') return undefined;
      return value.of === 'time' ? Float64Array.from(call.lengths)
        : Float64Array.of(value.of === 'tokens' ? tokens : value.of === 'batch' ? call.lengths.length : 1);
    }
  }
}

/** A result [rows, ...axes] as the machine of flows gives it, from a buffer that may lack axes or have them in another order. */
function read(flow: Flow, { buffer }: Binding, data: Float64Array, result: FlowResult): Float64Array {
  // Groups are rows.
  const groups = flow.domains.flatMap((domain, id) => (
    domain.kind === 'slot' && buffer.outer === 'run' && buffer.domain?.row === `slot${id - 2}` ? domain.groups : []
  ));
  if (groups.some(({ name }, i) => result.axes[i].name !== name)) throw new Error('groups are not in front');
  const axes = result.axes.slice(groups.length);
  const size = new Map(axes.map((axis) => [axis.name, axis.size]));
  const cell = buffer.axes.reduce((n, axis) => n * (size.get(axis) ?? NaN), 1);
  const step = (name: string): number => {
    const i = buffer.axes.indexOf(name);
    return i < 0 ? 0 : buffer.axes.slice(i + 1).reduce((n, axis) => n * (size.get(axis) ?? NaN), 1);
  };
  const width = product(axes);
  return Float64Array.from({ length: data.length / cell * width }, (_, at) => {
    let rest = at % width;
    let from = Math.floor(at / width) * cell;
    for (const axis of [...axes].reverse()) {
      from += (rest % axis.size) * step(axis.name);
      rest = Math.floor(rest / axis.size);
    }
    return data[from];
  });
}

/** Do the kernels, forward and then backward from what forward left, give what the flow gives? */
export function judgeKernels({ flow, lowered }: Made, made: GraphCall, tolerance = 1e-10): void {
  if (lowered === undefined) throw new Error('no kernels');
  const { params, inputs, lengths, seed, step } = made;
  const call: FlowCall = { params, inputs, lengths, seed, step };
  const expected = forward(flow, call);
  const rows = rowsOf(flow, call);
  const spans = (counts: readonly number[]) => counts.map((n, i) => [counts.slice(0, i).reduce((a, b) => a + b, 0), n] as const);
  const runs = new Map([['token', spans(lengths)]]);
  for (const [id, own] of rows) {
    const domain = flow.domains[id];
    if (domain.kind !== 'slot') continue;
    const counts = Array.from({ length: product(domain.groups) }, (_, g) => own.group.filter((x) => x === g).length);
    runs.set(`slot${id - 2}`, spans(counts));
  }
  const dims: TileDims = { heads: 1, groups: 1, runs: Object.fromEntries(runs) };
  const cotangents = new Map([
    ...flow.outputs.map(({ name }) => [`d_${name}`, (expected.outputs.get(name) ?? new Float64Array()).map((x) => Math.sin(3 * x + 1))] as const),
    ...flow.losses.map(({ name }) => [`d_loss.${name}`, Float64Array.of(0.7)] as const),
  ]);
  const back: FlowCall = { ...call, inputs: new Map([...inputs, ...cotangents]) };
  const buffers = new Map<string, Float64Array>();
  for (const binding of lowered.bindings) {
    const data = given(flow, back, rows, binding);
    if (data !== undefined) buffers.set(binding.buffer.name, data);
  }
  const result = (one: FlowResult): Float64Array | undefined => {
    const found = lowered.bindings.find(({ held, buffer }) => (
      held.kind === 'value' && held.value === one.value && buffer.role !== 'workspace'
    ));
    const data = found && buffers.get(found.buffer.name);
    return data && found && read(flow, found, data, one);
  };
  runTiles(lowered.module, 'forward', dims, buffers);
  for (const one of flow.outputs) near(result(one), expected.outputs.get(one.name) ?? [], one.name, tolerance);
  for (const [name, value] of expected.losses) {
    const parts = flow.losses.filter((one) => one.name === name).map((one) => result(one)?.[0] ?? NaN);
    near([parts.reduce((a, b) => a + b, 0)], [value], `loss ${name}`, tolerance);
  }
  for (const [name, value] of expected.counts) {
    const parts = flow.counts.filter((one) => one.name === name).map((one) => result(one) ?? new Float64Array());
    near(parts.reduce((a, b) => a.map((x, i) => x + b[i])), value, `count ${name}`, tolerance);
  }
  runTiles(lowered.module, 'backward', dims, buffers);
  const gradients = backward(flow, back, expected.kept);
  for (const one of flow.backward?.gradients ?? []) {
    const wanted = gradients.get(one.name) ?? new Float64Array();
    // Zeros are written by whoever holds the memory.
    const made = lowered.bindings.some(({ held, buffer }) => held.kind === 'value' && held.value === one.value && buffer.role === 'gradient');
    near(made ? result(one) : new Float64Array(wanted.length), wanted, one.name, tolerance);
  }
}
