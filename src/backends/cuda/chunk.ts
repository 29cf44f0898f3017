import type { IoDtype } from '../../ir/common/dtype.js';
import type { Plan } from '../../ir/plan/plan.js';
import { isSteady, type ScanProgram } from '../../ir/scan/scan.js';
import type { TileModule } from '../../ir/tile/tile.js';
import { sharedLimit, type CudaTarget } from './lowered.js';
import { OF_MEMORY } from './refused.js';

/**
 * Tokens per chunk that a module should be lowered with, best first; the next one is for modules that overflow. `undefined`: a scan that
 * runs step by step. Streams want long chunks, which cost them nothing, but not those of states of several axes, whose rows lie in shared
 * memory; tensor cores want 64 rows. In f32 a chunk of 64 fits, and pays,
 * where no gate is computed: decays are differences of running sums, which lose the digits that the sums have before the point, and scores
 * that decay per channel cost a chunk's square.
 */
export function cudaChunks(scan: Pick<ScanProgram, 'stages'> | undefined, dtype: IoDtype): readonly number[] {
  if (scan === undefined) return [64];
  const matrices = scan.stages.filter((stage) => stage.kind === 'matrix');
  // States of several axes have no room in registers.
  const several = scan.stages.some((stage) => stage.kind === 'element' && stage.axes.length > 1);
  if (matrices.length === 0) return several ? [32, 16] : [128];
  if (dtype !== 'f32') return [64];
  const gated = !matrices.every(({ gate }) => isSteady(gate));
  return gated ? [32, 16] : [64, 32, 16];
}

/**
 * Shared memory that the tiles of a chunk kernel may take, in bytes: what vectors, partial sums and gaps between tiles need is left out.
 */
export function tileMemory(target: CudaTarget): number {
  return sharedLimit(target) - 24 * 1024;
}

/** Kernels that had to do without tensor cores for want of shared memory. */
export function crowded(plan: Plan): number {
  return plan.kernels.filter(({ plainWhy }) => plainWhy?.endsWith(OF_MEMORY) === true).length;
}

/** Do tiles of some kernel lie in device memory for want of shared memory? */
export function overflows(plan: Plan, module: TileModule): boolean {
  const named = new Set(module.buffers.map((buffer) => buffer.name));
  return plan.tensors.some((tensor) => !named.has(tensor.name));
}
