import type { Axis } from '../../ir/common/axes.js';
import { axisVariable } from './address.js';
import { variable, type Code, type Index } from './text.js';

/** Turns `i` into the first index of every axis. */
export function decode(code: Code, counts: readonly (readonly [Axis, number])[], step: (axis: Axis) => number): Map<Axis, Index> {
  const starts = new Map<Axis, Index>();
  let below = 1;
  for (const [n, [axis, count]] of [...counts.entries()].reverse()) {
    const quotient = below === 1 ? 'i' : `i / ${below}u`;
    const part = n === 0 ? quotient : below === 1 ? `i % ${count}u` : `(${quotient}) % ${count}u`;
    const name = `${step(axis) > 1 ? 'first_' : ''}${axisVariable(axis)}`;
    code.line(`let ${name} = ${step(axis) === 1 ? part : `(${part}) * ${step(axis)}u`};`);
    starts.set(axis, variable(name));
    below *= count;
  }
  return starts;
}
