import { environmentOf, softwareGpus, type SoftwareGpu } from '../../scripts/software-gpu.mjs';
import { webGpuStatus, type WebGpuRuntime } from '../../src/runtime/webgpu/index.js';

/**
 * Opens WebGPU on the first of these software GPUs that is there, or says why not.
 * The Vulkan loader reads its variables once, so a process (a test file) has one adapter.
 */
export async function openSoftwareGpu(...names: readonly SoftwareGpu['name'][]): Promise<WebGpuRuntime | { readonly why: string }> {
  const found = softwareGpus();
  const gpu = names.map((name) => found.find((candidate) => candidate.name === name)).find((candidate) => candidate !== undefined);
  if (gpu === undefined) return { why: `${names.join(' or ')} is not installed: node scripts/software-gpu.mjs --install` };
  Object.assign(process.env, environmentOf(gpu));
  const status = await webGpuStatus();
  if (!status.available) return { why: `${gpu.name}: ${status.why}` };
  return status.open();
}
