import { bytesOf } from '../../ir/common/dtype.js';
import type { Plan, PlanArg, PlanKernel, PlanTensor } from '../../ir/plan/plan.js';
import type { Extents } from '../extents.js';
import { RuntimeError } from '../runtime.js';
import type { NativeCuda } from './addon.js';
import { expectOk, type CudaTensor } from './memory.js';

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

function sizeOf(arg: PlanArg): { readonly bytes: number; readonly align: number } {
  switch (arg.kind) {
    case 'tensor': case 'arena': case 'sequences': case 'segments': case 'chunks': return { bytes: 8, align: 8 };
    case 'dims': return { bytes: 24, align: 4 };
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
    if (found === undefined) throw new RuntimeError(`${kernel.name} needs the tensor ${name}, which no one gave or made`, 'this plan is inconsistent: build it again');
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
      case 'tensorMap': bytes.set(tensorMapBytes(native, plan, tensor(arg.tensor), planTensor(plan, arg.tensor), arg.box), at); break;
      case 'arena': throw new RuntimeError(`${kernel.name} wants an arena, which CUDA plans do not have`, 'this plan was made for WebGPU: build it for CUDA');
      default: arg satisfies never;
    }
  });
  return { bytes, offsets };
}

function planTensor(plan: Plan, name: string): PlanTensor {
  const found = plan.tensors.find((tensor) => tensor.name === name);
  if (found === undefined) throw new RuntimeError(`the plan of ${plan.scan} does not know ${name}`, 'this plan is inconsistent: build it again');
  return found;
}

/** CUtensorMapDataType. */
const MAP_TYPE = { i32: 3, f16: 6, f32: 7, bf16: 9 } as const;

/**
 * A tensor [outer, inner, ...axes] as a tiled map, innermost axis first. `box` has one number per dimension, innermost first; dimensions of
 * the tensor beyond the box's rank are joined with the outermost. Swizzle: as many bytes as the box's rows have, at most 128.
 */
function tensorMapBytes(native: NativeCuda, plan: Plan, tensor: CudaTensor, declared: PlanTensor, box: readonly number[]): Uint8Array {
  const element = bytesOf(tensor.dtype);
  const inner = [...declared.shape.slice(declared.shape.length - declared.axes.length)].reverse();
  const outer = tensor.shape.slice(0, tensor.shape.length - declared.axes.length).reverse();
  const full = [...inner.map((extent) => (typeof extent === 'number' ? extent : 0)), ...outer];
  const kept = full.slice(0, box.length);
  // What the box does not name joins the outermost dimension.
  for (const extent of full.slice(box.length)) kept[kept.length - 1] *= extent;
  const strides = kept.slice(0, -1).reduce<number[]>((list, extent, i) => [...list, (i === 0 ? element : list[i - 1]) * extent], []);
  const row = box[0] * element;
  const swizzle = row === 128 ? 3 : row === 64 ? 2 : row === 32 ? 1 : 0;
  return expectOk(
    native.tensorMap({ buffer: tensor.buffer, offset: 0, type: MAP_TYPE[tensor.dtype], dims: kept, strides, box, swizzle }),
    `describing ${declared.name} of ${plan.scan} to the copy engine`,
  );
}
