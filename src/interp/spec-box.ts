import type { Axis, AxisSizes } from '../ir/common/axes.js';
import { elements } from '../ir/common/axes.js';
import { offsetsOf } from './offsets.js';

/**
 * How an instruction visits the cells of a box in row-major order: in runs of `length` cells, along which every operand moves by a
 * step of its own. An elementwise instruction is one run, an outer product one run a row.
 */
export interface Runs {
  readonly count: number;
  readonly length: number;
}

/** A value in the machine's memory as an instruction reads it: the first cell, how far from there each run begins, the step along it. */
export interface Operand {
  readonly at: number;
  readonly starts: Int32Array;
  readonly step: number;
}

/** Distance between neighbours along an axis of a row-major value; 0 if it does not have that axis (a broadcast). */
export function strideAlong(axes: readonly Axis[], axis: Axis, sizes: AxisSizes): number {
  const at = axes.indexOf(axis);
  return at < 0 ? 0 : elements(axes.slice(at + 1), sizes);
}

/** For every cell of a row-major box, the offset of the cell it names in a row-major value over `axes`. */
export function offsets(box: readonly Axis[], axes: readonly Axis[], sizes: AxisSizes): Int32Array {
  return offsetsOf(box.map((axis) => elements([axis], sizes)), box.map((axis) => strideAlong(axes, axis, sizes)));
}

/** The longest runs of a box that are runs of values over each of `values` too, and those values' places in them. */
export function layRuns(
  box: readonly Axis[], values: readonly (readonly Axis[])[], sizes: AxisSizes,
): { runs: Runs; places: readonly Omit<Operand, 'at'>[] } {
  const size = (axis: Axis): number => elements([axis], sizes);
  const wide = box.filter((axis) => size(axis) !== 1);
  let outer = Math.max(0, wide.length - 1);
  const along = (axes: readonly Axis[], d: number): number => (d < wide.length ? strideAlong(axes, wide[d], sizes) : 0);
  // Two neighbouring axes are one longer one where that holds in every value.
  while (outer > 0 && values.every((axes) => along(axes, outer - 1) === along(axes, outer) * size(wide[outer]))) outer--;
  const rows = wide.slice(0, outer);
  return {
    runs: { count: elements(rows, sizes), length: elements(wide.slice(outer), sizes) },
    places: values.map((axes) => ({ starts: offsets(rows, axes, sizes), step: along(axes, wide.length - 1) })),
  };
}
