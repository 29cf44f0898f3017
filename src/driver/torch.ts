import { isPackageName } from '../emit/torch/names.js';
import { planFolder, printPackage, type PackageScan } from '../emit/torch/package.js';
import { signatureOf as pythonSignature } from '../emit/torch/signature.js';
import type { Axis } from '../ir/common/axes.js';
import type { IoDtype } from '../ir/common/dtype.js';
import type { Target } from '../ir/plan/plan.js';
import { signatureOf } from '../ir/spec/signature.js';
import type { Spec } from '../ir/spec/spec.js';
import { adjoint } from '../passes/adjoint/adjoint.js';
import { backwardToken, forwardToken } from '../passes/adjoint/token.js';
import { normalize } from '../passes/normalize/normalize.js';
import type { BuildFailure } from './build.js';
import { compileScan, ioDtypeOf, type Compiled } from './scan/compile.js';
import type { Host } from './host.js';
import { cudaJobs, type CudaJob } from './nvcc.js';
import { type Failed, problem, type Problem } from './problem.js';
import { isProblem, ownScans, pickScan, type Source } from './session.js';
import { sizesFor } from './scan/sizes.js';
import { unknownAxis } from './together.js';
import { compilerVersion, templatesOf } from './installed.js';
import { defaultDtype } from './targets.js';

export interface TorchOptions {
  /** undefined: the name of the file. */
  readonly name: string | undefined;
  readonly version: string;
  /** CUDA targets of its kernels. */
  readonly targets: readonly Target[];
  readonly dtypes: readonly IoDtype[] | undefined;
  /** One set of plans for each. */
  readonly sizes: readonly ReadonlyMap<Axis, number>[];
  readonly scan: string | undefined;
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
  const picked = options.scan === undefined ? ownScans(source) : pickScan(source, options.scan);
  if ('code' in picked) return picked;
  const specs = 'name' in picked ? [picked] : picked;
  const unknown = options.sizes.flatMap((sizes) => unknownAxis(specs, sizes) ?? [])[0];
  if (unknown !== undefined) return unknown;
  const scans: PackageScan[] = [];
  for (const spec of specs) {
    step(spec.name);
    await host.breathe();
    const scan = await packageScan(host, source, spec, name, options);
    if (!('signature' in scan)) return scan;
    scans.push(scan);
  }
  const command = commandOf(host, source, name, options);
  const identity = host.sha256(source.hash, compilerVersion(host), command, name, options.version);
  const files = printPackage({
    name, version: options.version, source: {
      hash: source.hash, compiler: compilerVersion(host), command,
    }, scans, templates: templatesOf(host, 'torch'), identity,
  });
  const jobs = scans.flatMap(({ signature, plans }) => plans.flatMap(({ plan, files: kernels }) => (
    cudaJobs(`${name}/${planFolder(name, signature, plan)}/`, plan, kernels)
  )));
  return { folder: name, files, jobs, identity };
}

async function packageScan(host: Host, source: Source, spec: Spec, name: string, options: TorchOptions): Promise<PackageScan | Failed> {
  const compiled: Compiled[] = [];
  for (const given of options.sizes) {
    const sizes = sizesFor(spec, given);
    if (isProblem(sizes)) return sizes;
    for (const target of options.targets) {
      for (const dtype of options.dtypes ?? [defaultDtype(target)]) {
        const made = await compileScan(host, source, spec, { target, dtype, sizes, command: commandOf(host, source, name, options) });
        if (!('plan' in made)) return made;
        compiled.push(made);
      }
    }
  }
  const token = forwardToken(spec);
  const forward = spec.mode === 'sequential' ? undefined : normalize(spec, true);
  return {
    spec,
    signature: pythonSignature(signatureOf(spec), ioDtypeOf(compiled[0].module)),
    programs: {
      token, tokenBackward: backwardToken(spec, token),
      chunked: forward === undefined ? undefined : { forward, backward: adjoint(spec, forward) },
    },
    formula: declarationOf(source, spec),
    plans: compiled,
  };
}

/** The text of a scan without the comments before it. */
function declarationOf(source: Source, spec: Spec): string {
  const item = source.ast?.items.find((candidate) => candidate.kind === 'scan' && candidate.name.text === spec.name);
  return item === undefined ? '' : source.text.slice(item.origin.start, item.origin.end);
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
    ...(options.name === undefined ? [] : [`--package ${name}`]),
    ...(options.version === '0.1.0' ? [] : [`--version ${options.version}`]),
  ].join(' ');
}
