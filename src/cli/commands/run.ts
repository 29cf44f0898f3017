import { BACKENDS, openDevice } from '../../driver/devices.js';
import { nodeHost } from '../../driver/host.js';
import type { GraphRequest } from '../../driver/graph/prepare.js';
import { pickPart } from '../../driver/parts.js';
import { problem, type Problem } from '../../driver/problem.js';
import type { Comparison } from '../../driver/run/compare.js';
import { prepareRun, type RunInputs, type RunReport } from '../../driver/scan/run/run.js';
import { isProblem, openSource, pickScan } from '../../driver/session.js';
import { jsonText } from '../../support/text.js';
import { choice, EXIT, guarded, list, parse, settingsOf, sizesOf, UsageError, type Command } from '../command.js';
import { reportFailure, reportProblems, reportSource } from '../report.js';
import { table, terminalUi, type Ui } from '../ui.js';
import { runPart } from './run-graph.js';
import { TARGETS } from '../../driver/targets.js';

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
  const lengths = values.lengths === undefined ? undefined : list(values.lengths).map(lengthOf);
  if (lengths !== undefined && (sizes.has('B') || sizes.has('T'))) throw new UsageError('run: --lengths says what B and T are');
  if (values.inputs !== undefined && (lengths !== undefined || values.states !== undefined)) {
    throw new UsageError('run: lengths and states come from the tensors of --inputs; --lengths and --states are for random ones');
  }
  return {
    file,
    name: values.name ?? values.scan,
    inputs: values.inputs,
    sizes,
    lengths,
    seed,
    states: choice('--states', values.states ?? 'declared', ['declared', 'random']),
    settings: settingsOf(values.with ?? []),
    training: values.training === true,
    out: values.out,
    backend: values.backend === undefined ? undefined : choice('--backend', values.backend, BACKENDS),
    target: values.target === undefined ? undefined : choice('--target', values.target, TARGETS),
    dtype: choice('--dtype', values.dtype ?? 'f32', ['f32', 'f16', 'bf16']),
    check: values.check === true,
    json: values.json === true,
  };
}

function lengthOf(text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`--lengths ${text}: write the tokens of every sequence, for example --lengths 64,1,77`);
  return Number(text);
}

type Request = ReturnType<typeof requestOf>;

/** Tensors of a scan. */
function scanInputs({ inputs, sizes, lengths, seed, states, settings, training }: Request): RunInputs {
  if (
    inputs !== undefined && sizes.size > 0
  ) throw new UsageError('run: the sizes of a scan come from the tensors of --inputs; --size is for random ones');
  if (settings.size > 0 || training) throw new UsageError('run: --with and --training are for layers, mixtures and models');
  return inputs === undefined ? { sizes, lengths, seed, states } : { file: inputs };
}

/** Batch and tokens of a random call of a layer, mixture or model. */
const CALL = { B: 2, T: 64 };

function graphRequest({ inputs, sizes, lengths, seed, settings, training, backend, target, dtype }: Request): GraphRequest {
  if ((backend ?? 'oracle') !== 'oracle' || target !== undefined || dtype !== 'f32') {
    throw new UsageError('run: kernels do not exist yet for layers, mixtures and models: leave --backend, --target and --dtype out');
  }
  const own = [...sizes].filter(([name]) => !(name in CALL));
  const from = inputs === undefined ? { batch: sizes.get('B') ?? CALL.B, tokens: sizes.get('T') ?? CALL.T, lengths } : { file: inputs };
  return { settings: new Map<string, number | string>([...own, ...settings]), training, seed, from };
}

/** Runs one declaration on the tensors of a file, or on random ones (README: files in, files out). */
export const run: Command = (args) => guarded(async () => {
  const request = requestOf(args);
  const ui = terminalUi();
  const host = nodeHost();
  const fail = (...problems: readonly Problem[]): number => {
    reportProblems(ui, problems);
    return EXIT.failed;
  };
  const source = openSource(host, request.file);
  if (isProblem(source)) return fail(source);
  reportSource(ui, source);
  if (source.failed) return EXIT.failed;
  const part = pickPart(source, request.name);
  if (part !== undefined && isProblem(part)) return fail(part);
  if (part !== undefined && part.kind !== 'scan') return runPart(host, ui, source, part, graphRequest(request), request);
  const spec = pickScan(source, part?.name);
  if (isProblem(spec)) return fail(spec);
  const prepared = prepareRun(host, source, spec, scanInputs(request));
  if ('problems' in prepared) return fail(...prepared.problems);
  for (const warning of prepared.warnings) ui.err(`warning: ${warning}`);
  const device = await openDevice(host, request.backend);
  if (isProblem(device)) return fail(device);
  try {
    ui.progress(`running ${spec.name}`);
    const report = await prepared.run(device.runtime, request);
    ui.progress(undefined);
    if (!('results' in report)) {
      reportFailure(ui, source, report);
      return EXIT.failed;
    }
    if (request.out !== undefined) {
      const why = host.write(request.out, report.file());
      if (why !== undefined) return fail(problem('E701', why, 'choose another file with --out'));
    }
    return show(ui, report, request);
  } finally {
    device.runtime?.release();
  }
});

function verdict({ passed, error, allowed, conditioning, meaningless }: Comparison): string {
  if (meaningless !== undefined) return 'FAILED: the formula itself gives no number';
  if (passed) return error <= allowed ? 'ok' : 'ok: negligible';
  return conditioning === undefined ? 'FAILED' : `FAILED (one rounding of the inputs: ${conditioning.toExponential(1)})`;
}

function show(
  ui: Ui, report: RunReport, options: { readonly check: boolean; readonly json: boolean; readonly out: string | undefined },
): number {
  const failed = report.comparisons.filter((comparison) => !comparison.passed);
  const status = failed.length === 0 ? EXIT.ok : EXIT.failed;
  if (options.json) {
    const { scan, backend, device, dtype, call, comparisons } = report;
    // JSON has no Infinity; null stands for an error without measure.
    ui.out(jsonText({ scan, backend, device, dtype, call, passed: status === EXIT.ok, tensors: comparisons }, 2));
    return status;
  }
  const where = report.device === undefined ? report.backend : `${report.backend} (${report.device})`;
  ui.out(`${report.scan} on ${where}, ${report.dtype}: ${report.call}`);
  if (
    options.check && report.comparisons.length === 0
  ) ui.out('nothing to compare: the oracle is held against tensors named `expect.NAME` in the inputs, in f32');
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
  return status;
}

