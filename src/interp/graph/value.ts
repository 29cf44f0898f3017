import type { Axis } from '../../ir/graph/types.js';
import { offsetsOf } from '../offsets.js';
import { copyMap, type Frame, type Tokens } from './tokens.js';

/**
 * A value of a graph: `data` is [rows, ...axes], row by row. A copy of the frame reads the row of its number, or `rows[copy]` (`x[past]`
 * reads x where it is). Axes over the past are in the frame, not in `axes`.
 */
export interface Value {
  readonly frame: Frame;
  readonly axes: readonly Axis[];
  /** Elements of a row. */
  readonly cell: number;
  readonly data: Float64Array;
  readonly rows: Int32Array | undefined;
  /** Where it is present: where all of them hold. None: everywhere. */
  readonly masks: readonly Mask[];
  /** Does anything that has a gradient go in? */
  readonly varies: boolean;
  /** Whose cotangents its own are, from element `at` on: the value has been given another form only. */
  readonly root: { readonly value: Value; readonly at: number } | undefined;
}

/** `of` is 1 or 0, with axes that the value has. A pick of no index is left out of folds over tokens only. */
export interface Mask {
  readonly of: Value;
  readonly picked: boolean;
}

/** Adds up cotangents of a value in the form of its data. */
export type Into = (value: Value) => Float64Array;

export type Pull = (cotangent: Float64Array, into: Into) => void;

export interface Tape {
  push(out: Value, pull: Pull): void;
}

export function sizeOf(axes: readonly Axis[]): number {
  return axes.reduce((size, axis) => size * axis.size, 1);
}

export function hasAxis(axes: readonly Axis[], { name }: Axis): boolean {
  return axes.some((axis) => axis.name === name);
}

/** Those without the others, by name. */
export function without(axes: readonly Axis[], gone: readonly Axis[]): Axis[] {
  return axes.filter((axis) => !hasAxis(gone, axis));
}

/** In the order of first appearance. */
export function union(...lists: readonly (readonly Axis[])[]): Axis[] {
  const all: Axis[] = [];
  for (const list of lists) for (const axis of list) if (!hasAxis(all, axis)) all.push(axis);
  return all;
}

export function sameOrder(a: readonly Axis[], b: readonly Axis[]): boolean {
  return a.length === b.length && a.every((axis, i) => axis.name === b[i].name);
}

/** Distance between neighbours along each axis of `box` in a row of `axes`; 0 for those that it lacks. */
export function strides(box: readonly Axis[], axes: readonly Axis[]): number[] {
  return box.map((axis) => {
    const at = axes.findIndex(({ name }) => name === axis.name);
    return at < 0 ? 0 : sizeOf(axes.slice(at + 1));
  });
}

/** For every element of a row of `box`, the sum of its places times the steps of their axes. */
export function offsets(box: readonly Axis[], steps: readonly number[]): Int32Array {
  return offsetsOf(box.map(({ size }) => size), steps);
}

/** For every element of a row of `box`, the element of a row of `axes` that it reads. */
export function elementMap(box: readonly Axis[], axes: readonly Axis[]): Int32Array {
  return offsets(box, strides(box, axes));
}

/** The same; undefined: the element of the same number. */
function cellMap(box: readonly Axis[], axes: readonly Axis[]): Int32Array | undefined {
  return sameOrder(box, axes) ? undefined : elementMap(box, axes);
}

export interface Extra {
  readonly masks?: readonly Mask[];
  readonly varies?: boolean;
  readonly rows?: Int32Array;
  readonly root?: { readonly value: Value; readonly at: number };
}

export function makeValue(frame: Frame, axes: readonly Axis[], data: Float64Array, extra: Extra = {}): Value {
  const { masks = [], varies = false, rows, root } = extra;
  return { frame, axes, cell: sizeOf(axes), data, rows, masks, varies, root };
}

/** The same numbers and cotangents with something else about them. */
export function alias(value: Value, change: Partial<Value>): Value {
  return { ...value, root: value.varies ? { value, at: 0 } : undefined, ...change };
}

/** `size` elements of a value's data from `at` on, as a value of its own. */
export function sliceOf(frame: Frame, axes: readonly Axis[], value: Value, at: number, size: number): Value {
  const { varies } = value;
  return makeValue(frame, axes, value.data.subarray(at, at + size), { varies, root: varies ? { value, at } : undefined });
}

/** For every copy of a frame the row of the value's data; undefined: that of the same number. */
export function rowsIn(tokens: Tokens, value: Value, frame: Frame): Int32Array | undefined {
  const copies = copyMap(tokens, value.frame, frame);
  const { rows } = value;
  if (rows === undefined) return copies;
  return copies === undefined ? rows : copies.map((copy) => rows[copy]);
}

/** The value broadcast to a frame and axes: [copies, ...axes]. It may be the value's own data. */
export function spread(tokens: Tokens, value: Value, frame: Frame, axes: readonly Axis[]): Float64Array {
  const rows = rowsIn(tokens, value, frame);
  const cells = cellMap(axes, value.axes);
  const { data, cell } = value;
  if (rows === undefined && cells === undefined) return data;
  const width = sizeOf(axes);
  const out = new Float64Array(frame.copies * width);
  for (let copy = 0, to = 0; copy < frame.copies; copy++) {
    const from = (rows === undefined ? copy : rows[copy]) * cell;
    if (cells === undefined) {
      for (let i = 0; i < width; i++) out[to++] = data[from + i];
    } else {
      for (let i = 0; i < width; i++) out[to++] = data[from + cells[i]];
    }
  }
  return out;
}

/** Adds cotangents of the value as it was spread to those of the value itself. */
export function gatherInto(tokens: Tokens, value: Value, frame: Frame, axes: readonly Axis[], cotangent: Float64Array, into: Into): void {
  const rows = rowsIn(tokens, value, frame);
  const cells = cellMap(axes, value.axes);
  const to = into(value);
  const { cell } = value;
  const width = sizeOf(axes);
  for (let copy = 0, from = 0; copy < frame.copies; copy++) {
    const at = (rows === undefined ? copy : rows[copy]) * cell;
    if (cells === undefined) {
      for (let i = 0; i < width; i++) to[at + i] += cotangent[from++];
    } else {
      for (let i = 0; i < width; i++) to[at + cells[i]] += cotangent[from++];
    }
  }
}

export function joinMasks(...lists: readonly (readonly Mask[])[]): Mask[] {
  const all: Mask[] = [];
  for (const mask of lists.flat()) if (!all.some(({ of, picked }) => of === mask.of && picked === mask.picked)) all.push(mask);
  return all;
}

/** 1 where all masks hold, over a frame and axes; undefined: everywhere. Picks of no index count only where tokens are folded. */
export function presence(
  tokens: Tokens, masks: readonly Mask[], frame: Frame, axes: readonly Axis[], picks: boolean,
): Float64Array | undefined {
  const counted = masks.filter(({ picked }) => picks || !picked);
  if (counted.length === 0) return undefined;
  const [head, ...rest] = counted.map(({ of }) => spread(tokens, of, frame, axes));
  if (rest.length === 0) return head;
  const all = head.slice();
  for (const one of rest) for (let i = 0; i < all.length; i++) all[i] *= one[i];
  return all;
}
