import { IO_DTYPES, type IoDtype } from '../ir/common/dtype.js';
import type { Plan, Target } from '../ir/plan/plan.js';

export const TARGETS = ['cuda.sm80', 'cuda.sm86', 'cuda.sm90', 'webgpu'] as const satisfies readonly Target[];

/** What `build` makes unasked: kernels for a data centre's GPUs, and those that run on every GPU. */
export const DEFAULT_TARGETS: readonly Target[] = ['cuda.sm80', 'cuda.sm90', 'webgpu'];

/** `webgpu.f32`: the folder of a variant, which bindings know (runtime/bindings.ts). */
export function variantFolder(plan: Pick<Plan, 'target' | 'dtype'>): string {
  return `${plan.target}.${plan.dtype}`;
}

/** bf16 on tensor cores; WebGPU computes in f32 whatever it reads. */
export function defaultDtype(target: Target): IoDtype {
  return target === 'webgpu' ? 'f32' : 'bf16';
}

export function isDtype(text: string): text is IoDtype {
  return IO_DTYPES.some((dtype) => dtype === text);
}
