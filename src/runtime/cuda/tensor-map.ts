import { bytesOf } from '../../ir/common/dtype.js';
import type { PlanTensor } from '../../ir/plan/plan.js';
import { shapeOf, type Extents } from '../extents.js';

/** A tensor as a tiled map describes it (CUDA driver API, cuTensorMapEncodeTiled): innermost axis first. */
export interface MappedTensor {
  readonly dims: readonly number[];
  /** Bytes, of dims[1] and up. */
  readonly strides: readonly number[];
  /** Bytes of a row of the box, over which 16-byte pieces are exchanged: 0 is none. */
  readonly swizzle: 0 | 32 | 64 | 128;
}

/** `box` has a number per dimension; what is left of the tensor's axes joins the outermost. */
export function mappedTensor(tensor: PlanTensor, extents: Extents, box: readonly number[]): MappedTensor {
  const axes = [...shapeOf(tensor, extents)].reverse();
  const element = bytesOf(tensor.dtype);
  const product = (list: readonly number[]) => list.reduce((n, extent) => n * extent, 1);
  const dims = [...axes.slice(0, box.length - 1), product(axes.slice(box.length - 1))];
  const strides = dims.slice(0, -1).map((_, i) => element * product(dims.slice(0, i + 1)));
  const row = box[0] * element;
  return { dims, strides, swizzle: row === 128 || row === 64 || row === 32 ? row : 0 };
}
