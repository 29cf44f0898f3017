import type { IoDtype } from '../ir/common/dtype.js';

/** What a tensor is, as far as its allowed error goes. */
export type ErrorClass = 'output' | 'final' | 'gradient' | 'gate-gradient';

/**
 * Largest allowed rms(difference) / rms(oracle). The 16-bit columns are FLA's acceptance thresholds (docs/algorithms.md: tolerances), the
 * widest of its table for each class, since a spec says nothing of which family it belongs to: outputs and states 0.005 (0.006 with the
 * delta rule), gradients 0.008, gradients of gates and of what feeds them 0.02. Change this table in a commit of its own.
 */
const TABLE: Readonly<Record<IoDtype | 'f64', Readonly<Record<ErrorClass, number>>>> = {
  f64: { output: 1e-10, final: 1e-10, gradient: 1e-10, 'gate-gradient': 1e-10 },
  f32: { output: 1e-4, final: 1e-4, gradient: 1e-4, 'gate-gradient': 1e-4 },
  f16: { output: 0.006, final: 0.006, gradient: 0.008, 'gate-gradient': 0.02 },
  bf16: { output: 0.006, final: 0.006, gradient: 0.008, 'gate-gradient': 0.02 },
};

/** An error below this passes whatever its ratio: FLA passes max |x - ref| <= 1e-6 outright. */
export const NEGLIGIBLE = 1e-6;

/** The allowed relative rms error. `f64` is for the oracle itself and for interpreters. */
export function tolerance(dtype: IoDtype | 'f64', kind: ErrorClass): number {
  return TABLE[dtype][kind];
}
