import type { Plan, PlanArg, PlanKernel } from '../../ir/plan/plan.js';
import { makeTables, type CallMemory, type Tables } from '../call.js';
import { slotOf, type SizedProgram } from '../programs.js';
import { LimitError, RuntimeError } from '../runtime.js';
import { arenaLayout } from './arena.js';
import type { Pipelines } from './kernels.js';
import { uniform, type WebGpuTensor } from './memory.js';

/** A program at given sizes, ready to be encoded with the tensors of a call. */
export interface Recorded {
  readonly sized: SizedProgram;
  /** Floats that its workspaces share. */
  readonly floats: number;
  /** Records the dispatches, given the tensor of every slot and the workspaces. True: bind groups had to be made for them. */
  encode(pass: GPUComputePassEncoder, tensors: readonly WebGpuTensor[], arena: WebGpuTensor): boolean;
  release(): void;
}

/** Everything that stays while the sizes stay: tables and sizes on the device, grids, and the bind groups of the last calls. */
export function record(
  device: GPUDevice, plan: Plan, pipelines: Pipelines, sized: SizedProgram, memory: Pick<CallMemory<WebGpuTensor>, 'fresh' | 'upload'>,
): Recorded {
  const launches = sized.launches.filter(({ grid }) => !grid.includes(0));
  const { floats, offsets } = arenaLayout(plan, launches.map(({ kernel }) => kernel), sized.extents);
  // Kernels over one domain share them.
  const known = new Map<string, GPUBuffer>();
  const dims = (domain: string): GPUBuffer => {
    const made = known.get(domain) ?? uniform(device, Uint32Array.from([...sized.dims[domain], ...offsets]));
    known.set(domain, made);
    return made;
  };
  const tables = makeTables(plan, sized.sizes, memory);
  let groups = 0;
  const dispatches = launches.map(({ kernel, grid }) => {
    if (grid.some((groupsAlong) => groupsAlong > device.limits.maxComputeWorkgroupsPerDimension)) {
      throw new LimitError(
        `${kernel.name} would need a grid of ${grid.join(' x ')} workgroups`, 'split the call: fewer heads, or fewer tokens',
      );
    }
    const { pipeline, layout } = pipelines.of(kernel.name);
    const resources = kernel.args.map((arg) => resource(sized, kernel, arg, tables, dims));
    return { grid, pipeline, bind: bindings(device, layout, kernel, resources, () => { groups++; }) };
  });
  return {
    sized,
    floats,
    encode(pass, tensors, arena) {
      const before = groups;
      for (const { grid, pipeline, bind } of dispatches) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bind(tensors, arena));
        pass.dispatchWorkgroups(...grid);
      }
      return groups > before;
    },
    release() {
      for (const made of known.values()) made.destroy();
      for (const table of Object.values(tables)) table.release();
    },
  };
}

/** What a binding is: a buffer that stays, the tensor of a slot, or the workspaces. */
type Resource = GPUBuffer | number | 'arena';

function resource(
  sized: SizedProgram, kernel: PlanKernel, arg: PlanArg, tables: Tables<WebGpuTensor>,
  dims: (domain: string) => GPUBuffer,
): Resource {
  switch (arg.kind) {
    case 'tensor': return slotOf(sized, kernel, arg.tensor);
    case 'arena': return 'arena';
    case 'table': return tables[arg.table].buffer;
    case 'dims': return dims(arg.domain);
    case 'tensorMap': case 'strides':
      throw new RuntimeError(
        `${kernel.name} wants what WebGPU does not have`, 'this plan was made for CUDA: build it with --target webgpu',
      );
  }
}

/** Bind groups of the last calls: tensors of a steady loop lie in the same few buffers. */
const REMEMBERED = 4;

function bindings(
  device: GPUDevice, layout: GPUBindGroupLayout, { name }: PlanKernel, resources: readonly Resource[], making: () => void,
) {
  const known: { readonly buffers: readonly GPUBuffer[]; readonly group: GPUBindGroup }[] = [];
  return (tensors: readonly WebGpuTensor[], arena: WebGpuTensor): GPUBindGroup => {
    const buffers = resources.map((what) => (what === 'arena' ? arena.buffer : typeof what === 'number' ? tensors[what].buffer : what));
    const found = known.find((entry) => entry.buffers.every((buffer, i) => buffer === buffers[i]));
    if (found !== undefined) return found.group;
    making();
    const group = device.createBindGroup({
      label: name, layout, entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    known.unshift({ buffers, group });
    known.splice(REMEMBERED);
    return group;
  };
}
