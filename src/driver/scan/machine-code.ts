import { cubinName, ptxName } from '../../runtime/cuda/names.js';
import { cacheOf } from '../cache.js';
import type { Compiled } from './compile.js';
import type { Host } from '../host.js';
import { compileCuda, cudaJobs, findNvcc } from '../nvcc.js';
import type { Problem } from '../problem.js';

export interface MachineCode {
  /** Cubins and PTX by file name, to be given to the runtime along with the sources. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Keeps what NVRTC made while loading for the next run. */
  keep(compiled: ReadonlyMap<string, Uint8Array>): void;
}

/** Machine code for a run: by nvcc where it is found, else what NVRTC made the last time (both cached; NVRTC fills in what is missing). */
export async function machineCode(host: Host, { plan, files }: Compiled): Promise<MachineCode | Problem> {
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
