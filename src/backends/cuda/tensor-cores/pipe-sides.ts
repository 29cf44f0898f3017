import { sum } from '../../../support/sum.js';
import { axisSize } from '../../describe.js';
import type { CudaContext } from '../lowered.js';
import { isAlongRows, type BlockParts } from './block-parts.js';
import { STEP } from './forms.js';
import { jointProducts } from './joint-products.js';
import { HIGH } from './pipe-blocks.js';

/** Products along rows lie so that what several of them read is their left operand, if they do share one. */
export function laid(cx: CudaContext, given: BlockParts): BlockParts {
  if (!isAlongRows(given.kernel) || axisSize(cx.module, given.split) <= STEP) return given;
  const turned = { ...given, rows: given.split, split: given.rows };
  const count = (parts: BlockParts) => sum(parts.loops.map((loop) => jointProducts(parts, loop, HIGH).length));
  return count(turned) < count(given) ? turned : given;
}
