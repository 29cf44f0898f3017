import type { IoDtype } from '../../ir/common/dtype.js';
import { randomSource } from '../../support/random.js';

/** Bits of a significand after the point. */
const FRACTION = { f16: 10, bf16: 7, f32: 23 } as const satisfies Readonly<Record<IoDtype, number>>;

/** Rounds numbers that a dtype holds once more, by errors as random as those of numbers that do not fit. */
export function roundedOnceMore(dtype: IoDtype, name: string): (data: Float64Array) => Float64Array {
  const random = randomSource(1, name);
  const error = (x: number) => (
    x === 0 || !Number.isFinite(x) ? 0 : (random.uniform() - 0.5) * 2 ** (Math.floor(Math.log2(Math.abs(x))) - FRACTION[dtype])
  );
  return (data) => data.map((x) => x + error(x));
}
