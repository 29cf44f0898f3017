import type { MathName } from '../../ir/common/dag.js';
import type { IoDtype } from '../../ir/common/dtype.js';
import { math } from '../../math/index.js';

/** A scalar function as C text; the `m_` helpers are in templates/cuda/rt/math.cuh. */
export function scalarText(fn: MathName, args: readonly string[]): string {
  return math[fn].cuda(...args);
}

/**
 * A value with the digits of a dtype, as C text; in f16 whatever its size, since operands of products are scaled
 * (templates/cuda/rt/fit.cuh).
 */
export function roundedText(dtype: IoDtype, text: string): string {
  if (dtype === 'f16') {
    // A device's NaN has all bits set, which a carry would make a zero.
    return `([&] { const u32 bits = __float_as_uint(${text}); `
      + 'return __uint_as_float((bits & 0x7fffffff) > 0x7f800000 ? bits : (bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu); }())';
  }
  return dtype === 'f32' ? text : `([&] { ${dtype} kept; st(&kept, ${text}); return ld(&kept); }())`;
}
