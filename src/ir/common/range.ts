/**
 * Interval known to hold a value. `in lo..hi` is stored as written: both ends belong to it, and an infinite end says that nothing bounds
 * that side. Passes may rely on it (a decay in 0..1 has a logarithm); kernels do not check it.
 */
export interface Range {
  readonly lo: number;
  readonly hi: number;
}

export const ANY: Range = { lo: -Infinity, hi: Infinity };

/** Does the range leave everything open? */
export function isAny({ lo, hi }: Range): boolean {
  return lo === -Infinity && hi === Infinity;
}
