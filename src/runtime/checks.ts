import type { PlanTensor } from '../ir/plan/plan.js';
import { shapeOf, type Extents } from './extents.js';
import type { DeviceTensor, ElementType, HostArray } from './runtime.js';

/** A typed array of the right kind for a dtype. */
export function newHostArray(dtype: ElementType, count: number): HostArray {
  switch (dtype) {
    case 'f32': return new Float32Array(count);
    case 'i32': return new Int32Array(count);
    case 'f16': case 'bf16': return new Uint16Array(count);
  }
}

/** What is wrong with a tensor given for `expected`, or nothing. */
export function tensorFault(expected: PlanTensor, given: DeviceTensor | HostArray, extents: Extents): string | undefined {
  const shape = shapeOf(expected, extents);
  const count = shape.reduce((n, size) => n * size, 1);
  if ('dtype' in given) {
    if (given.dtype !== expected.dtype) return `tensor ${expected.name} is ${given.dtype}, but this plan was built for ${expected.dtype}`;
    const found = given.shape.reduce((n, size) => n * size, 1);
    return found === count ? undefined : `tensor ${expected.name} has shape [${given.shape.join(', ')}]; expected [${shape.join(', ')}]`;
  }
  const wanted = newHostArray(expected.dtype, 0);
  if (given.constructor !== wanted.constructor) return `tensor ${expected.name} is a ${given.constructor.name}; ${expected.dtype} tensors are given as ${wanted.constructor.name}`;
  return given.length === count ? undefined : `tensor ${expected.name} has ${given.length} elements; expected ${count} as [${shape.join(', ')}]`;
}
