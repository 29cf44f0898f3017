import type { Plan, PlanKernel } from '../../ir/plan/plan.js';
import { bindTensors, callTables, createPool, isNeedless, kernelNamed, type CallMemory, type Pool } from '../call.js';
import { elementCount, newHostArray } from '../arrays.js';
import { extentsOf, gridOf, type CallSizes } from '../extents.js';
import { lifetime, releasedTensor } from '../lifetime.js';
import {
  RuntimeError, type CallOptions, type CallTensors, type DeviceTensor, type ElementType, type KernelTime, type LoadedPlan, type Program,
  type Runtime, type RuntimeStatus,
} from '../runtime.js';
import {
  loadAddon, nvrtcFolders, type DeviceInfo, type FunctionInfo, type NativeCuda, type NvrtcStatus, type StreamHandle,
} from './addon.js';
import { loadKernels } from './kernels.js';
import { createLanes } from './lanes.js';
import { allocate, borrow, expectOk, isCudaTensor, upload, type CudaTensor } from './memory.js';
import { packParams, type Bound, type PackedParams } from './params.js';

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
  profile(program: Program, tensors: CallTensors, sizes: CallSizes, repeats?: number): Promise<readonly KernelTime[]>;
}

export type CudaRuntimeStatus =
  | {
    readonly available: true; readonly device: string; readonly driver: string; readonly devices: readonly DeviceInfo[];
    readonly nvrtc: NvrtcStatus; readonly open: () => Promise<CudaRuntime>;
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
  const memory = `${Math.round(info.memoryBytes / 2 ** 30)} GiB`;
  return `${info.name}, compute capability ${info.major}.${info.minor}, ${memory}, driver for CUDA ${driver}`;
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
      expectOk(await native.download(tensor.buffer, 0, array), 'downloading a tensor');
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
  const pool = createPool((_, dtype, shape) => allocate(native, dtype, shape));
  const lanes = createLanes(native);

  const life = lifetime(plan.scan);
  const call = async (program: Program, tensors: CallTensors, sizes: CallSizes, options: CallOptions = {}) => {
    life.check();
    const prepared = prepare(native, plan, program, tensors, sizes, options, pool);
    try {
      lanes.run(plan.programs[program], (i, stream) => {
        const { kernel, grid, params } = prepared.launches[i];
        launch(native, kernels.function(kernel.name), kernel, grid, params, stream);
      });
    } finally {
      prepared.dispose();
    }
    return prepared.results;
  };

  return {
    plan,
    compiled: kernels.compiled,
    functions: kernels.functions,
    forward: (tensors, sizes, options) => call('forward', tensors, sizes, options),
    backward: (tensors, sizes, options) => call('backward', tensors, sizes, options),
    step: (tensors, sizes, options) => call('step', tensors, sizes, options),
    async profile(program, tensors, sizes, repeats = 5) {
      life.check();
      const prepared = prepare(native, plan, program, tensors, sizes, {}, pool);
      const start = expectOk(native.createEvent(), 'making an event');
      const end = expectOk(native.createEvent(), 'making an event');
      const best = prepared.launches.map(() => Infinity);
      for (let repeat = 0; repeat < repeats; repeat++) {
        for (const [i, { kernel, grid, params }] of prepared.launches.entries()) {
          expectOk(native.recordEvent(start), 'timing');
          launch(native, kernels.function(kernel.name), kernel, grid, params);
          expectOk(native.recordEvent(end), 'timing');
          best[i] = Math.min(best[i], 1000 * expectOk(native.elapsed(start, end), 'timing'));
        }
      }
      prepared.dispose();
      for (const tensor of Object.values(prepared.results)) tensor.release();
      return prepared.launches.map(({ kernel }, i) => ({ kernel: kernel.name, microseconds: best[i] }));
    },
    release: () => life.end(() => {
      pool.release();
      kernels.release();
    }),
  };
}

function launch(
  native: NativeCuda, fn: FunctionInfo, kernel: PlanKernel, grid: readonly [number, number, number], params: PackedParams,
  stream?: StreamHandle,
): void {
  // A call with nothing to do has an empty grid, which the driver refuses.
  if (grid.includes(0)) return;
  if (grid[0] > 2 ** 31 - 1 || grid[1] > 65535 || grid[2] > 65535) {
    throw new RuntimeError(
      `${kernel.name} would need a grid of ${grid.join(' x ')} blocks`, 'split the call: fewer heads, or fewer tokens',
    );
  }
  expectOk(
    native.launch(fn.handle, Uint32Array.from(grid), kernel.block, kernel.sharedBytes, params.bytes, params.offsets, stream),
    `launching ${kernel.name}`,
  );
}

interface Prepared {
  readonly launches: readonly {
    readonly kernel: PlanKernel; readonly grid: readonly [number, number, number]; readonly params: PackedParams;
  }[];
  readonly results: Record<string, DeviceTensor>;
  /** Gives back what was made for this call only. */
  dispose(): void;
}

function prepare(
  native: NativeCuda, plan: Plan, program: Program, given: CallTensors, sizes: CallSizes, options: CallOptions, pool: Pool<CudaTensor>,
): Prepared {
  const extents = extentsOf(plan, sizes);
  const launches = plan.programs[program].map((launch) => ({
    kernel: kernelNamed(plan, launch.kernel), needless: isNeedless(launch, extents, true),
  }));
  const memory: CallMemory<CudaTensor> = {
    pool,
    fresh: (dtype, shape) => allocate(native, dtype, shape),
    upload: (tensor, data, name) => upload(native, tensor, data, name),
    zeros(name, dtype, shape) {
      const tensor = pool.take(name, dtype, shape);
      expectOk(native.fill(tensor.buffer, 0), `clearing ${name}`);
      return tensor;
    },
    inPlace: true,
    own: (tensor) => (isCudaTensor(tensor) ? tensor : { remedy: 'upload it with the CUDA runtime' }),
  };
  const { tensors, results, temporary } = bindTensors(plan, program, given, extents, options, memory);
  const bound: Bound = { tensors, extents, ...callTables(plan, sizes, pool, memory.upload) };
  return {
    launches: launches.map(({ kernel, needless }) => ({
      kernel, grid: needless ? [0, 0, 0] : gridOf(kernel, extents), params: packParams(native, plan, kernel, bound),
    })),
    results,
    // cuMemFree waits for the work that uses the memory.
    dispose() {
      for (const tensor of temporary) tensor.release();
    },
  };
}
