import type { Plan, PlanArg, PlanKernel, PlanTensor } from '../../ir/plan/plan.js';
import { shapeOf, type Extents } from '../extents.js';
import { RuntimeError } from '../runtime.js';
import type { NativeCuda } from './addon.js';
import { expectOk, type CudaTensor } from './memory.js';
import { mappedTensor } from './tensor-map.js';

export interface PackedParams {
  readonly bytes: Uint8Array;
  /** Where parameter i starts. */
  readonly offsets: Uint32Array;
}

/** What the arguments of a launch can name. */
export interface Bound {
  readonly tensors: ReadonlyMap<string, CudaTensor>;
  readonly sequences: CudaTensor;
  readonly segments: CudaTensor;
  readonly chunks: CudaTensor;
  readonly extents: Extents;
}

const TENSOR_MAP_BYTES = 128;
type TensorMapArg = Extract<PlanArg, { kind: 'tensorMap' }>;

function sizeOf(arg: PlanArg): { readonly bytes: number; readonly align: number } {
  switch (arg.kind) {
    case 'tensor': case 'arena': case 'sequences': case 'segments': case 'chunks': return { bytes: 8, align: 8 };
    case 'dims': return { bytes: 24, align: 4 };
    case 'strides': return { bytes: 8, align: 4 };
    case 'tensorMap': return { bytes: TENSOR_MAP_BYTES, align: 64 };
  }
}

/** Lays the arguments of a kernel out as the CUDA ABI does: each on its natural boundary, in the order of the plan. */
export function layoutParams(args: readonly PlanArg[]): { readonly offsets: Uint32Array; readonly total: number } {
  const offsets = new Uint32Array(args.length);
  let total = 0;
  args.forEach((arg, i) => {
    const { bytes, align } = sizeOf(arg);
    total = Math.ceil(total / align) * align;
    offsets[i] = total;
    total += bytes;
  });
  return { offsets, total };
}

/** Packs pointers, tables, the by-value sizes and tensor maps. */
export function packParams(native: NativeCuda, plan: Plan, kernel: PlanKernel, bound: Bound): PackedParams {
  const { offsets, total } = layoutParams(kernel.args);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  const tensor = (name: string): CudaTensor => {
    const found = bound.tensors.get(name);
    if (found === undefined) throw new RuntimeError(
      `${kernel.name} needs the tensor ${name}, which no one gave or made`, 'this plan is inconsistent: build it again',
    );
    return found;
  };
  kernel.args.forEach((arg, i) => {
    const at = offsets[i];
    switch (arg.kind) {
      case 'tensor': view.setBigUint64(at, tensor(arg.tensor).pointer, true); break;
      case 'sequences': view.setBigUint64(at, bound.sequences.pointer, true); break;
      case 'segments': view.setBigUint64(at, bound.segments.pointer, true); break;
      case 'chunks': view.setBigUint64(at, bound.chunks.pointer, true); break;
      case 'dims': {
        const { tokens, heads, groups, sequences, chunks, segments } = bound.extents;
        [tokens, heads, groups, sequences, chunks, segments].forEach((value, k) => view.setInt32(at + 4 * k, value, true));
        break;
      }
      case 'strides': {
        // What reaches this runtime lies without gaps.
        const [, inner, ...rest] = shapeOf(planTensor(plan, arg.tensor), bound.extents);
        const cell = rest.reduce((n, extent) => n * extent, 1);
        view.setInt32(at, inner * cell, true);
        view.setInt32(at + 4, cell, true);
        break;
      }
      case 'tensorMap': bytes.set(tensorMapBytes(native, plan, tensor(arg.tensor), arg, bound.extents), at); break;
      case 'arena': throw new RuntimeError(
        `${kernel.name} wants an arena, which CUDA plans do not have`, 'this plan was made for WebGPU: build it for CUDA',
      );
      default: arg satisfies never;
    }
  });
  return { bytes, offsets };
}

function planTensor(plan: Plan, name: string): PlanTensor {
  const found = plan.tensors.find((tensor) => tensor.name === name);
  if (found === undefined) throw new RuntimeError(
    `the plan of ${plan.scan} does not know ${name}`, 'this plan is inconsistent: build it again',
  );
  return found;
}

/** CUtensorMapDataType. */
const MAP_TYPE = { i32: 3, f16: 6, f32: 7, bf16: 9 } as const;
/** CUtensorMapSwizzle, by bytes. */
const MAP_SWIZZLE = { 0: 0, 32: 1, 64: 2, 128: 3 } as const;

function tensorMapBytes(
  native: NativeCuda, plan: Plan, tensor: CudaTensor, { tensor: name, box }: TensorMapArg, extents: Extents,
): Uint8Array {
  const { dims, strides, swizzle } = mappedTensor(planTensor(plan, name), extents, box);
  // The driver describes nothing empty; no block will ask for a copy of it.
  if (dims.includes(0)) return new Uint8Array(TENSOR_MAP_BYTES);
  return expectOk(
    native.tensorMap({ buffer: tensor.buffer, offset: 0, type: MAP_TYPE[tensor.dtype], dims, strides, box, swizzle: MAP_SWIZZLE[swizzle] }),
    `describing ${name} of ${plan.scan} to the copy engine`,
  );
}
