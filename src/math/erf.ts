const TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI);
/** Below it the series needs few terms, above it the continued fraction does. */
const SPLIT = 2.5;

/** Error function, to about 1e-15. */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x;
  return Math.abs(x) < SPLIT ? series(x) : Math.sign(x) * (1 - fraction(Math.abs(x)));
}

/** 1 - erf(x) without cancellation for large x. */
export function erfc(x: number): number {
  return x < SPLIT ? 1 - erf(x) : fraction(x);
}

/** erf(x) = 2/sqrt(pi) e^{-x^2} sum_n 2^n x^{2n+1} / (2n+1)!!: all terms have one sign. DLMF 7.6.2. */
function series(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return TWO_OVER_SQRT_PI * Math.exp(-x * x) * sum;
}

/** erfc(x) = e^{-x^2}/sqrt(pi) / (x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ...)))) for x > 0, from the inside out. DLMF 7.9.1. */
function fraction(x: number): number {
  if (x > 27.3) return 0;
  let tail = x;
  for (let n = 60; n > 0; n--) tail = x + n / 2 / tail;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * tail);
}
