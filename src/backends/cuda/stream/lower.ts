import type { TileKernel } from '../../../ir/tile/tile.js';
import type { CudaContext, LoweredKernel } from '../lowered.js';

/** Elementwise recurrences. `undefined`: not of this kind. */
export function lowerStream(_cx: CudaContext, _kernel: TileKernel): LoweredKernel | undefined {
  return undefined;
}
