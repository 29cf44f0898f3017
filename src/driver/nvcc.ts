import type { Plan, Target } from '../ir/plan/plan.js';
import { cubinName, ptxName, realArchitecture } from '../runtime/cuda/names.js';
import { cacheOf } from './cache.js';
import type { Host } from './host.js';
import { problem, type Problem } from './problem.js';

export type Nvcc =
  | { readonly found: true; readonly program: string; readonly version: string }
  | { readonly found: false; readonly why: string };

/** nvcc of LMOEC_NVCC, CUDA_HOME, the PATH or /usr/local/cuda; 12.0 or later, since older ones know no sm_90a. */
export async function findNvcc(host: Host): Promise<Nvcc> {
  const named = host.env('LMOEC_NVCC');
  const home = host.env('CUDA_HOME') ?? host.env('CUDA_PATH');
  const candidates = named !== undefined && named !== ''
    ? [named]
    : [...(home === undefined ? [] : [host.join(home, 'bin/nvcc')]), 'nvcc', '/usr/local/cuda/bin/nvcc'];
  let old: string | undefined;
  for (const program of candidates) {
    const answer = await host.run(program, ['--version']);
    const version = /release (\d+\.\d+)/.exec(answer.stdout)?.[1];
    if (answer.code !== 0 || version === undefined) continue;
    if (Number(version.split('.')[0]) >= 12) return { found: true, program, version };
    old = version;
  }
  return {
    found: false,
    why: old === undefined
      ? `nvcc was not found (${named === undefined ? 'looked in CUDA_HOME, PATH and /usr/local/cuda' : `LMOEC_NVCC=${named}`})`
      : `nvcc ${old} is too old: 12.0 or later is needed`,
  };
}

export interface CudaJob {
  /** Path of the source, as messages name it. */
  readonly file: string;
  readonly text: string;
  /** Texts that it includes, by name. */
  readonly includes: ReadonlyMap<string, string>;
  readonly target: Target;
}

/** The sources of a plan that lies in a folder. */
export function cudaJobs(folder: string, plan: Pick<Plan, 'prelude' | 'target'>, files: ReadonlyMap<string, string>): readonly CudaJob[] {
  const included = plan.prelude === undefined ? undefined : files.get(plan.prelude);
  const includes = new Map(plan.prelude === undefined || included === undefined ? [] : [[plan.prelude, included]]);
  return [...files].filter(([name]) => name.endsWith('.cu')).map(([name, text]) => (
    { file: `${folder}${name}`, text, includes, target: plan.target }
  ));
}

/** Machine code of one source: what lies beside it. */
export interface CudaObject {
  readonly cubin: Uint8Array;
  readonly ptx: Uint8Array;
}

/**
 * Compiles sources to cubin and PTX, as many at a time as there are cores. Results of earlier runs are taken from the cache, whose key is
 * everything that decides the result. Reports the first compiler message where one fails.
 */
export async function compileCuda(
  host: Host, nvcc: Extract<Nvcc, { found: true }>, jobs: readonly CudaJob[], done: (finished: number) => void,
): Promise<ReadonlyMap<string, CudaObject> | Problem> {
  const results = new Map<string, CudaObject>();
  let failed: Problem | undefined;
  // Long ones first: no worker begins one when the others are done.
  const waiting = [...jobs].sort((a, b) => a.text.length - b.text.length);
  const worker = async (): Promise<void> => {
    for (let job = waiting.pop(); job !== undefined && failed === undefined; job = waiting.pop()) {
      const result = await compileOne(host, nvcc, job);
      if ('code' in result) failed ??= result;
      else {
        results.set(job.file, result);
        done(results.size);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(host.cores, jobs.length) }, worker));
  return failed ?? results;
}

async function compileOne(host: Host, nvcc: Extract<Nvcc, { found: true }>, job: CudaJob): Promise<CudaObject | Problem> {
  const architecture = realArchitecture(job.target);
  if (architecture === undefined) return problem('E603', `${job.file} is not CUDA: its target is ${job.target}`);
  const options = [`-arch=${architecture}`, '-std=c++17'];
  const cache = cacheOf(host, 'nvcc');
  const key = host.sha256(job.text, ...[...job.includes].flat(), nvcc.version, ...options);
  const known = { cubin: cache.get(`${key}.cubin`), ptx: cache.get(`${key}.ptx`) };
  if (known.cubin !== undefined && known.ptx !== undefined) return { cubin: known.cubin, ptx: known.ptx };
  const folder = host.temporary();
  if (typeof folder === 'string') return problem(
    'E701', folder, 'set TMPDIR to a folder that can be written', 'with --sources nothing is compiled',
  );
  try {
    // A fixed name: machine code must not depend on where the source lay.
    for (const [name, text] of [['kernel.cu', job.text] as const, ...job.includes]) {
      const unwritten = host.write(host.join(folder.path, name), text);
      if (unwritten !== undefined) return problem('E701', unwritten);
    }
    // One run makes both: --keep leaves the PTX on the way to the cubin.
    const finished = await host.run(
      nvcc.program, ['-cubin', ...options, '--keep', '-o', cubinName('kernel.cu'), 'kernel.cu'], { cwd: folder.path },
    );
    const cubin = host.readBytes(host.join(folder.path, cubinName('kernel.cu')));
    const ptx = host.readBytes(host.join(folder.path, ptxName('kernel.cu')));
    if (finished.code !== 0 || cubin === undefined || ptx === undefined) {
      const first = finished.stderr.split('\n').find((line) => /error/.test(line)) ?? finished.stderr.trim().split('\n')[0];
      return problem(
        'E603', `nvcc does not compile ${job.file}${kernelAt(job.text, first)}: ${first}`,
        'this is an error in lmoec: please report it with the .lmoe file', 'with --sources nothing is compiled',
      );
    }
    cache.keep(`${key}.cubin`, cubin);
    cache.keep(`${key}.ptx`, ptx);
    return { cubin, ptx };
  } finally {
    folder.discard();
  }
}

/** The kernel that a message is about, if its line says so. */
function kernelAt(text: string, message: string): string {
  const line = Number(/^kernel\.cu\((\d+)\)/.exec(message)?.[1] ?? 0);
  const before = text.split('\n').slice(0, line).join('\n');
  const name = [...before.matchAll(/__global__ void (?:__launch_bounds__\([^)]*\) )?(\w+)\(/g)].at(-1)?.[1];
  return name === undefined ? '' : `, ${name}`;
}
