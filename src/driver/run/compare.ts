import type { IoDtype } from '../../ir/common/dtype.js';
import { NEGLIGIBLE, tolerance, type ErrorClass } from '../tolerance.js';

export interface Comparison {
  readonly name: string;
  readonly role: 'output' | 'final' | 'gradient' | 'step';
  /** rms(difference) / rms(expected); Infinity if a value is not finite where it should be, or the shapes differ. */
  readonly error: number;
  readonly maxDifference: number;
  readonly allowed: number;
  readonly passed: boolean;
  /** Of what did not pass in 16 bits: what becomes of the oracle's result when its inputs are rounded once more (conditioning.ts). */
  readonly conditioning?: number;
}

/** rms(difference) / rms(expected), and the largest difference; Infinity if a value is not finite where it should be. */
export function distance(found: ArrayLike<number>, expected: ArrayLike<number>): { readonly error: number; readonly maxDifference: number } {
  let squares = 0;
  let reference = 0;
  let maxDifference = 0;
  for (let i = 0; i < expected.length; i++) {
    // Equal infinities differ by NaN; nothing else may.
    const raw = found[i] === expected[i] ? 0 : Math.abs(found[i] - expected[i]);
    const difference = Number.isNaN(raw) ? Infinity : raw;
    squares += difference * difference;
    if (Number.isFinite(expected[i])) reference += expected[i] * expected[i];
    maxDifference = Math.max(maxDifference, difference);
  }
  const ratio = squares === 0 ? 0 : Math.sqrt(squares) / Math.sqrt(reference);
  return { error: maxDifference === Infinity ? Infinity : ratio, maxDifference };
}

/** Compares one tensor with the oracle's. Differences below NEGLIGIBLE pass whatever their ratio (a gradient that is zero has no other measure). */
export function compare(name: string, role: Comparison['role'], kind: ErrorClass, dtype: IoDtype | 'f64', found: ArrayLike<number> | undefined, expected: ArrayLike<number>): Comparison {
  const allowed = tolerance(dtype, kind);
  if (found === undefined || found.length !== expected.length) return { name, role, error: Infinity, maxDifference: Infinity, allowed, passed: false };
  const { error, maxDifference } = distance(found, expected);
  const negligible = dtype !== 'f64' && maxDifference <= NEGLIGIBLE;
  return { name, role, error, maxDifference, allowed, passed: error <= allowed || negligible };
}
