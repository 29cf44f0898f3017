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
  /**
   * The first element whose meaning is no finite number, or none that f32 holds, if a device gave anything else there, or no numbers on
   * the way there: it is not the device that fails.
   */
  readonly meaningless?: number;
  /**
   * Of what did not pass (of scans, in 16 bits): what becomes of the oracle's result when its inputs are rounded once more
   * (conditioning.ts).
   */
  readonly conditioning?: number;
}

interface Distance {
  readonly error: number;
  readonly maxDifference: number;
  readonly meaningless?: number;
}

/**
 * rms(difference) / rms(expected), and the largest difference, where the expected values are finite; Infinity if a value is not finite
 * where it should be. `held`: what the format of the results makes of a number.
 */
export function distance(found: ArrayLike<number>, expected: ArrayLike<number>, held = (x: number): number => x): Distance {
  let squares = 0;
  let reference = 0;
  let maxDifference = 0;
  let meaningless: number | undefined;
  let beyond: number | undefined;
  for (let i = 0; i < expected.length; i++) {
    const wanted = held(expected[i]);
    if (!Number.isFinite(wanted)) {
      beyond ??= i;
      if (found[i] !== wanted) meaningless ??= i;
      continue;
    }
    const raw = Math.abs(found[i] - expected[i]);
    const difference = Number.isNaN(raw) ? Infinity : raw;
    squares += difference * difference;
    reference += expected[i] * expected[i];
    maxDifference = Math.max(maxDifference, difference);
  }
  // What a result is made of leaves f32 a little before it does.
  if (maxDifference === Infinity) meaningless ??= beyond;
  const ratio = squares === 0 ? 0 : Math.sqrt(squares) / Math.sqrt(reference);
  return { error: maxDifference === Infinity ? Infinity : ratio, maxDifference, ...(meaningless === undefined ? {} : { meaningless }) };
}

/**
 * Compares one tensor with the oracle's, which must be finite numbers, or infinities that were found. Differences below NEGLIGIBLE pass
 * whatever their ratio (a gradient that is zero has no other measure).
 */
export function compare(
  name: string, role: Comparison['role'], kind: ErrorClass, dtype: IoDtype | 'f64', found: ArrayLike<number> | undefined,
  expected: ArrayLike<number>,
): Comparison {
  const allowed = tolerance(dtype, kind);
  if (found === undefined || found.length !== expected.length) return {
    name, role, error: Infinity, maxDifference: Infinity, allowed, passed: false,
  };
  const measured = distance(found, expected, dtype === 'f64' ? undefined : Math.fround);
  const { error, maxDifference, meaningless } = measured;
  const negligible = dtype !== 'f64' && maxDifference <= NEGLIGIBLE;
  return { name, role, ...measured, allowed, passed: meaningless === undefined && (error <= allowed || negligible) };
}
