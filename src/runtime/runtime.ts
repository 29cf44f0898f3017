import type { IoDtype } from '../ir/common/dtype.js';
import type { Plan } from '../ir/plan/plan.js';
import type { CallSizes } from './extents.js';

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
  /**
   * Runs a program of the plan: what it takes comes by name (absent initial states and cotangents are zeros), what it gives is returned.
   * Resolves when the work is submitted; `download` waits for it.
   */
  run(program: string, tensors: CallTensors, sizes: CallSizes, options?: CallOptions): Promise<Record<string, DeviceTensor>>;
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
  /** `files`: the plan's kernel files and its prelude by their names in it; on CUDA also the cubins and PTX that lie beside them. */
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

/** More than a device or its kernels can have at once, at these sizes. */
export class LimitError extends RuntimeError {}
