import { isPackageName } from '../emit/torch/names.js';
import { diagnostic } from '../diagnostics/diagnostic.js';
import { plansOf, printPackage, type PackageScan } from '../emit/torch/package.js';
import type { PackagePart } from '../emit/torch/part/package.js';
import type { Axis } from '../ir/common/axes.js';
import type { IoDtype } from '../ir/common/dtype.js';
import type { Target } from '../ir/plan/plan.js';
import type { BuildFailure } from './build.js';
import type { Host } from './host.js';
import { compilerVersion, templatesOf } from './installed.js';
import { kindOf } from './kinds.js';
import { cudaJobs, type CudaJob } from './nvcc.js';
import { chosenParts, type Settings } from './parts.js';
import { problem, type Failed, type Problem } from './problem.js';
import type { Source } from './session.js';
import { unknownSetting, type Signed } from './together.js';

export interface TorchOptions {
  /** undefined: the name of the file. */
  readonly name: string | undefined;
  readonly version: string;
  /** CUDA targets of its kernels. */
  readonly targets: readonly Target[];
  readonly dtypes: readonly IoDtype[] | undefined;
  /** One set of plans for each. */
  readonly sizes: readonly ReadonlyMap<Axis, number>[];
  /** How many experts of a mixture a rank may have; none: no kernels of its parts. */
  readonly experts: readonly number[];
  /** Other numbers, the same in all of them. */
  readonly settings: Settings;
  /** Kernels for whoever only serves: nothing of training, no gradients. */
  readonly evalOnly: boolean;
  /** Only the declaration of this name. */
  readonly part: string | undefined;
}

/** The folder of a package, and what nvcc can make of it. */
export interface TorchPackage {
  readonly folder: string;
  readonly files: ReadonlyMap<string, string>;
  readonly jobs: readonly CudaJob[];
  readonly identity: string;
}

export const TORCH_TARGETS: readonly Target[] = ['cuda.sm80', 'cuda.sm90'];

/** One package per source, or why one of them cannot be made. */
export async function torchPackages(
  host: Host, sources: readonly Source[], options: TorchOptions, step: (scan: string) => void,
): Promise<readonly TorchPackage[] | { readonly failures: readonly BuildFailure[] }> {
  const made: TorchPackage[] = [];
  const failures: BuildFailure[] = [];
  for (const source of sources) {
    const result = await torchPackage(host, source, options, step);
    if ('folder' in result) made.push(result);
    else failures.push({ source, failed: result });
  }
  const twice = made.find(({ folder }, i) => made.some((other, j) => j < i && other.folder === folder));
  if (twice !== undefined) {
    const failed = problem('E705', `two files both make a package \`${twice.folder}\``, 'build them one at a time, with --package');
    failures.push({ source: sources[0], failed });
  }
  return failures.length > 0 ? { failures } : made;
}

async function torchPackage(
  host: Host, source: Source, options: TorchOptions, step: (scan: string) => void,
): Promise<TorchPackage | Failed> {
  const name = packageName(host, source, options.name);
  if (typeof name !== 'string') return name;
  const signed = signedParts(source, options.part);
  if ('code' in signed || 'diagnostics' in signed) return signed;
  const given = options.sizes.map((sizes) => new Map<string, number | string>([...sizes, ...options.settings]));
  const unknown = given.flatMap((some) => unknownSetting(signed, some.keys()) ?? [])[0];
  if (unknown !== undefined) return unknown;
  const command = commandOf(host, source, name, options);
  const scans: PackageScan[] = [];
  const parts: PackagePart[] = [];
  for (const declaration of signed) {
    step(declaration.part.name);
    await host.breathe();
    const made = await kindOf(declaration).python?.(host, declaration, { ...options, name, command, given });
    if (made === undefined) continue;
    if ('scan' in made) scans.push(made.scan);
    else if ('part' in made) parts.push(made.part);
    else return made;
  }
  const identity = host.sha256(source.hash, compilerVersion(host), command, name, options.version);
  const files = printPackage({
    name, version: options.version, source: {
      hash: source.hash, compiler: compilerVersion(host), command,
    }, scans, parts, templates: templatesOf(host, 'torch'), identity,
  });
  const jobs = plansOf({ name, scans, parts }).flatMap(({ folder, plan, files: kernels }) => cudaJobs(`${name}/${folder}/`, plan, kernels));
  return { folder: name, files, jobs, identity };
}

/** What of a file becomes functions of a package. */
function signedParts(source: Source, name: string | undefined): readonly Signed[] | Failed {
  const parts = chosenParts(source, name);
  if ('code' in parts) return parts;
  const signed: Signed[] = [];
  for (const part of parts) {
    const { python, signature } = kindOf({ part });
    if (python === undefined) continue;
    const found = signature({ source, part }, new Map());
    if (!('required' in found)) return found;
    signed.push({ source, part, signature: found, folder: false });
  }
  if (signed.length > 0) return signed;
  const { name: first, origin } = parts[0];
  return {
    diagnostics: [diagnostic(
      'E815', `\`${first}\` has no kernels yet`, origin, `a Python package has no functions of a ${kindOf({ part: parts[0] }).words[0]}`,
      { help: [
        'name a layer, a mixture or a scan of the file with --name', 'leave --target out: it runs in the interpreter, with gradients',
      ] },
    )],
  };
}

function packageName(host: Host, source: Source, given: string | undefined): string | Problem {
  const name = given ?? host.basename(source.file).replace(/\.lmoe$/, '').replace(/[-. ]/g, '_');
  if (isPackageName(name)) return name;
  const title = `a package cannot be called \`${name}\`: Python cannot import it, or it would hide a module that is needed`;
  return problem('E705', title, 'choose another with --package NAME: letters, digits and _');
}

/** The command as generated files name it: what decides their content, and neither folders nor the order of options. */
function commandOf(host: Host, source: Source, name: string, options: TorchOptions): string {
  const targets = options.targets.join() === TORCH_TARGETS.join() ? [] : options.targets;
  return [
    'lmoec build', host.basename(source.file), `--target ${['torch', ...targets].join(',')}`,
    ...(options.dtypes === undefined ? [] : [`--dtype ${options.dtypes.join(',')}`]),
    ...options.sizes.filter((sizes) => sizes.size > 0)
      .map((sizes) => `--size ${[...sizes].map(([axis, size]) => `${axis}=${size}`).join(',')}`),
    ...(options.experts.length === 0 ? [] : [`--experts ${options.experts.join(',')}`]),
    ...[...options.settings].map(([key, value]) => `--with ${key}=${value}`),
    ...(options.evalOnly ? ['--eval'] : []),
    ...(options.name === undefined ? [] : [`--package ${name}`]),
    ...(options.version === '0.1.0' ? [] : [`--version ${options.version}`]),
  ].join(' ');
}
