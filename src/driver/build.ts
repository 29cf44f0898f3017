import type { IoDtype } from '../ir/common/dtype.js';
import type { Axis } from '../ir/common/axes.js';
import type { Target } from '../ir/plan/plan.js';
import { printSurfaces } from '../emit/bindings/project.js';
import { cubinName, ptxName } from '../runtime/cuda/names.js';
import type { Host } from './host.js';
import { compilerVersion } from './installed.js';
import type { BuildRequest, Built } from './kind.js';
import { kindOf } from './kinds.js';
import { compileCuda, findNvcc, type CudaJob } from './nvcc.js';
import type { Output } from './output.js';
import { chosenParts, settingsFor, type Settings } from './parts.js';
import { problem, type Failed, type Problem } from './problem.js';
import type { Source } from './session.js';
import { DEFAULT_TARGETS } from './targets.js';
import { setProblem, type Signed } from './together.js';
import type { TorchPackage } from './torch.js';

export interface BuildOptions {
  readonly targets: readonly Target[];
  /** Does the user name them? */
  readonly asked: boolean;
  /** undefined: the default of each target. */
  readonly dtypes: readonly IoDtype[] | undefined;
  readonly sizes: ReadonlyMap<Axis, number>;
  /** Only the declaration of this name. */
  readonly name: string | undefined;
  /** Besides sizes. */
  readonly settings: Settings;
  /** Kernels for whoever only serves: nothing of training, no gradients. */
  readonly evalOnly: boolean;
  /** Runs nvcc where it is found. */
  readonly machineCode: boolean;
  /** Written as text too, beside the kernels. */
  readonly levels: readonly string[];
}

export type BuildFailure = { readonly source: Source; readonly failed: Failed };

/** The command as generated files name it: what decides their content, and neither folders nor the order of options. */
function commandOf(host: Host, source: Source, options: BuildOptions): string {
  const list = (
    name: string, items: readonly string[] | undefined,
  ) => (items === undefined || items.length === 0 ? [] : [`${name} ${items.join(',')}`]);
  return [
    'lmoec build', host.basename(source.file),
    ...(options.targets.join() === DEFAULT_TARGETS.join() ? [] : list('--target', options.targets)),
    ...list('--dtype', options.dtypes),
    ...list('--size', [...options.sizes].map(([axis, size]) => `${axis}=${size}`)),
    ...[...options.settings].map(([key, value]) => `--with ${key}=${value}`),
    ...(options.evalOnly ? ['--eval'] : []),
  ].join(' ');
}

/** Builds everything that the sources declare. Collects all failures, so that one round shows them all. */
export async function buildAll(
  host: Host, sources: readonly Source[], options: BuildOptions, step: (name: string) => void,
): Promise<readonly Built[] | { readonly failures: readonly BuildFailure[] }> {
  const built: Built[] = [];
  const failures: BuildFailure[] = [];
  const signed: Signed[] = [];
  const given = new Map<string, number | string>([...options.sizes, ...options.settings]);
  for (const source of sources) {
    const parts = chosenParts(source, options.name);
    if ('code' in parts) {
      failures.push({ source, failed: parts });
      continue;
    }
    for (const part of parts) {
      const declaration = { source, part };
      const kind = kindOf(declaration);
      step(part.name);
      await host.breathe();
      const own = settingsFor(part, given);
      const signature = kind.signature(declaration, own);
      const targets = kind.kernels === 'always' || (kind.kernels === 'asked' && options.asked) ? options.targets : [];
      const request: BuildRequest = {
        ...options, targets, given: new Map([...options.sizes, ...own]), command: commandOf(host, source, options),
      };
      const made = 'required' in signature ? await kind.build(host, declaration, request) : signature;
      if (!('binding' in made)) failures.push({ source, failed: made });
      else built.push(made);
      if ('required' in signature) signed.push({ ...declaration, signature, folder: true });
    }
  }
  const together = setProblem(signed, given.keys(), failures.length > 0);
  if (together !== undefined) failures.push(together);
  return failures.length > 0 ? { failures } : built;
}

/**
 * What a build writes: one folder per declaration, with `NAME.ts` and whatever its kind adds (`TARGET.DTYPE/plan.json` with the kernels
 * beside it); one per Python package.
 */
export interface Packages extends Output {
  /** Why there is no machine code though it was wanted. */
  readonly note: string | undefined;
}

/**
 * Everything that a build writes. Machine code lies beside its source where nvcc is found. A package may share the folder of a declaration
 * of its name.
 */
export async function packagesOf(
  host: Host, built: readonly Built[], python: readonly TorchPackage[], options: BuildOptions, step: (text: string) => void,
): Promise<Packages | Problem> {
  const packages = new Map(built.map(({ part, files }) => [part.name, new Map(files)] as const));
  for (const { folder, files } of python) packages.set(folder, new Map([...packages.get(folder) ?? [], ...files]));
  const jobs = [...python, ...built].flatMap((made) => made.jobs);
  const note = options.machineCode && jobs.length > 0 ? await addMachineCode(host, packages, jobs, step) : undefined;
  if (note !== undefined && typeof note !== 'string') return note;
  if (built.length > 0) await addBindings(packages, built, step);
  return { folders: packages, compiler: compilerVersion(host), build: buildId(host, built, python), note };
}

async function addBindings(
  packages: ReadonlyMap<string, Map<string, string | Uint8Array>>, built: readonly Built[], step: (text: string) => void,
): Promise<void> {
  step('bindings');
  const texts = await printSurfaces(built.map(({ binding }) => binding));
  for (const { part, binding } of built) packages.get(part.name)?.set(binding.path, texts.get(binding.path) ?? '');
}

/** Adds cubins and PTX. A text says why there are none, a problem why there should be. */
async function addMachineCode(
  host: Host, packages: ReadonlyMap<string, Map<string, string | Uint8Array>>, jobs: readonly CudaJob[], step: (text: string) => void,
): Promise<string | Problem | undefined> {
  const nvcc = await findNvcc(host);
  if (!nvcc.found) {
    // A compiler that the user names must be there.
    if (host.env('LMOEC_NVCC')) return problem('E603', nvcc.why, 'correct LMOEC_NVCC, or leave machine code out with --sources');
    return `no machine code: ${nvcc.why}; NVRTC compiles CUDA kernels when they are first loaded`;
  }
  step(`nvcc: 0 of ${jobs.length}`);
  const objects = await compileCuda(host, nvcc, jobs, (done) => step(`nvcc: ${done} of ${jobs.length}`));
  if ('code' in objects) return objects;
  for (const [path, { cubin, ptx }] of objects) {
    const [scan, ...rest] = path.split('/');
    const name = rest.join('/');
    packages.get(scan)?.set(cubinName(name), cubin);
    packages.get(scan)?.set(ptxName(name), ptx);
  }
  return undefined;
}

/** A hash of all that decides what a build makes: of folders with the same one, all were made together. */
function buildId(host: Host, built: readonly Built[], python: readonly TorchPackage[]): string {
  return host.sha256(JSON.stringify(built.map((made) => made.identity)), ...python.map(({ identity }) => identity));
}
