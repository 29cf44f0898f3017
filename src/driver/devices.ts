import type { WgslCapabilities } from '../backends/wgsl/capabilities.js';
import type { Target } from '../ir/plan/plan.js';
import { cudaStatus, type CudaRuntime, type CudaRuntimeStatus } from '../runtime/cuda/index.js';
import type { WebGpuRuntime } from '../runtime/webgpu/index.js';
import { LimitError, RuntimeError, type Runtime, type RuntimeStatus } from '../runtime/runtime.js';
import { softwareDriver } from './adapters.js';
import { findNvcc, type Nvcc } from './nvcc.js';
import type { Host } from './host.js';
import { problem, type Problem } from './problem.js';

export type Backend = 'oracle' | 'webgpu' | 'cuda';

export const BACKENDS = ['oracle', 'webgpu', 'cuda'] as const satisfies readonly Backend[];

export type NvrtcFound = Extract<CudaRuntimeStatus, { available: true }>['nvrtc'];

/** What this machine has, for `doctor`. */
export interface Devices {
  readonly cuda: CudaRuntimeStatus;
  readonly webgpu: RuntimeStatus;
  readonly nvcc: Nvcc;
  readonly backend: { readonly name: Backend; readonly why: string };
}

/** The WebGPU addon takes a tenth of a second to load: only where it is asked for. */
async function webGpu(host: Host): Promise<RuntimeStatus> {
  const driver = softwareDriver(host);
  if (driver !== undefined) for (const name of ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES']) host.setEnv(name, driver);
  // lavapipe alone reads it: kernels for four lanes run about as fast as those for eight, and compile in half the time.
  if (host.env('LP_NATIVE_VECTOR_WIDTH') === undefined) host.setEnv('LP_NATIVE_VECTOR_WIDTH', '128');
  return (await import('../runtime/webgpu/index.js')).webGpuStatus();
}

export async function devicesOf(host: Host): Promise<Devices> {
  const [cuda, webgpu, nvcc] = [cudaStatus(), await webGpu(host), await findNvcc(host)];
  return { cuda, webgpu, nvcc, backend: preferred(cuda, webgpu) };
}

/** cuda if a device answers, else webgpu if an adapter answers, else oracle. */
function preferred(cuda: CudaRuntimeStatus, webgpu: RuntimeStatus): Devices['backend'] {
  if (cuda.available) return { name: 'cuda', why: `a CUDA device answers: ${cuda.device}` };
  if (webgpu.available) return { name: 'webgpu', why: `no CUDA device (${cuda.why}), but a WebGPU adapter answers: ${webgpu.device}` };
  return { name: 'oracle', why: `no CUDA device (${cuda.why}) and no WebGPU adapter (${webgpu.why})` };
}

/** Opens the device of a backend, or of the default one; `undefined` stands for the oracle, which needs none. */
export async function openDevice(host: Host, backend: Backend | undefined): Promise<{ readonly runtime: Runtime | undefined } | Problem> {
  switch (backend) {
    case 'oracle': return { runtime: undefined };
    case 'cuda': return opened('cuda', cudaStatus());
    case 'webgpu': return opened('webgpu', await webGpu(host));
    case undefined: {
      const cuda = cudaStatus();
      if (cuda.available) return opened('cuda', cuda);
      const webgpu = await webGpu(host);
      return webgpu.available ? opened('webgpu', webgpu) : { runtime: undefined };
    }
  }
}

/** The target that fits an opened device best; for the oracle the one whose algorithm `explain` shows. */
export function targetOf(runtime: Runtime | undefined): Target {
  if (runtime?.kind === 'webgpu') return 'webgpu';
  if (runtime === undefined || !isCuda(runtime)) return 'cuda.sm90';
  return cudaTarget(runtime.info);
}

/**
 * The target for a compute capability. Blocks of 8.6, 8.9 and 12.x have 99 KB of shared memory (CUDA C++ Programming Guide, technical
 * specifications).
 */
export function cudaTarget({ major, minor }: { readonly major: number; readonly minor: number }): Target {
  if (major === 9 && minor === 0) return 'cuda.sm90';
  return (major === 8 && (minor === 6 || minor === 9)) || major >= 12 ? 'cuda.sm86' : 'cuda.sm80';
}

/** What kernels may ask of an opened WebGPU device; nothing of other devices. */
export function capabilitiesOf(runtime: Runtime): WgslCapabilities | undefined {
  return isWebGpu(runtime) ? runtime.capabilities : undefined;
}

function isWebGpu(runtime: Runtime): runtime is WebGpuRuntime {
  return runtime.kind === 'webgpu';
}

function isCuda(runtime: Runtime): runtime is CudaRuntime {
  return runtime.kind === 'cuda';
}

async function opened(backend: Backend, status: RuntimeStatus | CudaRuntimeStatus): Promise<{ readonly runtime: Runtime } | Problem> {
  if (!status.available) {
    return problem(
      'E601', `no ${backend} device answers: ${status.why}`, status.remedy,
      '`lmoec doctor` shows what was found; --backend oracle needs no device',
    );
  }
  try {
    return { runtime: await status.open() };
  } catch (error) {
    return runtimeProblem('E601', error);
  }
}

/** What a runtime refused, as a problem; what only we can cause is thrown on. */
export function runtimeProblem(code: 'E601' | 'E602' | 'E604', error: unknown): Problem {
  if (!(error instanceof RuntimeError)) throw error;
  return problem(error instanceof LimitError ? 'E812' : code, error.message, error.remedy);
}
