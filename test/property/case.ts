import { drawTensors } from '../../src/driver/scan/run/draw.js';
import type { SpecCall } from '../../src/interp/spec-machine.js';
import { finalName } from '../../src/ir/spec/names.js';
import type { Spec } from '../../src/ir/spec/spec.js';
import { frontend } from '../../src/passes/frontend.js';
import { randomSource } from '../../src/support/random.js';
import { randomRecurrence, type Recurrence, type RecurrenceOptions } from './recurrences.js';

/** A random recurrence with a call and tensors for it. */
export interface Case {
  readonly recurrence: Recurrence;
  readonly spec: Spec;
  readonly call: SpecCall;
  /** Inputs, params and initial states. */
  readonly given: Map<string, Float64Array>;
  /** `d_NAME` of every output and final state. */
  readonly cotangents: Map<string, Float64Array>;
}

export interface CaseOptions extends RecurrenceOptions {
  /** Tokens of each sequence. */
  readonly lengths: readonly number[];
  /** Puts values at and near the ends of what gates take among the others. */
  readonly ends?: boolean;
}

/** Throws, with the text, if the front end does not take it. */
export function randomCase(seed: number, options: CaseOptions): Case {
  const recurrence = randomRecurrence(seed, options);
  const { specs, diagnostics } = frontend('<random>', recurrence.source);
  const spec = specs[0];
  if (
    spec === undefined || diagnostics.length > 0
  ) throw new Error(`${recurrence.source}\n${diagnostics.map((d) => `${d.code} ${d.title}`).join('\n')}`);
  const { lengths, ends = false } = options;
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const call: SpecCall = { sizes: recurrence.sizes, heads: 2, groups: 1, lengths };
  const drawn = drawTensors(spec, { B: 1, T: tokens, H: 2, G: 1, N: lengths.length }, recurrence.sizes, { seed });
  for (const [name, values] of ends ? recurrence.ends : []) {
    const random = randomSource(seed, `${name} ends`);
    drawn.get(name)?.data.forEach((_, i, data) => {
      if (random.uniform() < 0.4) data[i] = values[random.below(values.length)];
    });
  }
  const results = new Set([
    ...spec.outputs.map((output) => output.name), ...spec.states.map((state) => finalName(spec, state.name))
  ].map((name) => `d_${name}`));
  const tensors = [...drawn].map(([name, { data }]) => [name, Float64Array.from(data)] as const);
  return {
    recurrence, spec, call, given: new Map(tensors.filter(([name]) => !results.has(name))),
    cotangents: new Map(tensors.filter(([name]) => results.has(name))),
  };
}

/** 1, 2, ... count */
export function seeds(count: number, first = 1): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}
