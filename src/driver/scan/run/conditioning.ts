import { randomSource } from '../../../support/random.js';
import type { Spec } from '../../../ir/spec/spec.js';
import { distance } from '../../run/compare.js';
import { runOracle, type Values } from './oracle.js';
import type { CallShape } from '../../run/validate.js';

/** Bits of a significand after the point. */
const FRACTION = { f16: 10, bf16: 7 } as const;

/**
 * By result: rms(change) / rms of what the formula means when the tensors that are held in 16 bits are rounded once more, by errors as
 * random as those of numbers that do not fit. Kernels round what they compute on the way at least once; where this is large, so is their
 * error.
 */
export function conditioning(
  spec: Spec, call: CallShape, values: Values, isIo: (name: string) => boolean, dtype: keyof typeof FRACTION, expected: Values,
): ReadonlyMap<string, number> {
  const random = randomSource(1, spec.name);
  const error = (x: number) => (
    x === 0 || !Number.isFinite(x) ? 0 : (random.uniform() - 0.5) * 2 ** (Math.floor(Math.log2(Math.abs(x))) - FRACTION[dtype])
  );
  const moved = new Map([...values].map(([name, data]) => [name, isIo(name) ? data.map((x) => x + error(x)) : data]));
  const results = runOracle(spec, call, moved);
  return new Map([...expected].map(([name, wanted]) => [name, distance(results.get(name) ?? [], wanted).error]));
}
