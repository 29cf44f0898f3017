import type { Plan, PlanArg, PlanKernel } from '../../ir/plan/plan.js';
import { bindTensors, callTables, createPool, isNeedless, kernelNamed, type CallMemory, type Pool } from '../call.js';
import { extentsOf, gridOf, type CallSizes } from '../extents.js';
import { lifetime, releasedTensor } from '../lifetime.js';
import {
  RuntimeError, type CallOptions, type CallTensors, type DeviceTensor, type ElementType, type LoadedPlan, type Program, type Runtime,
  type RuntimeStatus,
} from '../runtime.js';
import { ADAPTER_REMEDY, checked, describeAdapter, openDevice, webGpu, type AdapterCapabilities, type OpenDevice } from './adapter.js';
import { arenaLayout } from './arena.js';
import { loadPipelines, type Pipelines } from './kernels.js';
import type { GpuBuffer, GpuDevice } from './types.js';
import { allocate, download, isWebGpuTensor, uniform, upload, type WebGpuTensor } from './memory.js';

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
      return checked(device, 'downloading a tensor', () => download(tensor));
    },
    async load(plan, files) {
      alive();
      return loadPlan(device, plan, await loadPipelines(device, plan, files), alive);
    },
    release: () => device.destroy(),
  };
}

function loadPlan(device: GPUDevice, plan: Plan, pipelines: Pipelines, alive: () => void): LoadedPlan {
  // New memory is zero.
  const pool = createPool((name, dtype, shape) => allocate(device, dtype, shape, name));
  const life = lifetime(plan.scan);
  const call = async (program: Program, tensors: CallTensors, sizes: CallSizes, options: CallOptions = {}) => {
    alive();
    life.check();
    return checked(device, `${plan.scan}, ${program}`, async () => submit(device, plan, pipelines, pool, program, tensors, sizes, options));
  };
  return {
    plan,
    forward: (tensors, sizes, options) => call('forward', tensors, sizes, options),
    backward: (tensors, sizes, options) => call('backward', tensors, sizes, options),
    step: (tensors, sizes, options) => call('step', tensors, sizes, options),
    release: () => life.end(() => pool.release()),
  };
}

function submit(
  device: GPUDevice, plan: Plan, pipelines: Pipelines, pool: Pool<WebGpuTensor>, program: Program,
  given: CallTensors, sizes: CallSizes, options: CallOptions,
): Record<string, DeviceTensor> {
  const extents = extentsOf(plan, sizes);
  const launches = plan.programs[program].filter((launch) => !isNeedless(launch, extents, false))
    .map(({ kernel }) => kernelNamed(plan, kernel));
  const memory: CallMemory<WebGpuTensor> = {
    pool,
    // Nothing ever writes to what stands for an absent tensor.
    zeros: (name, dtype, shape) => pool.take(name, dtype, shape),
    fresh: (dtype, shape) => allocate(device, dtype, shape, 'a tensor'),
    upload,
    // Workspaces lie in the arena, and in f32.
    inPlace: false,
    own: (tensor) => (isWebGpuTensor(tensor) && tensor.device === device ? tensor : { remedy: 'upload it with this WebGPU runtime' }),
  };
  const { tensors, results, temporary } = bindTensors(plan, program, given, extents, options, memory);
  const { floats, offsets } = arenaLayout(plan, launches, extents);
  const arena = pool.take('workspace', 'f32', [floats]);
  const { tokens, heads, groups, sequences, chunks, segments } = extents;
  const dims = uniform(device, Uint32Array.from([tokens, heads, groups, sequences, chunks, segments, ...offsets]));
  const tables = callTables(plan, sizes, pool, upload);
  const bufferOf = (kernel: PlanKernel, arg: PlanArg): GPUBuffer => {
    switch (arg.kind) {
      case 'tensor': {
        const tensor = tensors.get(arg.tensor);
        if (tensor === undefined) throw new RuntimeError(
          `${kernel.name} needs the tensor ${arg.tensor}, which no one gave or made`, 'this plan is inconsistent: build it again',
        );
        return tensor.buffer;
      }
      case 'arena': return arena.buffer;
      case 'sequences': case 'segments': case 'chunks': return tables[arg.kind].buffer;
      case 'dims': return dims;
      case 'tensorMap':
      case 'strides': throw new RuntimeError(
        `${kernel.name} wants what WebGPU does not have`, 'this plan was made for CUDA: build it with --target webgpu',
      );
    }
  };
  const encoder = device.createCommandEncoder({ label: `${plan.scan} ${program}` });
  const pass = encoder.beginComputePass();
  for (const kernel of launches) {
    const grid = gridOf(kernel, extents);
    if (grid.includes(0)) continue;
    if (grid.some((groupsAlong) => groupsAlong > device.limits.maxComputeWorkgroupsPerDimension)) {
      throw new RuntimeError(
        `${kernel.name} would need a grid of ${grid.join(' x ')} workgroups`, 'split the call: fewer heads, or fewer tokens',
      );
    }
    const { pipeline, layout } = pipelines.of(kernel.name);
    const entries = kernel.args.map((arg, binding) => ({ binding, resource: { buffer: bufferOf(kernel, arg) } }));
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ label: kernel.name, layout, entries }));
    pass.dispatchWorkgroups(...grid);
  }
  pass.end();
  device.queue.submit([encoder.finish()]);
  // Submitted work keeps what it uses.
  for (const tensor of temporary) tensor.release();
  dims.destroy();
  return results;
}
