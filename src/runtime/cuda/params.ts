import type { PlanArg, PlanKernel } from '../../ir/plan/plan.js';
import { elementCount } from '../arrays.js';
import type { Extents } from '../extents.js';
import { slotOf, type SizedProgram, type Slot } from '../programs.js';
import { RuntimeError } from '../runtime.js';
import type { NativeCuda } from './addon.js';
import type { Tables } from '../call.js';
import { expectOk, type CudaTensor } from './memory.js';
import { mappedTensor } from './tensor-map.js';

/** The parameters of one launch at given sizes; only what tells where tensors lie changes from call to call. */
export interface LaunchParams {
  readonly bytes: Uint8Array;
  /** Where parameter i starts. */
  readonly offsets: Uint32Array;
  /** Writes where the tensors of a call lie, one for each slot. */
  place(tensors: readonly CudaTensor[]): void;
}

const TENSOR_MAP_BYTES = 128;
/** Descriptions of a tensor at earlier addresses: results often come back to them. */
const REMEMBERED_MAPS = 16;

/** By domain: the numbers that kernels over it take. */
type Dims = SizedProgram['dims'];

function sizeOf(arg: PlanArg, dims: Dims): { readonly bytes: number; readonly align: number } {
  switch (arg.kind) {
    case 'tensor': case 'arena': case 'table': return { bytes: 8, align: 8 };
    case 'dims': return { bytes: 4 * dims[arg.domain].length, align: 4 };
    case 'strides': return { bytes: 8, align: 4 };
    case 'tensorMap': return { bytes: TENSOR_MAP_BYTES, align: 64 };
  }
}

/** Lays the arguments of a kernel out as the CUDA ABI does: each on its natural boundary, in the order of the plan. */
export function layoutParams(args: readonly PlanArg[], dims: Dims): { readonly offsets: Uint32Array; readonly total: number } {
  const offsets = new Uint32Array(args.length);
  let total = 0;
  args.forEach((arg, i) => {
    const { bytes, align } = sizeOf(arg, dims);
    total = Math.ceil(total / align) * align;
    offsets[i] = total;
    total += bytes;
  });
  return { offsets, total };
}

/** Packs what is the same in every call: tables and sizes. `place` adds pointers and tensor maps. */
export function launchParams(native: NativeCuda, kernel: PlanKernel, sized: SizedProgram, tables: Tables<CudaTensor>): LaunchParams {
  const { offsets, total } = layoutParams(kernel.args, sized.dims);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  const pointer = (at: number, { address }: CudaTensor): void => {
    view.setUint32(at, address % 2 ** 32, true);
    view.setUint32(at + 4, address / 2 ** 32, true);
  };
  const moving: { readonly slot: number; readonly move: (tensor: CudaTensor) => void; address: number }[] = [];
  const follow = (name: string, move: (tensor: CudaTensor) => void): void => {
    moving.push({ slot: slotOf(sized, kernel, name), move, address: -1 });
  };
  kernel.args.forEach((arg, i) => {
    const at = offsets[i];
    switch (arg.kind) {
      case 'tensor': follow(arg.tensor, (tensor) => pointer(at, tensor)); break;
      case 'table': pointer(at, tables[arg.table]); break;
      case 'dims': sized.dims[arg.domain].forEach((value, k) => view.setInt32(at + 4 * k, value, true)); break;
      case 'strides': {
        // What reaches this runtime lies without gaps.
        const { shape, declared } = sized.slots[slotOf(sized, kernel, arg.tensor)];
        view.setInt32(at, elementCount(shape.slice(1)), true);
        view.setInt32(at + 4, elementCount(shape.slice(shape.length - declared.axes.length)), true);
        break;
      }
      case 'tensorMap': {
        const describe = tensorMaps(native, sized.slots[slotOf(sized, kernel, arg.tensor)], sized.extents, arg.box);
        follow(arg.tensor, (tensor) => bytes.set(describe(tensor), at));
        break;
      }
      case 'arena': throw new RuntimeError(
        `${kernel.name} wants an arena, which CUDA plans do not have`, 'this plan was made for WebGPU: build it for CUDA',
      );
      default: arg satisfies never;
    }
  });
  return {
    bytes,
    offsets,
    place(tensors) {
      for (const entry of moving) {
        const tensor = tensors[entry.slot];
        if (tensor.address === entry.address) continue;
        entry.move(tensor);
        entry.address = tensor.address;
      }
    },
  };
}

/** CUtensorMapDataType. */
const MAP_TYPE = { i32: 3, f16: 6, f32: 7, bf16: 9 } as const;
/** CUtensorMapSwizzle, by bytes. */
const MAP_SWIZZLE = { 0: 0, 32: 1, 64: 2, 128: 3 } as const;

/** Describes a tensor to the copy engine, wherever it lies. */
function tensorMaps(native: NativeCuda, { declared }: Slot, extents: Extents, box: readonly number[]): (tensor: CudaTensor) => Uint8Array {
  const { dims, strides, swizzle } = mappedTensor(declared, extents, box);
  const known = new Map<number, Uint8Array>();
  return (tensor) => {
    // The driver describes nothing empty; no block will ask for a copy of it.
    if (dims.includes(0)) return new Uint8Array(TENSOR_MAP_BYTES);
    const found = known.get(tensor.address);
    if (found !== undefined) return found;
    const made = expectOk(
      native.tensorMap({
        buffer: tensor.buffer, offset: 0, type: MAP_TYPE[tensor.dtype], dims, strides, box, swizzle: MAP_SWIZZLE[swizzle],
      }),
      `describing ${declared.name} to the copy engine`,
    );
    if (known.size >= REMEMBERED_MAPS) known.clear();
    known.set(tensor.address, made);
    return made;
  };
}
