import type { IoDtype } from '../ir/common/dtype.js';
import type { Extent, Plan, PlanTensor } from '../ir/plan/plan.js';

/** Elements as they lie in memory: bf16 and f16 as their 16 bits. */
export type HostArray = Float32Array | Uint16Array | Int32Array;
export type ElementType = IoDtype | 'i32';

/** A tensor in device memory, row-major, owned by whoever made it. */
export interface DeviceTensor {
  readonly dtype: ElementType;
  readonly shape: readonly number[];
  /** Gives the memory back; using the tensor afterwards is an error. A second call does nothing. */
  release(): void;
}

/** Head counts and sequences of one call. Sequences are [first token, number of tokens], in order, and cover the tokens. */
export interface CallDims {
  readonly heads: number;
  readonly groups: number;
  readonly sequences: readonly (readonly [start: number, length: number])[];
}

export type Program = 'forward' | 'backward' | 'step';

export interface CallOptions {
  /** Tensors to write into, by name; the others are made by the call. */
  readonly into?: Readonly<Record<string, DeviceTensor>>;
}

/** Tensors by their names in the plan. A typed array is copied to the device for this call only; a DeviceTensor is used where it lies. */
export type CallTensors = Readonly<Record<string, DeviceTensor | HostArray | undefined>>;

export interface KernelTime {
  readonly kernel: string;
  readonly microseconds: number;
}

export interface LoadedPlan {
  readonly plan: Plan;
  /** Writes outputs and final states. Absent initial states are zeros. Resolves when the work is submitted; `download` waits for it. */
  forward(tensors: CallTensors, dims: CallDims, options?: CallOptions): Promise<Record<string, DeviceTensor>>;
  /** Writes `d_NAME` of inputs, params and initial states. Absent cotangents and initial states are zeros. */
  backward(tensors: CallTensors, dims: CallDims, options?: CallOptions): Promise<Record<string, DeviceTensor>>;
  /** The forward of a few tokens, read one at a time. */
  step(tensors: CallTensors, dims: CallDims, options?: CallOptions): Promise<Record<string, DeviceTensor>>;
  release(): void;
}

export interface Runtime {
  readonly kind: 'cuda' | 'webgpu';
  /** Name of the device and of what drives it, for people. */
  readonly device: string;
  upload(data: HostArray, dtype: ElementType, shape: readonly number[]): DeviceTensor;
  /** Uninitialised on CUDA, zeros on WebGPU. */
  empty(dtype: ElementType, shape: readonly number[]): DeviceTensor;
  download(tensor: DeviceTensor): Promise<HostArray>;
  /** `files`: the plan's kernel files by their names in it; on CUDA also the cubins and PTX that lie beside them. */
  load(plan: Plan, files: ReadonlyMap<string, string | Uint8Array>): Promise<LoadedPlan>;
  release(): void;
}

/** Absence of a device is a value. */
export type RuntimeStatus =
  | { readonly available: true; readonly device: string; readonly open: () => Promise<Runtime> }
  | { readonly available: false; readonly why: string; readonly remedy: string };

/** What a user can cause at run time: says what is wrong, and what to do about it. */
export class RuntimeError extends Error {
  readonly remedy: string;
  constructor(message: string, remedy: string) {
    super(message);
    this.name = 'RuntimeError';
    this.remedy = remedy;
  }
}

/** Rows of the tables that kernels read: i32 [sequences, 4] and i32 [chunks, 4], as `PlanArg` says. */
export function callTables(chunk: number, dims: CallDims): { readonly sequences: Int32Array; readonly chunks: Int32Array; readonly counts: CallCounts } {
  const sequences: number[] = [];
  const chunks: number[] = [];
  let tokens = 0;
  dims.sequences.forEach(([start, length], sequence) => {
    const firstChunk = chunks.length / 4;
    for (let at = 0, index = 0; at < length; at += chunk, index++) chunks.push(sequence, start + at, Math.min(chunk, length - at), index);
    sequences.push(start, start + length, firstChunk, chunks.length / 4 - firstChunk);
    tokens = Math.max(tokens, start + length);
  });
  return {
    sequences: Int32Array.from(sequences),
    chunks: Int32Array.from(chunks),
    counts: { tokens, heads: dims.heads, groups: dims.groups, sequences: dims.sequences.length, chunks: chunks.length / 4 },
  };
}

export type CallCounts = Readonly<Record<Exclude<Extent, number>, number>>;

export function extentValue(extent: Extent, counts: CallCounts): number {
  return typeof extent === 'number' ? extent : counts[extent];
}

/** Product of the factors. */
export function extentProduct(extents: readonly Extent[], counts: CallCounts): number {
  return extents.reduce<number>((n, extent) => n * extentValue(extent, counts), 1);
}

export function tensorShape(tensor: PlanTensor, counts: CallCounts): readonly number[] {
  return tensor.shape.map((extent) => extentValue(extent, counts));
}

/** A typed array of the right kind for a dtype. */
export function newHostArray(dtype: ElementType, count: number): HostArray {
  switch (dtype) {
    case 'f32': return new Float32Array(count);
    case 'i32': return new Int32Array(count);
    case 'f16': case 'bf16': return new Uint16Array(count);
  }
}

/** What is wrong with a tensor given for `expected`, or nothing. */
export function tensorFault(expected: PlanTensor, given: DeviceTensor | HostArray, counts: CallCounts): string | undefined {
  const shape = tensorShape(expected, counts);
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
