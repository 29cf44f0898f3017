import type { IoDtype } from '../../ir/common/dtype.js';
import type { ElementType, HostArray } from '../../runtime/runtime.js';
import { fromHalves, toHalves } from '../../support/float.js';

/** Numbers as a device takes them. */
export function encode(dtype: ElementType, values: Float64Array): HostArray {
  switch (dtype) {
    case 'f32': return Float32Array.from(values);
    case 'i32': return Int32Array.from(values);
    case 'f16': case 'bf16': return toHalves(dtype, values);
  }
}

/** What a device gave, as numbers. */
export function decode(dtype: ElementType, values: HostArray): Float64Array {
  switch (dtype) {
    case 'f32': case 'i32': return Float64Array.from(values);
    case 'f16': case 'bf16': return Float64Array.from(fromHalves(dtype, values));
  }
}

/** The nearest values of a dtype. */
export function rounded(values: Float64Array, dtype: IoDtype): Float64Array {
  return decode(dtype, encode(dtype, values));
}
