import type { IoDtype } from '../ir/common/dtype.js';
import type { Axis } from '../ir/common/axes.js';
import type { Target } from '../ir/plan/plan.js';
import { signatureOf } from '../ir/spec/signature.js';
import type { Spec } from '../ir/spec/spec.js';
import { bindingSurface } from '../emit/bindings/surface.js';
import { printSurfaces } from '../emit/bindings/project.js';
import { cubinName, ptxName } from '../runtime/cuda/names.js';
import { jsonText } from '../support/text.js';
import { compileScan, type Compiled } from './scan/compile.js';
import type { Host } from './host.js';
import { levelFiles, type LEVELS } from './scan/levels.js';
import { partFiles, type BuiltPart } from './graph/build.js';
import type { Settings } from './graph/settings.js';
import { compileCuda, cudaJobs, findNvcc, type CudaJob } from './nvcc.js';
import type { Output } from './output.js';
import { type Failed, problem, type Problem } from './problem.js';
import { ownParts, sizesOfScans } from './parts.js';
import { isProblem, ownScans, pickScan, type Source } from './session.js';
import { sizesFor } from './scan/sizes.js';
import { setProblem } from './together.js';
import type { TorchPackage } from './torch.js';
import { compilerVersion } from './installed.js';
import { DEFAULT_TARGETS, defaultDtype, variantFolder } from './targets.js';

export interface BuildOptions {
  readonly targets: readonly Target[];
  /** undefined: the default of each target. */
  readonly dtypes: readonly IoDtype[] | undefined;
  readonly sizes: ReadonlyMap<Axis, number>;
  /** Only the declaration of this name. */
  readonly name: string | undefined;
  /** Of layers, mixtures and models, besides sizes. */
  readonly settings: Settings;
  /** Runs nvcc where it is found. */
  readonly machineCode: boolean;
  /** Written as text too, beside the kernels. */
  readonly levels: readonly (typeof LEVELS)[number][];
}

/** One scan with everything that was made of it. */
export interface BuiltScan {
  readonly source: Source;
  readonly spec: Spec;
  readonly variants: readonly Compiled[];
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
  ].join(' ');
}

/** Compiles every scan of the sources. Collects all failures, so that one round shows them all. */
export async function compileAll(
  host: Host, sources: readonly Source[], options: BuildOptions, step: (scan: string) => void,
): Promise<readonly BuiltScan[] | { readonly failures: readonly BuildFailure[] }> {
  const built: BuiltScan[] = [];
  const failures: BuildFailure[] = [];
  for (const source of sources) {
    const picked = scansOf(source, options.name);
    if ('code' in picked) {
      failures.push({ source, failed: picked });
      continue;
    }
    for (const spec of picked) {
      step(spec.name);
      await host.breathe();
      const made = await compileOne(host, source, spec, options);
      if ('failed' in made) failures.push(made);
      else built.push(made);
    }
  }
  const together = setProblem(built, sizesOfScans(sources, options.sizes), failures.length > 0);
  if (together !== undefined) failures.push(together);
  return failures.length > 0 ? { failures } : built;
}

/** Scans to build; none where the file has other declarations, or the name is one of theirs. */
function scansOf(source: Source, name: string | undefined): readonly Spec[] | Problem {
  const others = ownParts(source).filter(({ kind }) => kind !== 'scan');
  if (name !== undefined) {
    if (others.some((part) => part.name === name)) return [];
    const picked = pickScan(source, name);
    return 'code' in picked ? picked : [picked];
  }
  const own = ownScans(source);
  return 'code' in own && others.length > 0 ? [] : own;
}

async function compileOne(host: Host, source: Source, spec: Spec, options: BuildOptions): Promise<BuiltScan | BuildFailure> {
  const sizes = sizesFor(spec, options.sizes);
  if (isProblem(sizes)) return { source, failed: sizes };
  const variants: Compiled[] = [];
  for (const target of options.targets) {
    for (const dtype of options.dtypes ?? [defaultDtype(target)]) {
      const compiled = await compileScan(host, source, spec, { target, dtype, sizes, command: commandOf(host, source, options) });
      if (!('plan' in compiled)) return { source, failed: compiled };
      variants.push(compiled);
    }
  }
  return { source, spec, variants };
}

/**
 * What a build writes: one folder per scan, with `NAME.ts`, and `TARGET.DTYPE/plan.json` with the kernels and levels beside it; one per
 * Python package.
 */
export interface Packages extends Output {
  /** Why there is no machine code though it was wanted. */
  readonly note: string | undefined;
}

/**
 * Everything that a build writes. Machine code lies beside its source where nvcc is found. A package may share the folder of a scan of its
 * name.
 */
export async function packagesOf(
  host: Host, scans: readonly BuiltScan[], parts: readonly BuiltPart[], python: readonly TorchPackage[],
  options: BuildOptions, step: (text: string) => void,
): Promise<Packages | Problem> {
  const packages = new Map<string, Map<string, string | Uint8Array>>();
  const jobs: CudaJob[] = python.flatMap((made) => made.jobs);
  for (const { spec, variants } of scans) {
    const files = new Map<string, string | Uint8Array>(levelFiles(spec, variants, options.levels));
    packages.set(spec.name, files);
    for (const variant of variants) {
      const folder = variantFolder(variant.plan);
      files.set(`${folder}/plan.json`, `${jsonText(variant.plan, 1)}\n`);
      for (const [name, text] of variant.files) files.set(`${folder}/${name}`, text);
      jobs.push(...cudaJobs(`${spec.name}/${folder}/`, variant.plan, variant.files));
    }
  }
  for (const [name, files] of await partFiles(host, parts, (source) => commandOf(host, source, options))) packages.set(name, files);
  for (const { folder, files } of python) packages.set(folder, new Map([...packages.get(folder) ?? [], ...files]));
  const note = options.machineCode && jobs.length > 0 ? await addMachineCode(host, packages, jobs, step) : undefined;
  if (note !== undefined && typeof note !== 'string') return note;
  if (scans.length > 0) await addBindings(packages, scans, step);
  return { folders: packages, compiler: compilerVersion(host), build: buildId(host, scans, parts, python), note };
}

async function addBindings(
  packages: ReadonlyMap<string, Map<string, string | Uint8Array>>, scans: readonly BuiltScan[], step: (text: string) => void,
): Promise<void> {
  step('bindings');
  const surfaces = scans.map(({ spec, variants }) => bindingSurface(
    signatureOf(spec), variants.map((variant) => ({ folder: variantFolder(variant.plan), plan: variant.plan })),
  ));
  const texts = await printSurfaces(surfaces);
  for (const [index, { spec }] of scans.entries()) packages.get(spec.name)?.set(
    surfaces[index].path, texts.get(surfaces[index].path) ?? '',
  );
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
function buildId(host: Host, scans: readonly BuiltScan[], parts: readonly BuiltPart[], python: readonly TorchPackage[]): string {
  const made = scans.map(({ spec, variants }) => [spec.name, variants.map(({ plan }) => [variantFolder(plan), plan.sizes, plan.source])]);
  const graphs = parts.map(({ source, part, other }) => [part.name, source.hash, [...other.settings]]);
  return host.sha256(JSON.stringify([...made, ...graphs]), ...python.map(({ identity }) => identity));
}
