import type { Plan } from '../../ir/plan/plan.js';
import { elementCount, newHostArray } from '../arrays.js';
import { bindTensors, createPool, type CallMemory } from '../call.js';
import type { CallSizes } from '../extents.js';
import { lifetime, releasedTensor } from '../lifetime.js';
import { createPrograms, launchesOf, type SizedProgram } from '../programs.js';
import { createRecycler } from '../recycler.js';
import {
  RuntimeError, type CallOptions, type CallTensors, type DeviceTensor, type ElementType, type KernelTime, type LoadedPlan,
  type Runtime, type RuntimeStatus,
} from '../runtime.js';
import {
  loadAddon, nvrtcFolders, type DeviceInfo, type FunctionInfo, type NativeCuda, type NvrtcStatus, type StreamHandle,
} from './addon.js';
import { loadKernels } from './kernels.js';
import { createQueues } from './queues.js';
import { allocate, borrow, expectOk, isCudaTensor, recycle, upload, type CudaMemory, type CudaTensor } from './memory.js';
import { dropRecorded, record, type Recorder } from './recorded.js';

/** The common runtime, with what only CUDA has. */
export interface CudaRuntime extends Runtime {
  readonly kind: 'cuda';
  readonly info: DeviceInfo;
  /** Memory of another library: its address on the same device. */
  borrow(pointer: bigint, dtype: ElementType, shape: readonly number[]): DeviceTensor;
  /** Waits for everything that was submitted. */
  finish(): Promise<void>;
  load(plan: Plan, files: ReadonlyMap<string, string | Uint8Array>): Promise<CudaLoadedPlan>;
}

export interface CudaLoadedPlan extends LoadedPlan {
  /** Cubins by file name that NVRTC made while loading; a caller may keep them and pass them to the next `load`. */
  readonly compiled: ReadonlyMap<string, Uint8Array>;
  /** Registers, spills and shared memory of every kernel. */
  readonly functions: ReadonlyMap<string, FunctionInfo>;
  /** Time of every kernel of a program, the best of `repeats`. */
  profile(program: string, tensors: CallTensors, sizes: CallSizes, repeats?: number): Promise<readonly KernelTime[]>;
}

export type CudaRuntimeStatus =
  | {
    readonly available: true;
    readonly device: string;
    readonly driver: string;
    readonly devices: readonly DeviceInfo[];
    readonly nvrtc: NvrtcStatus;
    readonly open: () => Promise<CudaRuntime>;
  }
  | Extract<RuntimeStatus, { available: false }>;

/** What there is of CUDA on this machine; `open` takes the device that LMOEC_CUDA_DEVICE names, else the first. */
export function cudaStatus(): CudaRuntimeStatus {
  const addon = loadAddon();
  if (!addon.available) return { available: false, why: addon.why, remedy: 'install an NVIDIA driver, or use another backend' };
  const { native } = addon;
  const status = native.status();
  if (!status.available) return { available: false, why: status.why, remedy: 'install an NVIDIA driver, or use another backend' };
  const index = Number(process.env.LMOEC_CUDA_DEVICE ?? 0);
  const info = status.devices.find((device) => device.index === index);
  if (info === undefined) {
    return {
      available: false, why: `there is no CUDA device ${process.env.LMOEC_CUDA_DEVICE}`,
      remedy: `set LMOEC_CUDA_DEVICE to a number below ${status.devices.length}`,
    };
  }
  if (info.major < 8) {
    return {
      available: false, why: `${info.name} has compute capability ${info.major}.${info.minor}; kernels need 8.0 or later`,
      remedy: 'use the webgpu backend',
    };
  }
  return {
    available: true,
    device: describe(info, status.driver),
    driver: status.driver,
    devices: status.devices,
    nvrtc: native.nvrtcStatus(nvrtcFolders()),
    open: async () => openRuntime(native, expectOk(native.open(info.index), `opening ${info.name}`), status.driver),
  };
}

function describe(info: DeviceInfo, driver: string): string {
  const memory = Math.round(info.memoryBytes / 2 ** 30);
  return `${info.name}, compute capability ${info.major}.${info.minor}, ${memory} GiB, driver for CUDA ${driver}`;
}

function openRuntime(native: NativeCuda, info: DeviceInfo, driver: string): CudaRuntime {
  return {
    kind: 'cuda',
    info,
    device: describe(info, driver),
    upload(data, dtype, shape) {
      const tensor = allocate(native, dtype, shape);
      upload(native, tensor, data, 'a tensor');
      return tensor;
    },
    empty: (dtype, shape) => allocate(native, dtype, shape),
    borrow: (pointer, dtype, shape) => borrow(native, pointer, dtype, shape),
    async download(tensor) {
      if (!isCudaTensor(tensor)) throw new RuntimeError(
        'this tensor belongs to another runtime', 'download it with the runtime that made it',
      );
      if (tensor.released) throw releasedTensor('the tensor');
      const array = newHostArray(tensor.dtype, elementCount(tensor.shape));
      const letGo = tensor.hold();
      try {
        expectOk(await native.download(tensor.buffer, 0, array), 'downloading a tensor');
      } finally {
        letGo();
      }
      return array;
    },
    async finish() {
      expectOk(await native.synchronize(), 'waiting for the device');
    },
    load: (plan, files) => loadPlan(native, info, plan, files),
    // The primary context is shared with other libraries of the process and stays.
    release() {},
  };
}

async function loadPlan(
  native: NativeCuda, info: DeviceInfo, plan: Plan, files: ReadonlyMap<string, string | Uint8Array>,
): Promise<CudaLoadedPlan> {
  const kernels = await loadKernels(native, info, plan, files);
  const queues = createQueues(native);
  const pool = createPool((_, dtype, shape) => allocate(native, dtype, shape));
  const recycled = createRecycler<CudaMemory>(({ buffer }) => native.free(buffer));
  const zeros = createPool((name, dtype, shape) => {
    const tensor = allocate(native, dtype, shape);
    expectOk(native.fill(tensor.buffer, 0), `clearing ${name}`);
    return tensor;
  });
  const memory: CallMemory<CudaTensor> = {
    pool,
    fresh: (dtype, shape) => recycle(native, recycled, dtype, shape),
    upload: (tensor, data, name) => upload(native, tensor, data, name),
    zeros: (name, dtype, shape) => zeros.take(name, dtype, shape),
    own: (tensor) => (isCudaTensor(tensor) ? tensor : { remedy: 'upload it with the CUDA runtime' }),
  };
  let stream: StreamHandle | undefined;
  const recorder: Recorder = {
    native, plan, functionOf: kernels.function, memory, stream: () => (stream ??= expectOk(native.createStream(), 'making a stream')),
  };
  const recorded = (sized: SizedProgram) => record(recorder, sized, queues(launchesOf(plan, sized.program, sized.extents)));
  const programs = createPrograms(plan, true, recorded, dropRecorded);
  const life = lifetime(plan.scan);

  /**
   * What a call launches, and its tensors. The device is done with what `dispose` gives back before it is used again: memory goes back in
   * stream order.
   */
  const prepare = (program: string, given: CallTensors, sizes: CallSizes, options: CallOptions) => {
    life.check();
    const recorded = programs.at(program, sizes);
    const { tensors, results, temporary } = bindTensors(plan, recorded.sized.slots, given, options, memory);
    const dispose = () => {
      for (const tensor of temporary) tensor.release();
    };
    return { recorded, tensors, results, dispose };
  };
  const call = async (program: string, given: CallTensors, sizes: CallSizes, options: CallOptions = {}) => {
    const { recorded, tensors, results, dispose } = prepare(program, given, sizes, options);
    try {
      recorded.run(tensors);
    } finally {
      dispose();
    }
    return results;
  };

  return {
    plan,
    compiled: kernels.compiled,
    functions: kernels.functions,
    run: call,
    async profile(program, given, sizes, repeats = 5) {
      const { recorded: { launches }, tensors, results, dispose } = prepare(program, given, sizes, {});
      const start = expectOk(native.createEvent(), 'making an event');
      const end = expectOk(native.createEvent(), 'making an event');
      const best = launches.map(() => Infinity);
      for (let repeat = 0; repeat < repeats; repeat++) {
        for (const [i, { launch }] of launches.entries()) {
          expectOk(native.recordEvent(start), 'timing');
          launch(tensors);
          expectOk(native.recordEvent(end), 'timing');
          best[i] = Math.min(best[i], 1000 * expectOk(native.elapsed(start, end), 'timing'));
        }
      }
      dispose();
      for (const tensor of Object.values(results)) tensor.release();
      return launches.map(({ kernel }, i) => ({ kernel, microseconds: best[i] }));
    },
    release: () => life.end(() => {
      programs.release();
      pool.release();
      zeros.release();
      recycled.release();
      kernels.release();
    }),
  };
}
