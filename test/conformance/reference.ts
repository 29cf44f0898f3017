import type { WritableTensor } from '../../src/driver/run/safetensors.js';
import { randomSource } from '../../src/support/random.js';
import type { Recurrence } from './loops.js';

interface Shaped {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

type All = ReadonlyMap<string, Shaped>;

const count = (shape: readonly number[]) => shape.reduce((n, extent) => n * extent, 1);

/** A reference file of a recurrence: random f32 inputs, and results and gradients in f64 from its loops and central differences. */
export function makeReference(recurrence: Recurrence, seed: number): Map<string, WritableTensor> {
  const { inputs, params, states, outputs, heads, groups, lengths } = recurrence;
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const lead = recurrence.batch ?? [1, total];
  const extents = (axes: readonly string[]) => axes.map((axis) => recurrence.sizes[axis]);
  const stateShape = (axes: readonly string[]) => [lengths.length, heads, ...extents(axes)];
  const random = randomSource(seed, recurrence.example);
  const draw = (
    shape: readonly number[], lo = -1, hi = 1,
  ): Shaped => ({ shape, data: Float64Array.from({ length: count(shape) }, () => Math.fround(lo + (hi - lo) * random.uniform())) });
  const given = new Map<string, Shaped>([
    ...inputs.map((x) => [x.name, draw([...lead, x.per === 'group' ? groups : heads, ...extents(x.axes)], x.lo, x.hi)] as const),
    ...params.map((x) => [x.name, draw([heads, ...extents(x.axes)])] as const),
    ...states.map((x) => [x.name, draw(stateShape(x.axes))] as const),
  ]);
  const cotangents = new Map<string, Shaped>([
    ...outputs.map((x) => [x.name, draw([...lead, heads, ...extents(x.axes)])] as const),
    ...states.map((x) => [x.name, draw(stateShape(x.axes))] as const),
  ]);
  const results = runAll(recurrence, given);
  const loss = (changed: All): number => [...runAll(recurrence, changed)].reduce(
    (sum, [name, data]) => sum + data.reduce((s, x, i) => s + x * (cotangents.get(name)?.data[i] ?? 0), 0), 0,
  );
  const tensors = new Map<string, WritableTensor>();
  for (const [name, { shape, data }] of given) tensors.set(name, { dtype: 'f32', shape, data });
  for (const [name, { shape, data }] of cotangents) tensors.set(`d_${name}`, { dtype: 'f32', shape, data });
  if (recurrence.batch === undefined) {
    const ends = lengths.map((_, i) => lengths.slice(0, i + 1).reduce((sum, length) => sum + length, 0));
    tensors.set('cu_seqlens', { dtype: 'i32', shape: [ends.length + 1], data: [0, ...ends] });
  }
  for (const [name, data] of results) tensors.set(`expect.${name}`, { dtype: 'f64', shape: cotangents.get(name)?.shape ?? [], data });
  for (const [name, { shape, data }] of given) {
    const slopes = data.map((x, i) => slope((changed) => loss(new Map(given).set(name, { shape, data: data.with(i, changed) })), x));
    tensors.set(`expect.d_${name}`, { dtype: 'f64', shape, data: slopes });
  }
  return tensors;
}

/** Central differences of sixth order: with this step, truncation and rounding are both near 1e-13. */
function slope(f: (x: number) => number, x: number): number {
  const h = 5e-3;
  const difference = (n: number) => f(x + n * h) - f(x - n * h);
  return (45 * difference(1) - 9 * difference(2) + difference(3)) / (60 * h);
}

/** All sequences and heads of a recurrence: outputs and final states by name. */
function runAll(
  { inputs, params, states, outputs, heads, groups, lengths, sizes, run }: Recurrence, given: All,
): Map<string, Float64Array> {
  const cells = (axes: readonly string[]) => count(axes.map((axis) => sizes[axis]));
  const get = (name: string) => given.get(name)?.data ?? new Float64Array();
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const results = new Map([
    ...outputs.map((x) => [x.name, new Float64Array(total * heads * cells(x.axes))] as const),
    ...states.map((x) => [x.name, new Float64Array(lengths.length * heads * cells(x.axes))] as const),
  ]);
  let start = 0;
  lengths.forEach((length, n) => {
    for (let head = 0; head < heads; head++) {
      const row = (name: string, at: number, cell: number) => [...get(name).slice(at * cell, (at + 1) * cell)];
      const x = Object.fromEntries(inputs.map(({ name, axes, per }) => {
        const [lanes, lane] = per === 'group' ? [groups, Math.floor((head * groups) / heads)] : [heads, head];
        return [name, Array.from({ length }, (_, t) => row(name, (start + t) * lanes + lane, cells(axes)))];
      }));
      const param = Object.fromEntries(params.map(({ name, axes }) => [name, row(name, head, cells(axes))]));
      const state = Object.fromEntries(states.map(({ name, axes }) => [name, row(name, n * heads + head, cells(axes))]));
      const made = run(x, param, state, length);
      for (const { name, axes } of outputs) made[name].forEach((values, t) => results.get(name)?.set(
        values, ((start + t) * heads + head) * cells(axes),
      ));
      for (const { name, axes } of states) results.get(name)?.set(state[name], (n * heads + head) * cells(axes));
    }
    start += length;
  });
  return results;
}
