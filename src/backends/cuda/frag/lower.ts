import type { TileKernel } from '../../../ir/tile/tile.js';
import type { CudaContext, LoweredKernel } from '../lowered.js';

/** Kernels around matrix products. `undefined`: the plain lowering takes it. */
export function lowerFragments(_cx: CudaContext, _kernel: TileKernel): LoweredKernel | undefined {
  return undefined;
}
