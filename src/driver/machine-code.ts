import { cubinName, ptxName } from '../runtime/cuda/names.js';
import type { Plan } from '../ir/plan/plan.js';
import type { LoadedPlan, Runtime } from '../runtime/runtime.js';
import { cacheOf } from './cache.js';
import { runtimeProblem } from './devices.js';
import type { Host } from './host.js';
import { compileCuda, cudaJobs, findNvcc } from './nvcc.js';
import type { Problem } from './problem.js';

/** Kernels as a back end writes them. */
export interface Kernels {
  readonly plan: Plan;
  /** Sources by the names in the plan. */
  readonly files: ReadonlyMap<string, string>;
}

interface MachineCode {
  /** Cubins and PTX by file name, to be given to the runtime along with the sources. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Keeps what NVRTC made while loading for the next run. */
  keep(compiled: ReadonlyMap<string, Uint8Array>): void;
}

/** Machine code for a run: by nvcc where it is found, else what NVRTC made the last time (both cached; NVRTC fills in what is missing). */
async function machineCode(host: Host, { plan, files }: Kernels): Promise<MachineCode | Problem> {
  const jobs = cudaJobs('', plan, files);
  const nvcc = await findNvcc(host);
  if (nvcc.found) {
    const objects = await compileCuda(host, nvcc, jobs, () => undefined);
    if ('code' in objects) return objects;
    // PTX for devices that the cubin is not for.
    return {
      files: new Map([...objects].flatMap(([file, { cubin, ptx }]) => [[cubinName(file), cubin], [ptxName(file), ptx]])),
      keep: () => undefined,
    };
  }
  const cache = cacheOf(host, 'nvrtc');
  const key = (name: string): string => {
    const job = jobs.find(({ file }) => cubinName(file) === name);
    return `${host.sha256(job?.text ?? '', ...[...job?.includes ?? []].flat(), plan.target)}.cubin`;
  };
  const known = jobs.flatMap(({ file }) => {
    const cubin = cache.get(key(cubinName(file)));
    return cubin === undefined ? [] : [[cubinName(file), cubin] as const];
  });
  return {
    files: new Map(known),
    keep(compiled) {
      for (const [name, cubin] of compiled) cache.keep(key(name), cubin);
    },
  };
}

/** Loads kernels for a run, or says why the device cannot have them. */
export async function loadKernels(host: Host, runtime: Runtime, kernels: Kernels): Promise<LoadedPlan | Problem> {
  const code = runtime.kind === 'cuda' ? await machineCode(host, kernels) : undefined;
  if (code !== undefined && 'code' in code) return code;
  try {
    const loaded = await runtime.load(kernels.plan, new Map<string, string | Uint8Array>([...kernels.files, ...(code?.files ?? [])]));
    if ('compiled' in loaded && loaded.compiled instanceof Map) code?.keep(loaded.compiled);
    return loaded;
  } catch (error) {
    return runtimeProblem('E602', error);
  }
}
