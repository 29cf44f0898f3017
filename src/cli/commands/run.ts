import { BACKENDS, openDevice } from '../../driver/devices.js';
import { nodeHost } from '../../driver/host.js';
import { kindOf } from '../../driver/kinds.js';
import { pickPart } from '../../driver/parts.js';
import { problem, type Problem } from '../../driver/problem.js';
import type { Comparison } from '../../driver/run/compare.js';
import type { RunReport, RunRequest } from '../../driver/run/report.js';
import { isProblem, openSource } from '../../driver/session.js';
import { TARGETS } from '../../driver/targets.js';
import { jsonText } from '../../support/text.js';
import { choice, EXIT, guarded, list, parse, settingsOf, sizesOf, UsageError, type Command } from '../command.js';
import { reportFailure, reportProblems, reportSource } from '../report.js';
import { table, terminalUi, type Ui } from '../ui.js';

/** The command line, checked. */
function requestOf(args: readonly string[]) {
  const { values, positionals } = parse(args, {
    name: { type: 'string' },
    scan: { type: 'string' },
    inputs: { type: 'string' },
    out: { type: 'string', short: 'o' },
    backend: { type: 'string' },
    target: { type: 'string' },
    dtype: { type: 'string' },
    check: { type: 'boolean' },
    size: { type: 'string', multiple: true },
    lengths: { type: 'string', multiple: true },
    seed: { type: 'string' },
    states: { type: 'string' },
    with: { type: 'string', multiple: true },
    training: { type: 'boolean' },
    json: { type: 'boolean' },
  });
  const [file, ...others] = positionals;
  if (file === undefined || others.length > 0) throw new UsageError('run: name one .lmoe file');
  const seed = Number(values.seed ?? 1);
  if (!Number.isInteger(seed)) throw new UsageError(`--seed ${values.seed}: must be a whole number`);
  const sizes = sizesOf(values.size ?? []);
  const lengths = values.lengths === undefined ? undefined : list('--lengths', values.lengths).map(lengthOf);
  if (lengths !== undefined && (sizes.has('B') || sizes.has('T'))) throw new UsageError('run: --lengths says what B and T are');
  if (values.inputs !== undefined && (lengths !== undefined || values.states !== undefined)) {
    throw new UsageError('run: lengths and states come from the tensors of --inputs; --lengths and --states are for random ones');
  }
  const states = choice('--states', values.states ?? 'declared', ['declared', 'random']);
  const request: RunRequest = {
    from: values.inputs === undefined ? { lengths, states } : { file: values.inputs },
    sizes,
    settings: settingsOf(values.with ?? []),
    training: values.training === true,
    seed,
    backend: values.backend === undefined ? undefined : choice('--backend', values.backend, BACKENDS),
    target: values.target === undefined ? undefined : choice('--target', values.target, TARGETS),
    dtype: choice('--dtype', values.dtype ?? 'f32', ['f32', 'f16', 'bf16']),
    check: values.check === true,
  };
  const options = { out: values.out, json: values.json === true, check: request.check };
  return { file, name: values.name ?? values.scan, request, options };
}

function lengthOf(text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`--lengths ${text}: write the tokens of every sequence, for example --lengths 64,1,77`);
  return Number(text);
}

/** Runs one declaration on the tensors of a file, or on random ones (README: files in, files out). */
export const run: Command = (args) => guarded(async () => {
  const { file, name, request, options } = requestOf(args);
  const ui = terminalUi();
  const host = nodeHost();
  const fail = (...problems: readonly Problem[]): number => {
    reportProblems(ui, problems);
    return EXIT.failed;
  };
  const source = openSource(host, file);
  if (isProblem(source)) return fail(source);
  reportSource(ui, source);
  if (source.failed) return EXIT.failed;
  const part = pickPart(source, name);
  if (isProblem(part)) return fail(part);
  const kind = kindOf({ part });
  const useless = kind.useless(request);
  if (useless !== undefined) throw new UsageError(`run: ${useless}`);
  const prepared = await kind.prepare(host, { source, part }, request);
  if ('failures' in prepared) {
    for (const failed of prepared.failures) reportFailure(ui, source, failed);
    return EXIT.failed;
  }
  for (const warning of prepared.warnings) ui.err(`warning: ${warning}`);
  const device = await openDevice(host, kind.kernels === 'never' ? request.backend ?? 'oracle' : request.backend);
  if (isProblem(device)) return fail(device);
  const idle = device.runtime === undefined ? kind.useless({ ...request, backend: 'oracle' }) : undefined;
  if (idle !== undefined) throw new UsageError(`run: ${idle}`);
  try {
    ui.progress(`running ${part.name}`);
    const report = await prepared.run(device.runtime);
    ui.progress(undefined);
    if (!('comparisons' in report)) {
      reportFailure(ui, source, report);
      return EXIT.failed;
    }
    if (options.out !== undefined) {
      const why = host.write(options.out, report.file());
      if (why !== undefined) return fail(problem('E701', why, 'choose another file with --out'));
    }
    return show(ui, report, options);
  } finally {
    device.runtime?.release();
  }
});

function verdict({ passed, error, allowed, conditioning, meaningless }: Comparison): string {
  if (meaningless !== undefined) return 'FAILED: the formula itself gives no finite number that f32 holds';
  if (passed) return error <= allowed ? 'ok' : 'ok: negligible';
  return conditioning === undefined ? 'FAILED' : `FAILED (one rounding of the inputs: ${conditioning.toExponential(1)})`;
}

function show(
  ui: Ui, report: RunReport, options: { readonly check: boolean; readonly json: boolean; readonly out: string | undefined },
): number {
  const failed = report.comparisons.filter((comparison) => !comparison.passed);
  const status = failed.length === 0 ? EXIT.ok : EXIT.failed;
  if (options.json) {
    // JSON has no Infinity; null stands for an error without measure.
    ui.out(jsonText({ ...report.json, passed: status === EXIT.ok, tensors: report.comparisons }, 2));
    return status;
  }
  ui.out(report.title);
  for (const rows of report.tables) ui.out(table(rows));
  if (options.check && report.comparisons.length === 0) ui.out(`nothing to compare: ${report.comparable}`);
  if (report.comparisons.length > 0) {
    const number = (value: number): string => (Number.isFinite(value) ? value.toExponential(1) : 'not finite');
    ui.out(table([
      ['tensor', '', 'rms error', 'allowed', 'largest difference', ''],
      ...report.comparisons.map((c) => [
        c.name, c.role, ...(c.meaningless === undefined ? [number(c.error), number(c.allowed), number(c.maxDifference)] : ['', '', '']),
        verdict(c),
      ]),
    ]));
  }
  if (failed.some(({ conditioning = 0, allowed }) => conditioning > allowed / 2)) {
    ui.err(
      `in ${report.dtype} this formula has fewer digits than is asked for: one rounding of the inputs moves what it means by the amounts `
      + 'above (docs/algorithms.md: tolerances)',
    );
  }
  if (report.meaningless !== undefined) reportProblems(ui, [report.meaningless]);
  const wrong = failed.filter(({ meaningless }) => meaningless === undefined);
  if (wrong.length > 0) {
    const names = wrong.map((c) => `${c.role} ${c.name}`).join(', ');
    ui.err(`${wrong.length} of ${report.comparisons.length} tensors differ by more than is allowed: ${names}`);
  }
  if (options.out !== undefined) ui.out(`wrote ${options.out}`);
  else if (report.note !== undefined) ui.out(report.note);
  return status;
}

