import { inputDtype, outputDtype } from '../../ir/spec/signature.js';
import type { Spec } from '../../ir/spec/spec.js';
import type { BufferRole, TileBuffer } from '../../ir/tile/tile.js';
import { ofTokens } from './programs.js';

/** Buffers that the user gives or gets, by their index in the Spec. */
export interface UserBuffers {
  readonly inputs: readonly TileBuffer[];
  readonly params: readonly TileBuffer[];
  readonly initials: readonly TileBuffer[];
  readonly outputs: readonly TileBuffer[];
  readonly finals: readonly TileBuffer[];
  readonly outputCotangents: readonly TileBuffer[];
  readonly finalCotangents: readonly TileBuffer[];
  readonly inputGradients: readonly TileBuffer[];
  readonly paramGradients: readonly TileBuffer[];
  readonly initialGradients: readonly TileBuffer[];
  readonly all: readonly TileBuffer[];
}

/**
 * Names as runtime/names.ts looks them up. A plan tells the initial state from the final one, which is always `final.S`; where an output
 * has the name of the state, the initial one is `initial.S`. Inputs in `exact` and scalars per token are f32 unless they are said to be
 * rounded, params and states always.
 */
export function userBuffers(spec: Spec, exact: ReadonlySet<string>): UserBuffers {
  const taken = new Set(spec.outputs.map((output) => output.name));
  const initialName = (name: string) => (taken.has(name) ? `initial.${name}` : name);
  const make = (
    name: string, outer: TileBuffer['outer'], inner: TileBuffer['inner'], axes: TileBuffer['axes'], dtype: TileBuffer['dtype'],
    role: BufferRole,
  ): TileBuffer => (
    { name, ...ofTokens(outer), inner, axes, dtype, role }
  );
  const inputType = (input: Spec['inputs'][number]) => (
    inputDtype(input) ?? (exact.has(input.name) ? 'f32' : 'io')
  );
  const inputs = spec.inputs.map((x) => make(x.name, 'row', x.scope, x.axes, inputType(x), 'input'));
  const params = spec.params.map((x) => make(x.name, 'once', 'head', x.axes, 'f32', 'param'));
  const states = (
    prefix: (name: string) => string, role: BufferRole,
  ) => spec.states.map((x) => make(prefix(x.name), 'run', 'head', x.axes, 'f32', role));
  const outputs = spec.outputs.map((x) => make(x.name, 'row', 'head', x.axes, outputDtype(x), 'output'));
  const initials = states(initialName, 'initial');
  const finals = states((name) => `final.${name}`, 'final');
  const outputCotangents = outputs.map((x) => make(`d_${x.name}`, 'row', 'head', x.axes, x.dtype, 'cotangent'));
  const finalCotangents = states((name) => `d_final.${name}`, 'cotangent');
  const inputGradients = inputs.map((x) => make(`d_${x.name}`, 'row', x.inner, x.axes, x.dtype, 'gradient'));
  const paramGradients = params.map((x) => make(`d_${x.name}`, 'once', 'head', x.axes, 'f32', 'gradient'));
  const initialGradients = states((name) => `d_${initialName(name)}`, 'gradient');
  const all = [
    ...inputs, ...params, ...initials, ...outputs, ...finals, ...outputCotangents, ...finalCotangents,
    ...inputGradients, ...paramGradients, ...initialGradients,
  ];
  return {
    inputs, params, initials, outputs, finals, outputCotangents, finalCotangents, inputGradients, paramGradients, initialGradients, all,
  };
}
