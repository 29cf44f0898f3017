import type { Plan } from './plan.js';

/**
 * Forward that leaves what backward would make again, besides its results; and backward that takes it, without the kernels that make it.
 */
export const KEPT = { forward: 'forward_kept', backward: 'backward_kept' } as const;

/** Does the plan have both? */
export function hasKept({ programs }: Plan): boolean {
  return KEPT.forward in programs && KEPT.backward in programs;
}
