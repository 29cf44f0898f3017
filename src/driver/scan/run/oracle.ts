import { gradSpec } from '../../../interp/spec-gradient.js';
import type { SpecCall } from '../../../interp/spec-machine.js';
import { runSpec } from '../../../interp/spec.js';
import { signatureOf } from '../../../ir/spec/signature.js';
import type { Spec } from '../../../ir/spec/spec.js';
import type { CallShape } from '../../run/validate.js';

export type Values = ReadonlyMap<string, Float64Array>;

/** What the formula means for these tensors: outputs, final states and, if there are cotangents, `d_NAME` of everything that was given. */
export function runOracle(spec: Spec, call: CallShape, tensors: Values): Values {
  const specCall: SpecCall = { sizes: call.sizes, heads: call.heads, groups: call.groups, lengths: call.lengths };
  const names = new Set(signatureOf(spec).cotangents.map((tensor) => tensor.name));
  const given = new Map([...tensors].filter(([name]) => !names.has(name)));
  const cotangents = new Map([...tensors].filter(([name]) => names.has(name)));
  return cotangents.size === 0 ? runSpec(spec, specCall, given) : gradSpec(spec, specCall, given, cotangents);
}
