import type { ElementType, HostArray } from './runtime.js';

/** Elements of a tensor. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((n, extent) => n * extent, 1);
}

/** A typed array of the right kind for a dtype. */
export function newHostArray(dtype: ElementType, count: number): HostArray {
  switch (dtype) {
    case 'f32': return new Float32Array(count);
    case 'i32': return new Int32Array(count);
    case 'f16': case 'bf16': return new Uint16Array(count);
  }
}
