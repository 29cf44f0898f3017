import type { Target } from '../../ir/plan/plan.js';

/** What nvcc's and NVRTC's --gpu-architecture say for a target; undefined where it is no CUDA target. */
export function realArchitecture(target: Target): 'sm_80' | 'sm_86' | 'sm_90a' | undefined {
  switch (target) {
    case 'cuda.sm80': return 'sm_80';
    case 'cuda.sm86': return 'sm_86';
    case 'cuda.sm90': return 'sm_90a';
    case 'webgpu': return undefined;
  }
}

/** The cubin that lies beside a source file. */
export function cubinName(file: string): string {
  return file.replace(/\.cu$/, '.cubin');
}

export function ptxName(file: string): string {
  return file.replace(/\.cu$/, '.ptx');
}
