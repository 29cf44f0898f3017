import { drawTensors } from '../../../src/driver/scan/run/draw.js';
import type { SpecCall } from '../../../src/interp/spec-machine.js';
import { finalName } from '../../../src/ir/spec/names.js';
import type { Spec } from '../../../src/ir/spec/spec.js';
import { frontend } from '../../../src/passes/frontend.js';

/** The only scan of a text. Throws if it has errors; warnings are let through. */
export function specOf(text: string): Spec {
  const { specs, diagnostics } = frontend('<test>', text);
  const errors = diagnostics.filter((d) => d.code.startsWith('E'));
  if (errors.length > 0 || specs.length !== 1) throw new Error(errors.map((d) => `${d.code} ${d.title}`).join('\n'));
  return specs[0];
}

export interface Drawn {
  readonly call: SpecCall;
  readonly given: Map<string, Float64Array>;
  readonly cotangents: Map<string, Float64Array>;
}

/** Tensors for a scan, drawn from its declared ranges. */
export function draw(
  spec: Spec, sizes: ReadonlyMap<string, number>, lengths: readonly number[], seed: number, lanes = { heads: 2, groups: 1 },
): Drawn {
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const drawn = drawTensors(spec, { B: 1, T: tokens, H: lanes.heads, G: lanes.groups, N: lengths.length }, sizes, { seed });
  const results = new Set([
    ...spec.outputs.map((output) => output.name), ...spec.states.map((state) => finalName(spec, state.name))
  ].map((name) => `d_${name}`));
  const tensors = [...drawn].map(([name, { data }]) => [name, Float64Array.from(data)] as const);
  return {
    call: { sizes, ...lanes, lengths },
    given: new Map(tensors.filter(([name]) => !results.has(name))),
    cotangents: new Map(tensors.filter(([name]) => results.has(name))),
  };
}
