import { bytesOf } from '../../ir/common/dtype.js';
import { elementCount, newHostArray } from '../arrays.js';
import { checkArray } from '../call.js';
import type { Recycler } from '../recycler.js';
import { LimitError, type DeviceTensor, type ElementType, type HostArray } from '../runtime.js';

/** A tensor in a WebGPU buffer of its own, a whole number of words long. */
export interface WebGpuTensor extends DeviceTensor {
  readonly kind: 'webgpu';
  readonly device: GPUDevice;
  readonly buffer: GPUBuffer;
  readonly bytes: number;
  readonly released: boolean;
}

// GPUBufferUsage and GPUMapMode are globals of browsers only.
const MAP_READ = 0x1;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const UNIFORM = 0x40;
const STORAGE = 0x80;
const MODE_READ = 0x1;

/** Bytes of a tensor's buffer: copies and writes go by words, and kernels may see vectors of four numbers. */
const padded = (bytes: number) => Math.max(16, Math.ceil(bytes / 4) * 4);

export function allocate(device: GPUDevice, dtype: ElementType, shape: readonly number[], name: string): WebGpuTensor {
  const bytes = padded(elementCount(shape) * bytesOf(dtype));
  const limit = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
  if (bytes > limit) {
    throw new LimitError(
      `${name} [${shape.join(', ')}] takes ${megabytes(bytes)}; this adapter binds ${megabytes(limit)} at most`,
      'split the call: fewer heads, fewer sequences, or fewer tokens; params want an adapter that binds more, or --backend cuda',
    );
  }
  const buffer = device.createBuffer({ label: name, size: bytes, usage: STORAGE | COPY_SRC | COPY_DST });
  return tensorIn(device, buffer, dtype, shape, bytes, () => buffer.destroy());
}

function tensorIn(
  device: GPUDevice, buffer: GPUBuffer, dtype: ElementType, shape: readonly number[], bytes: number, drop: () => void,
): WebGpuTensor {
  let released = false;
  return {
    kind: 'webgpu',
    dtype,
    shape: [...shape],
    device,
    buffer,
    bytes,
    get released() {
      return released;
    },
    release() {
      if (released) return;
      released = true;
      drop();
    },
  };
}

/** A tensor in memory that was released before, or new one. */
export function recycle(device: GPUDevice, recycler: Recycler<GPUBuffer>, dtype: ElementType, shape: readonly number[]): WebGpuTensor {
  const bytes = padded(elementCount(shape) * bytesOf(dtype));
  const buffer = recycler.take(bytes, () => allocate(device, dtype, shape, 'a tensor').buffer);
  return tensorIn(device, buffer, dtype, shape, bytes, () => recycler.back(bytes, buffer));
}

export function uniform(device: GPUDevice, values: Uint32Array): GPUBuffer {
  const buffer = device.createBuffer({ label: 'dims', size: Math.ceil(values.byteLength / 16) * 16, usage: UNIFORM | COPY_DST });
  device.queue.writeBuffer(buffer, 0, words(values));
  return buffer;
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** The bytes of an array, and zeros up to a whole word. */
function words(data: HostArray | Uint32Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(padded(data.byteLength));
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return bytes;
}

export function upload(tensor: WebGpuTensor, data: HostArray, name: string): void {
  checkArray(tensor.dtype, tensor.shape, data, name);
  if (data.byteLength > 0) tensor.device.queue.writeBuffer(tensor.buffer, 0, words(data));
}

export async function download(tensor: WebGpuTensor): Promise<HostArray> {
  const { device } = tensor;
  const array = newHostArray(tensor.dtype, elementCount(tensor.shape));
  const staging = device.createBuffer({ label: 'download', size: tensor.bytes, usage: MAP_READ | COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(tensor.buffer, 0, staging, 0, tensor.bytes);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(MODE_READ);
  new Uint8Array(array.buffer).set(new Uint8Array(staging.getMappedRange(), 0, array.byteLength));
  staging.unmap();
  staging.destroy();
  return array;
}

export function isWebGpuTensor(value: DeviceTensor): value is WebGpuTensor {
  return 'kind' in value && value.kind === 'webgpu';
}
