import type { SpecCall, Tensors } from '../../../src/interp/spec-machine.js';
import { elements } from '../../../src/ir/common/axes.js';
import { finalName } from '../../../src/ir/spec/names.js';
import type { Spec } from '../../../src/ir/spec/spec.js';
import { randomSource } from '../../../src/support/random.js';

function filled(count: number, next: () => number): Float64Array {
  return Float64Array.from({ length: count }, next);
}

/** Number of tokens of a call. */
export function tokens(call: SpecCall): number {
  return call.lengths.reduce((sum, length) => sum + length, 0);
}

/** Values in -1..1 for every input, param and initial state. */
export function someTensors(spec: Spec, call: SpecCall, seed: number): Map<string, Float64Array> {
  const random = randomSource(seed);
  const next = () => 2 * random.uniform() - 1;
  const all = new Map<string, Float64Array>();
  for (const { name, axes, scope } of spec.inputs) all.set(
    name, filled(tokens(call) * (scope === 'group' ? call.groups : call.heads) * elements(axes, call.sizes), next),
  );
  for (const { name, axes } of spec.params) all.set(name, filled(call.heads * elements(axes, call.sizes), next));
  for (const { name, axes } of spec.states) all.set(name, filled(call.lengths.length * call.heads * elements(axes, call.sizes), next));
  return all;
}

/** Values in -1..1 for the cotangent of every output and final state. */
export function someCotangents(spec: Spec, call: SpecCall, seed: number): Map<string, Float64Array> {
  const random = randomSource(seed);
  const next = () => 2 * random.uniform() - 1;
  const all = new Map<string, Float64Array>();
  for (const { name, axes } of spec.outputs) all.set(`d_${name}`, filled(tokens(call) * call.heads * elements(axes, call.sizes), next));
  for (const { name, axes } of spec.states) all.set(
    `d_${finalName(spec, name)}`, filled(call.lengths.length * call.heads * elements(axes, call.sizes), next),
  );
  return all;
}

/** Sum over results of cotangent * result: the loss whose gradients the cotangents ask for. */
export function loss(results: Tensors, cotangents: Tensors): number {
  let sum = 0;
  for (const [name, cotangent] of cotangents) {
    const result = results.get(name.slice(2));
    if (result === undefined) throw new Error(`no result ${name.slice(2)}`);
    result.forEach((value, i) => {
      sum += value * cotangent[i];
    });
  }
  return sum;
}

/** rms(found - expected) / rms(expected). */
export function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length) return Infinity;
  let difference = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (found[i] - expected[i]) ** 2;
    size += expected[i] ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / size);
}

/** Central differences of fourth order, whose error is about 1e-12 of the scale of the function. */
export function slope(f: (x: number) => number, x: number, h = 1e-3): number {
  return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h);
}
