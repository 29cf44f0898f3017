import type { Axis } from '../../ir/common/axes.js';
import { ANY, type Range } from '../../ir/common/range.js';
import { finalName } from '../../ir/spec/names.js';
import type { Spec } from '../../ir/spec/spec.js';

/** Extents before the user's axes (README: files in, files out): token tensors are [B, T, H|G, ...], params [H, ...], states [N, H, ...]. */
export type Leading = readonly ('B' | 'T' | 'H' | 'G' | 'N')[];

/** One tensor of the file contract. */
export interface SignatureTensor {
  /** Its name in a file. */
  readonly name: string;
  readonly role: 'input' | 'param' | 'initial' | 'output' | 'final' | 'cotangent' | 'gradient';
  /** The name of the input, param, state or output it belongs to. */
  readonly of: string;
  readonly leading: Leading;
  readonly axes: readonly Axis[];
  readonly range: Range;
}

/** All tensors that a scan takes and gives, by the names of the file contract. */
export interface Signature {
  /** Must be given. */
  readonly required: readonly SignatureTensor[];
  /** Initial states: zero if not given. */
  readonly initial: readonly SignatureTensor[];
  /** May be given, to get gradients. */
  readonly cotangents: readonly SignatureTensor[];
  /** Outputs and final states. */
  readonly results: readonly SignatureTensor[];
  readonly gradients: readonly SignatureTensor[];
}

/** The file contract of a scan (README: files in, files out). A state named like an output gives the output; its last value is `final.NAME`. */
export function signatureOf(spec: Spec): Signature {
  const inputs = spec.inputs.map((input): SignatureTensor => ({
    name: input.name, of: input.name, role: 'input', leading: ['B', 'T', input.scope === 'group' ? 'G' : 'H'], axes: input.axes, range: input.range,
  }));
  const params = spec.params.map((param): SignatureTensor => ({ name: param.name, of: param.name, role: 'param', leading: ['H'], axes: param.axes, range: param.range }));
  const initial = spec.states.map((state): SignatureTensor => ({
    name: state.name, of: state.name, role: 'initial', leading: ['N', 'H'], axes: state.axes, range: state.range,
  }));
  const outputs = spec.outputs.map((output): SignatureTensor => ({ name: output.name, of: output.name, role: 'output', leading: ['B', 'T', 'H'], axes: output.axes, range: ANY }));
  const finals = initial.map((state): SignatureTensor => ({ ...state, role: 'final', name: finalName(spec, state.of), range: ANY }));
  const results = [...outputs, ...finals];
  return {
    required: [...inputs, ...params],
    initial,
    cotangents: results.map((tensor): SignatureTensor => ({ ...tensor, role: 'cotangent', name: `d_${tensor.name}` })),
    results,
    gradients: [...inputs, ...params, ...initial].map((tensor): SignatureTensor => ({ ...tensor, role: 'gradient', name: `d_${tensor.name}`, range: ANY })),
  };
}
