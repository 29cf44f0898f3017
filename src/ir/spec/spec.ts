import type { Axis } from '../common/axes.js';
import type { DagNode } from '../common/dag.js';
import type { Range } from '../common/range.js';
import type { Span } from '../common/span.js';

/**
 * What one `scan` declaration means: one head at one time step, names resolved, axes checked. Still mathematics.
 * `outer`, `@`, `l2norm`, `softmax`, `clamp` and friends are already written out in `map` and `reduce` nodes,
 * so whoever reads a Spec handles nine kinds of node and nothing else.
 */
export interface Spec {
  readonly name: string;
  /** Text of the `///` comment, without the slashes. */
  readonly doc: string;
  /** `sequential` scans are run step by step and may be anything; others must be linear in their states. */
  readonly mode: 'chunked' | 'sequential';
  /** Every axis of the signature, states and params, in order of appearance. */
  readonly axes: readonly SpecAxis[];
  readonly inputs: readonly SpecInput[];
  readonly params: readonly SpecParam[];
  readonly states: readonly SpecState[];
  readonly outputs: readonly SpecOutput[];
  readonly nodes: readonly SpecNode[];
  /** Names that the text has for values, for whoever prints formulas. */
  readonly lets?: readonly { readonly name: string; readonly value: number }[];
  readonly origin: Span;
}

export interface SpecAxis {
  readonly name: Axis;
  /** From `with K = 64`; other sizes can be chosen when building. */
  readonly defaultSize: number | undefined;
}

/** One value per token: [B, T, H, ...axes], or [B, T, G, ...axes] when shared `per group`. */
export interface SpecInput {
  readonly name: string;
  readonly axes: readonly Axis[];
  readonly scope: 'head' | 'group';
  /** Said to be read in the dtype of a build; else what gates are computed from, and scalars, are f32. */
  readonly rounded: boolean;
  readonly range: Range;
  readonly origin: Span;
}

/** Trained, the same at every token: [H, ...axes]. */
export interface SpecParam {
  readonly name: string;
  readonly axes: readonly Axis[];
  readonly range: Range;
  readonly origin: Span;
}

/**
 * [N, H, ...axes] in f32. `next` is the node of the value after this step; `range` holds the initial value, and nothing is promised of
 * later ones.
 */
export interface SpecState {
  readonly name: string;
  readonly axes: readonly Axis[];
  readonly next: number;
  readonly range: Range;
  /** Made by the compiler for `x[t-1]` of an input. To users it is a state like others, which a call may leave out. */
  readonly hidden: boolean;
  readonly origin: Span;
}

/** [B, T, H, ...axes]. */
export interface SpecOutput {
  readonly name: string;
  readonly axes: readonly Axis[];
  readonly value: number;
  readonly origin: Span;
}

export type SpecNode =
  | DagNode
  | { readonly kind: 'input'; readonly input: number; readonly axes: readonly Axis[]; readonly origin: Span }
  | { readonly kind: 'param'; readonly param: number; readonly axes: readonly Axis[]; readonly origin: Span }
  /** The state before this step, `S[t-1]`. */
  | { readonly kind: 'prev'; readonly state: number; readonly axes: readonly Axis[]; readonly origin: Span };
