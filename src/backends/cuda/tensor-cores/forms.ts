import { COL, ROW, type Axis } from '../../../ir/common/axes.js';
import type { Piece } from '../instructions/pieces.js';

/** 16-bit operand tile: memory rows are `rows`, columns `cols`. */
export interface Tile16 {
  readonly piece: Piece;
  readonly address: string;
  readonly rows: Axis;
  readonly cols: Axis;
  /** f16: where the largest |value| of every warp lies, if the tile holds values scaled by it (templates/cuda/rt/fit.cuh). */
  readonly most?: Vec;
}

/** f32 array [64][stride]. */
export interface Tile32 {
  readonly piece: Piece;
  readonly pointer: string;
  readonly rows: Axis;
  readonly cols: Axis;
  readonly stride: number;
}

export interface Frag {
  readonly name: string;
  readonly row: Axis;
  readonly col: Axis;
  /** From shared memory, where the values still lie. */
  readonly read?: boolean;
}

/** A fragment in 16 bits, in registers, as the left operand of a product. */
export interface Pack {
  readonly name: string;
  readonly row: Axis;
  readonly steps: number;
}

export interface Vec {
  readonly piece: Piece;
  readonly pointer: string;
}

/** A tensor cell read in place: element (row, col) at pointer + row * rowStride + col * colStride. */
export interface Far {
  readonly pointer: string;
  readonly rows: Axis;
  readonly cols: Axis;
  readonly rowStride: string;
  readonly colStride: string;
  /** Rows and columns that exist; others read 0. */
  readonly limit: string;
  readonly skip: string | undefined;
  readonly width: string;
}

/** A vector of `n` elements, one in a variable of each thread. */
export interface Own {
  readonly name: string;
  readonly axis: Axis;
  readonly n: number;
}

/** Everywhere the values of one tile are. */
export interface Forms {
  scalar?: string;
  vec?: Vec;
  /** Of a vector: the register in which thread i < `n` has element i. */
  own?: Own;
  frags: Frag[];
  /** As left operands of products, kept for the next one. */
  packs?: Pack[];
  t16?: Tile16;
  t32?: Tile32;
  far?: Far;
}

/** Text of factors that bring scaled operands back. */
export const timesText = (
  ...backs : readonly (string | undefined)[]
) => backs.flatMap((back) => (back === undefined ? [] : [` * ${back}`])).join('');

/** Axes are laid out in multiples of 64. */
export const padded = (n: number) => Math.ceil(n / 64) * 64;

export const isToken = (axis: Axis) => axis === ROW || axis === COL;

/** The axis under its other name, if it counts tokens. */
export const turn = (axis: Axis): Axis => (axis === ROW ? COL : axis === COL ? ROW : axis);

/** Of an axis that products sum over block by block, so much at a time: what the swizzle of a tile is made for. */
export const STEP = 64;
