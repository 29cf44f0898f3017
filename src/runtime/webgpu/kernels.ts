import type { Plan, PlanArg, PlanKernel } from '../../ir/plan/plan.js';
import { RuntimeError } from '../runtime.js';
import { checked } from './errors.js';

export interface LoadedPipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export interface Pipelines {
  of(kernel: string): LoadedPipeline;
}

const COMPUTE = 0x4;

/** Compiles every kernel of a plan, all at once. */
export async function loadPipelines(device: GPUDevice, plan: Plan, files: ReadonlyMap<string, string | Uint8Array>): Promise<Pipelines> {
  if (plan.target !== 'webgpu') throw new RuntimeError(`the plan of ${plan.scan} is for ${plan.target}`, 'build it with --target webgpu');
  const loaded = new Map(await Promise.all(plan.kernels.map(async (kernel) => [
    kernel.name, await loadKernel(device, plan, kernel, files),
  ] as const)));
  return {
    of(kernel) {
      const found = loaded.get(kernel);
      if (found === undefined) throw new RuntimeError(
        `the plan of ${plan.scan} has no kernel ${kernel}`, 'this plan is inconsistent: build it again',
      );
      return found;
    },
  };
}

async function loadKernel(
  device: GPUDevice, plan: Plan, kernel: PlanKernel, files: ReadonlyMap<string, string | Uint8Array>,
): Promise<LoadedPipeline> {
  const source = files.get(kernel.file);
  if (source === undefined) throw new RuntimeError(
    `${kernel.file} of ${plan.scan} was not given`, 'pass all files that lie beside the plan',
  );
  const code = typeof source === 'string' ? source : new TextDecoder().decode(source);
  return checked(device, `compiling ${kernel.file} of ${plan.scan}`, async () => {
    // Written out, since a layout made by the shader lacks the bindings it does not touch.
    const layout = device.createBindGroupLayout({
      label: kernel.name,
      entries: kernel.args.map((arg, binding) => ({ binding, visibility: COMPUTE, buffer: { type: bindingType(arg) } })),
    });
    const module = device.createShaderModule({ label: kernel.file, code });
    const pipeline = device.createComputePipeline({
      label: kernel.name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: kernel.entry },
    });
    return { pipeline, layout };
  });
}

function bindingType(arg: PlanArg): GPUBufferBindingType {
  switch (arg.kind) {
    case 'tensor': return arg.access === 'read' ? 'read-only-storage' : 'storage';
    case 'arena': return 'storage';
    case 'table': return arg.access === 'write' ? 'storage' : 'read-only-storage';
    case 'tensorMap': case 'strides': return 'read-only-storage';
    case 'dims': return 'uniform';
  }
}
