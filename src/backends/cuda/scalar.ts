import type { MathName } from '../../ir/common/dag.js';
import type { IoDtype } from '../../ir/common/dtype.js';
import { math } from '../../math/index.js';

/** A scalar function as C text; the `m_` helpers are in templates/cuda/rt/math.cuh. */
export function scalarText(fn: MathName, args: readonly string[]): string {
  return math[fn].cuda(...args);
}

/** A value as it comes back from memory, as C text. */
export function roundedText(dtype: IoDtype, text: string): string {
  return dtype === 'f32' ? text : `([&] { ${dtype} kept; st(&kept, ${text}); return ld(&kept); }())`;
}
