import { buildAll, packagesOf, type BuildOptions } from '../../driver/build.js';
import { nodeHost, type Host } from '../../driver/host.js';
import type { Built } from '../../driver/kind.js';
import { BUILD_LEVELS } from '../../driver/kinds.js';
import { writeOutput } from '../../driver/output.js';
import { isProblem, openSources, type Source } from '../../driver/session.js';
import { DEFAULT_TARGETS, isDtype, TARGETS } from '../../driver/targets.js';
import { TORCH_TARGETS, torchPackages, type TorchOptions, type TorchPackage } from '../../driver/torch.js';
import { choice, EXIT, guarded, list, parse, settingsOf, sizesOf, UsageError, type Command } from '../command.js';
import { reportFailure, reportProblems, reportSource } from '../report.js';
import { terminalUi, type Ui } from '../ui.js';
import { watching, type Round } from '../watch.js';

interface Wanted {
  readonly paths: readonly string[];
  /** undefined: nothing is written. */
  readonly out: string | undefined;
  /** Its targets may be none, where only a Python package is wanted. */
  readonly options: BuildOptions;
  readonly torch: TorchOptions | undefined;
}

const WITH_TORCH = [...TARGETS, 'torch'] as const;
const isKernelTarget = (target: (typeof WITH_TORCH)[number]) => target !== 'torch';

/** Writes kernels, plans and bindings of everything that the files declare; nothing at all if one of them has an error. */
export const build: Command = (args) => guarded(async () => {
  const { values, positionals } = parse(args, {
    out: { type: 'string', short: 'o' },
    target: { type: 'string', multiple: true },
    dtype: { type: 'string', multiple: true },
    size: { type: 'string', multiple: true },
    name: { type: 'string' },
    scan: { type: 'string' },
    with: { type: 'string', multiple: true },
    package: { type: 'string' },
    version: { type: 'string' },
    eval: { type: 'boolean' },
    experts: { type: 'string', multiple: true },
    emit: { type: 'string', multiple: true },
    sources: { type: 'boolean' },
    watch: { type: 'boolean' },
  });
  if (positionals.length === 0) throw new UsageError('build: name at least one .lmoe file or a folder of them');
  const emit = list('--emit', values.emit).map((level) => choice('--emit', level, BUILD_LEVELS));
  const dtypes = list('--dtype', values.dtype).map((text) => {
    if (!isDtype(text)) throw new UsageError(`--dtype ${text}: must be one of f32, f16, bf16`);
    return text;
  });
  const named = list('--target', values.target).map((target) => choice('--target', target, WITH_TORCH));
  const targets = named.filter(isKernelTarget);
  const torch = named.length > targets.length;
  if (
    !torch && (values.package ?? values.version ?? values.experts) !== undefined
  ) throw new UsageError('--package, --version and --experts are of Python packages: add --target torch');
  // Sets of plans lie in Python packages only: CUDA targets beside several sizes say which devices a package is for.
  const packagesAlone = torch && (values.size ?? []).length > 1;
  if (
    packagesAlone && targets.includes('webgpu')
  ) throw new UsageError('--size: several make several plans, which only Python packages have: build webgpu by itself');
  const dtypesGiven = dtypes.length === 0 ? undefined : dtypes;
  const experts = list('--experts', values.experts).map((text) => {
    if (!/^[1-9]\d*$/.test(text)) throw new UsageError(`--experts ${text}: must be how many experts a rank has, as in --experts 8,16`);
    return Number(text);
  });
  const cuda = targets.filter((target) => target !== 'webgpu');
  const wanted: Wanted = {
    paths: positionals,
    out: values.out ?? (emit.length === 0 ? 'lmoec-out' : undefined),
    options: {
      targets: named.length === 0 ? DEFAULT_TARGETS : packagesAlone ? [] : targets,
      asked: named.length > 0,
      dtypes: dtypesGiven,
      sizes: sizesOf(values.size ?? []),
      name: values.name ?? values.scan,
      settings: settingsOf(values.with ?? []),
      evalOnly: values.eval === true,
      machineCode: values.sources !== true,
      levels: emit,
    },
    torch: torch ? {
      name: values.package,
      version: values.version ?? '0.1.0',
      targets: cuda.length === 0 ? TORCH_TARGETS : cuda,
      dtypes: dtypesGiven,
      sizes: values.size === undefined ? [new Map()] : values.size.map((text) => sizesOf([text])),
      experts: [...new Set(experts)],
      settings: settingsOf(values.with ?? []),
      evalOnly: values.eval === true,
      part: values.name ?? values.scan,
    } : undefined,
  };
  const host = nodeHost();
  const ui = terminalUi();
  const round = () => buildRound(host, ui, wanted);
  return values.watch === true ? watching(host, ui, round) : (await round()).status;
});

async function buildRound(host: Host, ui: Ui, wanted: Wanted): Promise<Round> {
  const opened = openSources(host, wanted.paths);
  const sources: Source[] = [];
  for (const source of opened) {
    if (isProblem(source)) reportProblems(ui, [source]);
    else {
      reportSource(ui, source);
      if (!source.failed) sources.push(source);
    }
  }
  const files = [...new Set(opened.flatMap((source) => ('files' in source ? source.files : [source.file])))];
  if (sources.length < opened.length) return { status: EXIT.failed, files };
  const step = (scan: string) => ui.progress(`compiling ${scan}`);
  const built = wanted.options.targets.length === 0 ? [] : await buildAll(host, sources, wanted.options, step);
  const python = wanted.torch === undefined || 'failures' in built ? [] : await torchPackages(host, sources, wanted.torch, step);
  ui.progress(undefined);
  const failures = [built, python].flatMap((made) => ('failures' in made ? made.failures : []));
  for (const { source, failed } of failures) reportFailure(ui, source, failed);
  if ('failures' in built || 'failures' in python) return { status: EXIT.failed, files };
  if (wanted.out !== undefined) return { status: await write(host, ui, built, python, wanted.out, wanted.options), files };
  ui.out(built.flatMap(({ text }) => (text === '' ? [] : [text])).join('\n'));
  return { status: EXIT.ok, files };
}

async function write(
  host: Host, ui: Ui, built: readonly Built[], python: readonly TorchPackage[], out: string, options: BuildOptions,
): Promise<number> {
  const packages = await packagesOf(host, built, python, options, (text) => ui.progress(text));
  const failed = 'code' in packages ? packages : writeOutput(host, out, packages);
  ui.progress(undefined);
  if (failed !== undefined) {
    reportProblems(ui, [failed]);
    return EXIT.failed;
  }
  if (!('code' in packages) && packages.note !== undefined) ui.err(packages.note);
  for (const { folder } of python) ui.out(`${host.join(out, folder)}: Python package; pip install ${host.join(out, folder)}`);
  for (const { part, summary } of built) ui.out(`${host.join(out, part.name)}: ${summary}`);
  return EXIT.ok;
}
