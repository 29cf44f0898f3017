import type { Plan } from '../../ir/plan/plan.js';
import { bindTensors, createPool, type CallMemory } from '../call.js';
import type { CallSizes } from '../extents.js';
import { lifetime, releasedTensor } from '../lifetime.js';
import { createPrograms } from '../programs.js';
import { createRecycler } from '../recycler.js';
import {
  RuntimeError, type CallOptions, type CallTensors, type DeviceTensor, type ElementType, type LoadedPlan, type Runtime,
  type RuntimeStatus,
} from '../runtime.js';
import { ADAPTER_REMEDY, describeAdapter, openDevice, webGpu, type AdapterCapabilities, type OpenDevice } from './adapter.js';
import { checked, createChecks, type Checks } from './errors.js';
import { loadPipelines, type Pipelines } from './kernels.js';
import type { GpuBuffer, GpuDevice } from './types.js';
import { allocate, download, isWebGpuTensor, recycle, upload, type WebGpuTensor } from './memory.js';
import { record } from './recorded.js';

/** The common runtime, with what only WebGPU has. */
export interface WebGpuRuntime extends Runtime {
  readonly kind: 'webgpu';
  /** What kernels may be built for on this device. */
  readonly capabilities: AdapterCapabilities;
  readonly gpu: GpuDevice;
  /** Takes a buffer of this device as a tensor; its owner releases it. */
  borrow(buffer: GpuBuffer, dtype: ElementType, shape: readonly number[]): DeviceTensor;
}

export type WebGpuStatus =
  | { readonly available: true; readonly device: string; readonly open: () => Promise<WebGpuRuntime> }
  | Extract<RuntimeStatus, { available: false }>;

/** Which adapter answers; the Vulkan loader's VK_ICD_FILENAMES chooses among drivers. */
export async function webGpuStatus(): Promise<WebGpuStatus> {
  const gpu = await webGpu();
  if ('why' in gpu) return { available: false, ...gpu };
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) return { available: false, why: 'no WebGPU adapter answers', remedy: ADAPTER_REMEDY };
  return { available: true, device: describeAdapter(adapter), open: async () => openRuntime(await openDevice(gpu)) };
}

function openRuntime({ device, description, capabilities }: OpenDevice): WebGpuRuntime {
  let lost: string | undefined;
  void device.lost.then(({ reason, message }) => {
    lost = reason === 'destroyed' ? 'the runtime was released' : message;
  });
  const alive = () => {
    if (lost !== undefined) throw new RuntimeError(`the device is lost: ${lost}`, 'open the runtime again');
  };
  const checks = createChecks(device);
  return {
    kind: 'webgpu',
    device: description,
    capabilities,
    gpu: device,
    upload(data, dtype, shape) {
      alive();
      const tensor = allocate(device, dtype, shape, 'a tensor');
      upload(tensor, data, 'a tensor');
      return tensor;
    },
    empty(dtype, shape) {
      alive();
      return allocate(device, dtype, shape, 'a tensor');
    },
    borrow: (buffer, dtype, shape): WebGpuTensor => ({
      kind: 'webgpu', dtype, shape: [...shape], device, buffer, bytes: buffer.size, released: false, release() {},
    }),
    async download(tensor) {
      alive();
      if (!isWebGpuTensor(tensor) || tensor.device !== device) throw new RuntimeError(
        'this tensor belongs to another runtime', 'download it with the runtime that made it',
      );
      if (tensor.released) throw releasedTensor('the tensor');
      // What made it may have gone wrong.
      const [, values] = await Promise.all([checks.settle(), checked(device, 'downloading a tensor', () => download(tensor))]);
      return values;
    },
    async load(plan, files) {
      alive();
      return loadPlan(device, plan, await loadPipelines(device, plan, files), alive, checks);
    },
    release() {
      // The device tells later.
      lost ??= 'the runtime was released';
      device.destroy();
    },
  };
}

function loadPlan(device: GPUDevice, plan: Plan, pipelines: Pipelines, alive: () => void, checks: Checks): LoadedPlan {
  // New memory is zero.
  const pool = createPool((name, dtype, shape) => allocate(device, dtype, shape, name));
  const recycled = createRecycler<GpuBuffer>((buffer) => buffer.destroy());
  const memory: CallMemory<WebGpuTensor> = {
    pool,
    // Nothing ever writes to what stands for an absent tensor.
    zeros: (name, dtype, shape) => pool.take(`%zeros.${name}`, dtype, shape),
    fresh: (dtype, shape) => recycle(device, recycled, dtype, shape),
    upload,
    own: (tensor) => (isWebGpuTensor(tensor) && tensor.device === device ? tensor : { remedy: 'upload it with this WebGPU runtime' }),
  };
  // Workspaces lie in the arena, and in f32: nothing stands in their place.
  const programs = createPrograms(plan, false, (sized) => record(device, plan, pipelines, sized, memory), (recorded) => recorded.release());
  const life = lifetime(plan.scan);
  const submit = (program: string, given: CallTensors, sizes: CallSizes, options: CallOptions) => {
    const recorded = programs.at(program, sizes);
    const { tensors, results, temporary } = bindTensors(plan, recorded.sized.slots, given, options, memory);
    const encoder = device.createCommandEncoder({ label: `${plan.scan} ${program}` });
    const pass = encoder.beginComputePass();
    // Whatever else is made for a call is bound by a group of its own.
    const anew = recorded.encode(pass, tensors, pool.take('%workspace', 'f32', [recorded.floats]));
    pass.end();
    device.queue.submit([encoder.finish()]);
    // Submitted work keeps what it uses.
    for (const tensor of temporary) tensor.release();
    return { made: results, anew };
  };
  const call = async (program: string, tensors: CallTensors, sizes: CallSizes, options: CallOptions = {}) => {
    alive();
    life.check();
    return checks.run(`${plan.scan}, ${program}`, () => submit(program, tensors, sizes, options));
  };
  return {
    plan,
    run: call,
    release: () => life.end(() => {
      programs.release();
      pool.release();
      recycled.release();
    }),
  };
}
