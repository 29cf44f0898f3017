import type { GpuCase } from './gpu-mixtures.mjs';

/** How a program ended, what it printed, and what a tool wrote of it. */
export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly text: string;
}

export declare function sanitized(cases: readonly GpuCase[]): readonly GpuCase[];
export declare function verdict(ended: Ended): string;
