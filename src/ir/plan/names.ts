import type { Extent } from './plan.js';

/**
 * Of layers and mixtures, whose params have paths and whose tensors may lie in several ways: what a host puts into the tensors that
 * programs take, and what it makes of those that they give, by the names of the file contract.
 */
export interface PlanNames {
  /** On several ranks sums and choices over ranks would be of one of them: whoever runs it there exchanges nothing. */
  readonly alone: boolean;
  /** Where sequences begin and end is nothing to its kernels: a host may run all tokens of a call as one. */
  readonly joins: boolean;
  /** Of all that programs take. */
  readonly given: Readonly<Record<string, PlanSource>>;
  /** By program: outputs, `loss.PATH`, `count.PATH`, `take.NAME` (what updates take of a call); gradients `d_NAME`. */
  readonly results: Readonly<Record<string, Readonly<Record<string, PlanResult>>>>;
  /** What `forward` found wrong, for hosts that ask. */
  readonly checks: readonly PlanCheck[];
}

export type PlanSource =
  /**
   * What the user calls so: an input, a param by its path, a cotangent `d_NAME`. Whatever the tensor has as rows, the memory is the same.
   */
  | { readonly kind: 'user'; readonly name: string } & PlanShape
  /** What the program before left in this tensor. */
  | { readonly kind: 'kept'; readonly tensor: string }
  /** What draws know a token by: its position and the number of its sequence. */
  | { readonly kind: 'number'; readonly of: 'position' | 'sequence' }
  /** The key of draws, which depends on the seed and on the step: halves of two words, the lower ones first. */
  | { readonly kind: 'key'; readonly path: string; readonly number: number };

/** As users see it: `tokens` are [B, T], or [B] where each sequence is a token. The names of the axes after those. */
export interface PlanShape {
  readonly shape: readonly Extent[];
  readonly axes: readonly string[];
}

/** Where a choice had scores that are no numbers: not 0, of each token or once. It takes them for the largest. */
export interface PlanCheck {
  /** What it chooses along, as `top[E]`. */
  readonly choice: string;
  readonly tensor: string;
}

/** The sum of some tensors; zeros where there is none. */
export interface PlanResult extends PlanShape {
  readonly tensors: readonly string[];
}
