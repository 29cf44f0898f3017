import { bytesOf } from '../../ir/common/dtype.js';
import { elementCount } from '../arrays.js';
import { checkArray } from '../call.js';
import type { Recycler } from '../recycler.js';
import type { DeviceTensor, ElementType, HostArray } from '../runtime.js';
import { RuntimeError } from '../runtime.js';
import type { BufferHandle, CudaFailure, CudaResult, NativeCuda } from './addon.js';

/** A tensor in CUDA memory. */
export interface CudaTensor extends DeviceTensor {
  readonly kind: 'cuda';
  readonly buffer: BufferHandle;
  readonly bytes: number;
  readonly released: boolean;
  /** Keeps the memory from others until the function that it gives is called, though the tensor be released before. */
  hold(): () => void;
  /** Device address. */
  readonly address: number;
  /** The same for other libraries. */
  readonly pointer: bigint;
}

/** The value, or a RuntimeError in the driver's words with a remedy. */
export function expectOk<T>(result: CudaResult<T>, doing: string): T {
  if (result.ok) return result.value;
  throw new RuntimeError(`${doing}: ${failureText(result)}`, remedyOf(result));
}

function failureText(failure: CudaFailure): string {
  const size = failure.bytes === undefined
    ? ''
    : ` (${megabytes(failure.bytes)} wanted${failure.freeBytes === undefined ? '' : `, ${megabytes(failure.freeBytes)} free`})`;
  const log = failure.log === undefined || failure.log === '' ? '' : `\n${failure.log}`;
  return `${failure.call}: ${failure.error}${failure.message === '' ? '' : `, ${failure.message}`}${size}${log}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function remedyOf(failure: CudaFailure): string {
  switch (failure.error) {
    case 'CUDA_ERROR_OUT_OF_MEMORY': return 'release tensors that are no longer needed, or make the batch smaller';
    case 'CUDA_ERROR_NO_BINARY_FOR_GPU': return 'build for this GPU: sm_80 code runs on 8.x, sm_90a code on 9.0 only';
    case 'CUDA_ERROR_UNSUPPORTED_PTX_VERSION': return 'update the NVIDIA driver, or build with an older CUDA toolkit';
    case 'NO_TENSOR_MAPS': return 'update the NVIDIA driver (12.0 or later), or build for cuda.sm80';
    case 'NO_DRIVER': return 'install an NVIDIA driver, or use another backend';
    case 'NO_NVRTC':
      return 'install the CUDA toolkit or the Python package nvidia-cuda-nvrtc, or build with nvcc so that cubins lie beside the plan';
    case 'NVRTC_ERROR_COMPILATION': return 'this is an error in lmoec: please report the file and the log';
    default: return 'run `lmoec doctor` to see the state of the device';
  }
}

/** Bytes of a typed array, without copying. */
export function bytesOfArray(data: HostArray): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** A piece of device memory and where it lies. */
export interface CudaMemory {
  readonly buffer: BufferHandle;
  readonly address: number;
}

function take(native: NativeCuda, bytes: number): CudaMemory {
  const buffer = expectOk(native.alloc(bytes), 'allocating device memory');
  return { buffer, address: native.address(buffer) };
}

export function allocate(native: NativeCuda, dtype: ElementType, shape: readonly number[]): CudaTensor {
  const bytes = elementCount(shape) * bytesOf(dtype);
  const memory = take(native, bytes);
  return tensorOf(native, memory, dtype, shape, bytes, () => native.free(memory.buffer));
}

/** A tensor in memory that was released before, or in new memory. */
export function recycle(native: NativeCuda, recycler: Recycler<CudaMemory>, dtype: ElementType, shape: readonly number[]): CudaTensor {
  const bytes = elementCount(shape) * bytesOf(dtype);
  const memory = recycler.take(bytes, () => take(native, bytes));
  return tensorOf(native, memory, dtype, shape, bytes, () => recycler.back(bytes, memory));
}

function tensorOf(
  native: NativeCuda, { buffer, address }: CudaMemory, dtype: ElementType, shape: readonly number[], bytes: number, drop: () => void,
): CudaTensor {
  let released = false;
  let holds = 0;
  return {
    kind: 'cuda',
    dtype,
    shape: [...shape],
    buffer,
    bytes,
    get released() {
      return released;
    },
    address,
    get pointer() {
      return native.pointer(buffer);
    },
    release() {
      if (released) return;
      released = true;
      if (holds === 0) drop();
    },
    hold() {
      holds++;
      return () => {
        if (--holds === 0 && released) drop();
      };
    },
  };
}

/** Takes memory that another library allocated; it must outlive the tensor. */
export function borrow(native: NativeCuda, pointer: bigint, dtype: ElementType, shape: readonly number[]): CudaTensor {
  const bytes = elementCount(shape) * bytesOf(dtype);
  const buffer = expectOk(native.borrow(pointer, bytes), 'borrowing device memory');
  return tensorOf(native, { buffer, address: native.address(buffer) }, dtype, shape, bytes, () => native.free(buffer));
}

export function upload(native: NativeCuda, tensor: CudaTensor, data: HostArray, name: string): void {
  checkArray(tensor.dtype, tensor.shape, data, name);
  expectOk(native.upload(tensor.buffer, 0, bytesOfArray(data)), `uploading ${name}`);
}

export function isCudaTensor(value: DeviceTensor | HostArray): value is CudaTensor {
  return 'kind' in value && value.kind === 'cuda';
}
