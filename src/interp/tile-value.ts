import type { Axis } from '../ir/common/axes.js';

/** A tile in float64: row-major over `axes`, whose sizes are `sizes`. */
export interface TileValue {
  readonly axes: readonly Axis[];
  readonly sizes: readonly number[];
  readonly data: Float64Array;
}

export function newValue(axes: readonly Axis[], sizeOf: (axis: Axis) => number): TileValue {
  const sizes = axes.map(sizeOf);
  return { axes, sizes, data: new Float64Array(sizes.reduce((n, size) => n * size, 1)) };
}

/** Distance between neighbours along `axis`; 0 if the value does not have it (a broadcast). */
export function strideOf(value: TileValue, axis: Axis): number {
  const at = value.axes.indexOf(axis);
  return at < 0 ? 0 : value.sizes.slice(at + 1).reduce((n, size) => n * size, 1);
}

export function stridesAlong(value: TileValue, axes: readonly Axis[]): readonly number[] {
  return axes.map((axis) => strideOf(value, axis));
}

/** Visits every cell of a box in row-major order with one running offset per list of strides. `offsets` is reused between visits. */
export function visit(
  sizes: readonly number[], strides: readonly (readonly number[])[], cell: (offsets: readonly number[], index: number) => void,
): void {
  const offsets = strides.map(() => 0);
  const at = sizes.map(() => 0);
  const count = sizes.reduce((n, size) => n * size, 1);
  for (let index = 0; index < count; index++) {
    cell(offsets, index);
    for (let d = sizes.length - 1; d >= 0; d--) {
      at[d]++;
      for (let s = 0; s < strides.length; s++) offsets[s] += strides[s][d];
      if (at[d] < sizes[d]) break;
      at[d] = 0;
      for (let s = 0; s < strides.length; s++) offsets[s] -= strides[s][d] * sizes[d];
    }
  }
}
