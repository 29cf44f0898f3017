import { ANY, type Range } from '../ir/common/range.js';

/** Values of a function that never falls. */
export function rising(f: (x: number) => number): (x: Range) => Range {
  return ({ lo, hi }) => ({ lo: f(lo), hi: f(hi) });
}

/** x*x. */
export function squared({ lo, hi }: Range): Range {
  const ends = [lo * lo, hi * hi];
  return { lo: lo <= 0 && hi >= 0 ? 0 : Math.min(...ends), hi: Math.max(...ends) };
}

/** Values of a function that rises or falls in each argument, whatever the other is. */
export function hull(x: Range, y: Range, f: (a: number, b: number) => number): Range {
  const corners = [f(x.lo, y.lo), f(x.lo, y.hi), f(x.hi, y.lo), f(x.hi, y.hi)];
  return corners.some(Number.isNaN) ? ANY : { lo: Math.min(...corners), hi: Math.max(...corners) };
}

/** A product in the limit: 0 times anything is 0. */
export function product(x: Range, y: Range): Range {
  return hull(x, y, (a, b) => (a === 0 || b === 0 ? 0 : a * b));
}
