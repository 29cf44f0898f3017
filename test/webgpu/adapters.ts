import { environmentOf, softwareGpus, type SoftwareGpu } from '../../scripts/software-gpu.mjs';
import { webGpuStatus, type WebGpuRuntime } from '../../src/runtime/webgpu/index.js';

/** Opens WebGPU on one software GPU, or says why not. The Vulkan loader reads its variables once, so a process (a test file) has one adapter. */
export async function openSoftwareGpu(name: SoftwareGpu['name']): Promise<WebGpuRuntime | { readonly why: string }> {
  const gpu = softwareGpus().find((candidate) => candidate.name === name);
  if (gpu === undefined) return { why: `${name} is not installed: node scripts/software-gpu.mjs --install` };
  Object.assign(process.env, environmentOf(gpu));
  const status = await webGpuStatus();
  if (!status.available) return { why: `${name}: ${status.why}` };
  return status.open();
}
