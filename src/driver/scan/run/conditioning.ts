import type { IoDtype } from '../../../ir/common/dtype.js';
import type { Spec } from '../../../ir/spec/spec.js';
import { distance } from '../../run/compare.js';
import { roundedOnceMore } from '../../run/once-more.js';
import { runOracle, type Values } from './oracle.js';
import type { CallShape } from '../../run/validate.js';

/**
 * By result: rms(change) / rms of what the formula means when the tensors that are held in 16 bits are rounded once more, by errors as
 * random as those of numbers that do not fit. Kernels round what they compute on the way at least once; where this is large, so is their
 * error.
 */
export function conditioning(
  spec: Spec, call: CallShape, values: Values, isIo: (name: string) => boolean, dtype: Exclude<IoDtype, 'f32'>, expected: Values,
): ReadonlyMap<string, number> {
  const again = roundedOnceMore(dtype, spec.name);
  const moved = new Map([...values].map(([name, data]) => [name, isIo(name) ? again(data) : data]));
  const results = runOracle(spec, call, moved);
  return new Map([...expected].map(([name, wanted]) => [name, distance(results.get(name) ?? [], wanted).error]));
}
