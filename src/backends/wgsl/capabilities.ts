import type { AxisSizes } from '../../ir/common/axes.js';

/** What a kernel may ask of an adapter. */
export interface WgslCapabilities {
  /** The feature shader-f16: 16-bit tensors are read and written as they are. Without it they are read as halves of u32 words. */
  readonly f16: boolean;
  readonly subgroups: boolean;
  /** maxComputeWorkgroupStorageSize */
  readonly workgroupBytes: number;
  /** maxComputeInvocationsPerWorkgroup */
  readonly invocations: number;
  /** maxStorageBuffersPerShaderStage */
  readonly storageBuffers: number;
}

/** What every WebGPU adapter has. */
export const DEFAULT_CAPABILITIES: WgslCapabilities = {
  f16: false, subgroups: false, workgroupBytes: 16384, invocations: 256, storageBuffers: 8,
};

/**
 * Tokens per chunk that a module should be lowered with: 32 where three tiles [C, D] and one [C, C] fit into workgroup memory, D being the
 * largest axis, else 16.
 */
export function chunkFor(sizes: AxisSizes, capabilities: WgslCapabilities = DEFAULT_CAPABILITIES): 16 | 32 {
  const widest = Math.max(1, ...sizes.values());
  return 4 * (3 * 32 * widest + 32 * 32) <= capabilities.workgroupBytes ? 32 : 16;
}
