import type { MathName } from '../../ir/common/dag.js';
import { math } from '../../math/index.js';

/** A scalar function as C text; the `m_` helpers are in templates/cuda/rt/math.cuh. */
export function scalarText(fn: MathName, args: readonly string[]): string {
  return math[fn].cuda(...args);
}
