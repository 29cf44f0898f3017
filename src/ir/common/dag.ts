import type { Axis } from './axes.js';
import type { Span } from './span.js';

/** Names of the scalar functions; `src/math` has one record for each. */
export type MathName =
  // arithmetic
  | 'neg' | 'add' | 'sub' | 'mul' | 'div' | 'pow'
  // the set of the language
  | 'exp' | 'log' | 'sigmoid' | 'log_sigmoid' | 'softplus' | 'tanh' | 'silu' | 'relu' | 'gelu'
  | 'sqrt' | 'abs' | 'min' | 'max' | 'expm1' | 'log1p' | 'sin' | 'cos'
  | 'erf' | 'normal_cdf' | 'sign' | 'floor' | 'ceil' | 'round'
  // needed by derivatives only
  | 'less' | 'chain'
  // needed by checks only
  | 'nan';

/**
 * Nodes that Spec and the pointwise stages of Scan share. A value has named axes; `map` broadcasts by name.
 * `args` are indices of earlier nodes of the same list (the list is in topological order).
 */
export type DagNode =
  | { readonly kind: 'literal'; readonly value: number; readonly axes: readonly []; readonly origin: Span }
  /** The size of an axis, as a number. */
  | { readonly kind: 'size'; readonly axis: Axis; readonly axes: readonly []; readonly origin: Span }
  /** Index of the (value) head, from 0. */
  | { readonly kind: 'head'; readonly axes: readonly []; readonly origin: Span }
  /** Number of (value) heads, H. */
  | { readonly kind: 'heads'; readonly axes: readonly []; readonly origin: Span }
  /** Elementwise; axes are the union of the arguments' axes. */
  | { readonly kind: 'map'; readonly fn: MathName; readonly args: readonly number[]; readonly axes: readonly Axis[]; readonly origin: Span }
  /** Folds one axis away. `mean` is written as sum / size. */
  | {
    readonly kind: 'reduce'; readonly op: 'sum' | 'max' | 'min'; readonly axis: Axis; readonly arg: number;
    readonly axes: readonly Axis[]; readonly origin: Span;
  };
