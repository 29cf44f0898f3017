import type { MIXTURES } from '../flow/mixtures.js';

interface Extreme {
  readonly what: string;
  readonly one: typeof MIXTURES[number];
  readonly lengths: readonly number[];
  /** All tokens are the same, and go to the same experts. */
  readonly same?: true;
}

const mixtral = (E: number, k: number): Extreme['one'] => ['softmax', 'mixtral', { D: 4, E, F: 3, k }];

/** Calls at the ends of what a mixture may have. */
export const EXTREMES: readonly Extreme[] = [
  { what: '512 experts, ten of them a token', one: mixtral(512, 10), lengths: [3] },
  { what: '32 of 64 experts a token', one: mixtral(64, 32), lengths: [3, 0, 2] },
  { what: 'all tokens at one of two experts', one: mixtral(2, 1), lengths: [9, 4], same: true },
  { what: 'every token at both experts', one: mixtral(2, 2), lengths: [5] },
  { what: 'one token', one: mixtral(8, 2), lengths: [1] },
  { what: 'many short sequences', one: mixtral(3, 1), lengths: [1, 1, 0, 2, 1, 0, 0, 3, 1, 1] },
  { what: 'experts in groups', one: ['groups', 'deepseek_v2', { D: 4, F: 3, S: 2, G: 3, M: 4, k: 3, keep: 2 }], lengths: [7, 2] },
];
