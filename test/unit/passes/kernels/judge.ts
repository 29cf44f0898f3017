import { backward, forward, valuesOf, type FlowCall } from '../../../../src/interp/flow/machine.js';
import { halvesOf, keyOf } from '../../../../src/support/noise.js';
import { runTiles, type TileDims } from '../../../../src/interp/tile.js';
import type { Axis } from '../../../../src/ir/graph/types.js';
import type { Flow, FlowResult } from '../../../../src/ir/flow/flow.js';
import { storedBuffers } from '../../../../src/ir/tile/buffers.js';
import type { TileBuffer, TileModule } from '../../../../src/ir/tile/tile.js';
import type { Graph } from '../../../../src/ir/graph/graph.js';
import { clustersOf } from '../../../../src/passes/cluster/cluster.js';
import type { Clusters } from '../../../../src/passes/cluster/kernel.js';
import { adjointOf } from '../../../../src/passes/flow/adjoint.js';
import { isRefused } from '../../../../src/passes/flow/flow.js';
import { kernelsOf, type Binding, type Lowered, type Unmade } from '../../../../src/passes/kernels/kernels.js';
import { withExactProducts } from '../../../../src/passes/kernels/exact-products.js';
import { countedBySlots } from '../../../../src/passes/kernels/counted.js';
import { withoutPicks } from '../../../../src/passes/kernels/picks.js';
import { forKernels } from '../../../../src/passes/kernels/results.js';
import { wordAxis } from '../../../../src/passes/kernels/memory.js';
import type { GraphCall } from '../../../../src/interp/graph/machine.js';
import { flowFor, near } from '../flow/judge.js';

const CHUNK = 4;

export interface Made {
  readonly flow: Flow;
  readonly clusters: Clusters;
  readonly lowered: Lowered | undefined;
  readonly refusals: readonly Unmade[];
}

/** `halves`: for devices that multiply operands of 16 bits. */
export function madeOf(graph: Graph, chunk = CHUNK, halves = false): Made {
  const whole = adjointOf(countedBySlots(withoutPicks(flowFor(graph))));
  if (isRefused(whole)) throw new Error('no gradients');
  return kernelsFor(forKernels(halves ? withExactProducts(whole) : whole), chunk);
}

/** Of forward alone. */
export function madeForward(graph: Graph, chunk: number): Made {
  return kernelsFor(forKernels(countedBySlots(withoutPicks(flowFor(graph)))), chunk);
}

function kernelsFor(flow: Flow, chunk: number): Made {
  const clusters = clustersOf(flow);
  if (isRefused(clusters)) throw new Error('no kernels');
  const lowered = kernelsOf(flow, clusters, chunk);
  return { flow, clusters, lowered: isRefused(lowered) ? undefined : lowered, refusals: isRefused(lowered) ? lowered.refusals : [] };
}

const product = (axes: readonly Axis[]): number => axes.reduce((n, { size }) => n * size, 1);

/** What the call brings, and what draws go by; kernels make all else. */
function given(flow: Flow, call: FlowCall, { held }: Binding): Float64Array | undefined {
  switch (held.kind) {
    case 'step': case 'table': case 'index': return undefined;
    case 'number': return held.number === 'tokens' || held.number === 'time' ? undefined
      : Float64Array.from(call.lengths.flatMap((length, sequence) => Array.from({ length }, (_, time) => {
        return held.number === 'sequence' ? call.ids?.[sequence] ?? sequence : time;
      })));
    case 'key': return Float64Array.from(halvesOf(keyOf(call.seed ?? 0, held.path, call.step ?? 0, held.number)));
    case 'value': {
      const value = flow.values[held.value];
      if (value.kind === 'input') return call.inputs.get(flow.inputs[value.input].name);
      return value.kind === 'param' ? call.params.get(flow.params[value.param].path) : undefined;
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
  const size = new Map(axes.map((axis) => [wordAxis(axis.name), axis.size]));
  const cell = buffer.axes.reduce((n, axis) => n * (size.get(axis) ?? NaN), 1);
  const step = (name: string): number => {
    const i = buffer.axes.indexOf(wordAxis(name));
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

export interface TileCall {
  readonly lowered: Lowered;
  readonly call: FlowCall;
  readonly back: FlowCall;
  readonly dims: TileDims;
  /** What programs take of a host, by buffer. */
  readonly buffers: Map<string, Float64Array>;
}

/** A call of a flow for its kernels of tiles. */
export function tileCall({ flow, lowered }: Made, { params, inputs, lengths, seed, step }: GraphCall): TileCall {
  if (lowered === undefined) throw new Error('no kernels');
  const call: FlowCall = { params, inputs, lengths, seed, step };
  const { outputs } = forward(flow, call);
  let at = 0;
  const runs = { token: lengths.map((n): readonly [number, number] => [(at += n) - n, n]) };
  const cotangents = [
    ...flow.outputs.map(({ name }) => [`d_${name}`, (outputs.get(name) ?? new Float64Array()).map((x) => Math.sin(3 * x + 1))] as const),
    ...flow.losses.map(({ name }) => [`d_loss.${name}`, Float64Array.of(0.7)] as const),
  ];
  const back: FlowCall = { ...call, inputs: new Map([...inputs, ...cotangents]) };
  const buffers = new Map<string, Float64Array>();
  for (const binding of lowered.bindings) {
    const data = given(flow, back, binding);
    if (data !== undefined) buffers.set(binding.buffer.name, data);
  }
  return { lowered, call, back, dims: { heads: 1, groups: 1, runs, longest: 1 }, buffers };
}

/** Runs forward; what it keeps for backward is the same memory under another name. */
export function runForward({ lowered, dims }: TileCall, buffers: Map<string, Float64Array>): void {
  runTiles(lowered.module, 'forward', dims, buffers);
  const valued = lowered.bindings.flatMap(({ buffer, held }) => (held.kind === 'value' ? [{ buffer, value: held.value }] : []));
  for (const { buffer, value } of valued) {
    if (buffer.role !== 'input' || buffers.has(buffer.name)) continue;
    const from = valued.find((one) => one.value === value && one.buffer.role === 'output');
    const data = from && buffers.get(from.buffer.name);
    if (data !== undefined) buffers.set(buffer.name, data);
  }
}

/** The module with what forward plans and chooses among its results. */
export function choicesShown({ flow, lowered }: Made): { readonly module: TileModule; readonly choices: readonly Binding[] } {
  if (lowered === undefined) throw new Error('no kernels');
  const { module, bindings } = lowered;
  const { forward: program, ...others } = module.programs;
  const written = new Set(module.kernels.filter(({ name }) => program.launches.includes(name)).flatMap(({ body }) => storedBuffers(body)));
  const choices = bindings.filter(({ buffer: { name, role }, held }) => (
    held.kind === 'value' && role === 'workspace' && ['top', 'sinkhorn'].includes(flow.values[held.value].kind) && written.has(name)
  ));
  const shown = new Set(choices.map(({ buffer }) => buffer.name));
  const buffers = module.buffers.map((one) => (shown.has(one.name) ? { ...one, role: 'output' as const } : one));
  const forward = { ...program, gives: [...program.gives, ...shown] };
  return { module: { ...module, buffers, programs: { forward, ...others } }, choices };
}

function judgeChoices(made: Made, { call, dims }: TileCall, given: ReadonlyMap<string, Float64Array>): void {
  const { module, choices } = choicesShown(made);
  const memory = new Map(given);
  runTiles(module, 'forward', dims, memory);
  for (const one of choices) {
    if (one.held.kind !== 'value') continue;
    const { value } = one.held;
    const { values } = valuesOf(made.flow, call, { values: new Map(), rows: new Map() }, [value], []);
    const { axes } = made.flow.values[value].type;
    const { name } = one.buffer;
    const found = read(made.flow, one, memory.get(name) ?? new Float64Array(), { name, axes, value });
    near(found, values.get(value) ?? [], `choice ${name}`, 1e-10);
  }
}

/** Do the kernels, forward and then backward from what forward left, give what the flow gives? */
export function judgeKernels(made: Made, graphCall: GraphCall, tolerance = 1e-10): void {
  const { flow } = made;
  const tiles = tileCall(made, graphCall);
  const { lowered, call, back, dims, buffers } = tiles;
  const expected = forward(flow, call);
  const bound = (one: FlowResult, role: TileBuffer['role']): Binding | undefined => lowered.bindings.find(({ held, buffer }) => (
    held.kind === 'value' && held.value === one.value && buffer.role === role
  ));
  const result = (one: FlowResult, role: TileBuffer['role'] = 'output'): Float64Array | undefined => {
    const found = bound(one, role);
    const data = found && buffers.get(found.buffer.name);
    return data && found && read(flow, found, data, one);
  };
  judgeChoices(made, tiles, buffers);
  runForward(tiles, buffers);
  for (const one of flow.outputs) near(result(one), expected.outputs.get(one.name) ?? [], one.name, tolerance);
  for (const [name, value] of expected.losses) {
    const parts = flow.losses.filter((one) => one.name === name).map((one) => result(one)?.[0] ?? NaN);
    near([parts.reduce((a, b) => a + b, 0)], [value], `loss ${name}`, tolerance);
  }
  for (const [name, value] of expected.counts) {
    const parts = flow.counts.filter((one) => one.name === name).map((one) => result(one) ?? new Float64Array());
    near(parts.reduce((a, b) => a.map((x, i) => x + b[i])), value, `count ${name}`, tolerance);
  }
  for (const one of flow.update.takes) near(result(one), expected.takes.get(one.name) ?? [], `take ${one.name}`, tolerance);
  runTiles(lowered.module, 'backward', dims, buffers);
  const gradients = backward(flow, back, expected.kept);
  for (const one of flow.backward?.gradients ?? []) {
    const wanted = gradients.get(one.name) ?? new Float64Array();
    // Zeros are written by whoever holds the memory.
    near(bound(one, 'gradient') === undefined ? new Float64Array(wanted.length) : result(one, 'gradient'), wanted, one.name, tolerance);
  }
}
