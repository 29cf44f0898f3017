/** Seeded numbers: the same seed gives the same numbers everywhere. */
export interface RandomSource {
  /** 0 <= x < 1, in steps of 2^-32. */
  uniform(): number;
  /** Of mean 0 and variance 1. */
  normal(): number;
  /** An integer from 0 to below `count`. */
  below(count: number): number;
}

/** `name` makes independent sources of one seed. The generator is mulberry32, normal numbers are Box and Muller's. */
export function randomSource(seed: number, name = ''): RandomSource {
  let state = Math.imul(seed | 0, 0x9e3779b1);
  for (const letter of name) state = Math.imul(state ^ (letter.codePointAt(0) ?? 0), 0x01000193) + 0x6d2b79f5;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    uniform,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    below: (count) => Math.floor(uniform() * count),
  };
}
