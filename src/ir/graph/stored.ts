import type { Span } from '../common/span.js';
import type { PathParam } from './paths.js';

/**
 * How the params of a graph lie in the tensors of one family of checkpoints. Every param is in exactly one place, and every element of a
 * tensor comes from one param.
 */
export interface NameMap {
  readonly params: readonly PathParam[];
  readonly tensors: readonly StoredTensor[];
  /** Tensors that nobody reads; `*` stands for any text. */
  readonly ignored: readonly string[];
}

export interface StoredTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly pieces: readonly Piece[];
  /** The entry that names it. */
  readonly origin: Span;
}

/**
 * Elements of one param in one stored tensor. Both are counted row by row: element `i` of `axes` is `from + Σ i native` of the param and
 * `at + Σ i stored` of the tensor.
 */
export interface Piece {
  /** Place in `NameMap.params`. */
  readonly param: number;
  readonly from: number;
  readonly at: number;
  /** In the order of the param. */
  readonly axes: readonly PieceAxis[];
}

export interface PieceAxis {
  readonly size: number;
  readonly native: number;
  readonly stored: number;
}
