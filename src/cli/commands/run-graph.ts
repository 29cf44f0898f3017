import type { Host } from '../../driver/host.js';
import { prepareGraph, type GraphRequest } from '../../driver/graph/prepare.js';
import type { GraphReport } from '../../driver/graph/run.js';
import { problem } from '../../driver/problem.js';
import type { Comparison } from '../../driver/run/compare.js';
import type { Source } from '../../driver/session.js';
import type { PartInfo } from '../../driver/parts.js';
import { jsonText } from '../../support/text.js';
import { EXIT } from '../command.js';
import { reportProblems } from '../report.js';
import { table, type Ui } from '../ui.js';

export interface GraphOptions {
  readonly out: string | undefined;
  readonly check: boolean;
  readonly json: boolean;
}

/** Runs a layer, mixture or model in the interpreter. */
export function runPart(host: Host, ui: Ui, source: Source, part: PartInfo, request: GraphRequest, options: GraphOptions): number {
  const prepared = prepareGraph(host, source, part, request);
  const report = 'run' in prepared ? prepared.run() : prepared;
  if ('run' in prepared) for (const warning of prepared.warnings) ui.err(`warning: ${warning}`);
  if ('problems' in report) {
    reportProblems(ui, report.problems);
    return EXIT.failed;
  }
  if ('diagnostics' in report) {
    ui.report(source.renderThese(report.diagnostics, ui.color));
    return EXIT.failed;
  }
  if (options.out !== undefined) {
    const why = host.write(options.out, report.file());
    if (why !== undefined) {
      reportProblems(ui, [problem('E701', why, 'choose another file with --out')]);
      return EXIT.failed;
    }
  }
  const failed = report.comparisons.filter(({ passed }) => !passed);
  if (options.json) ui.out(jsonText(asJson(report), 2));
  else show(ui, report, options);
  if (failed.length > 0) {
    const names = failed.map(({ name }) => name).join(', ');
    ui.err(`${failed.length} of ${report.comparisons.length} tensors differ by more than is allowed: ${names}`);
  }
  return failed.length === 0 ? EXIT.ok : EXIT.failed;
}

function asJson({ name, kind, call, training, losses, counts, comparisons }: GraphReport): object {
  const perIndex = Object.fromEntries([...counts].map(([path, { data }]) => [path, Array.from(data)]));
  return {
    name, kind, backend: 'interpreter', dtype: 'f64', call, training, losses: Object.fromEntries(losses), counts: perIndex,
    passed: comparisons.every(({ passed }) => passed), tensors: comparisons,
  };
}

function show(ui: Ui, report: GraphReport, { check, out }: GraphOptions): void {
  ui.out(`${report.kind} ${report.name} in the interpreter, float64${report.training ? ', training' : ''}: ${report.call}`);
  if (report.losses.size > 0) ui.out(table([['loss', ''], ...[...report.losses].map(([path, value]) => [path, value.toPrecision(8)])]));
  if (report.counts.size > 0) ui.out(table([
    ['tokens of', 'least', 'mean', 'most'], ...[...report.counts].map(([path, { data }]) => [path, ...spreadOf(Array.from(data))]),
  ]));
  if (
    check && report.comparisons.length === 0
  ) ui.out('nothing to compare: results are held against tensors named `expect.NAME` in the inputs');
  if (report.comparisons.length > 0) ui.out(table([['tensor', '', 'rms error', 'allowed', ''], ...report.comparisons.map(row)]));
  ui.out(out === undefined ? 'kernels do not exist yet for layers, mixtures and models; --out FILE keeps the results' : `wrote ${out}`);
}

function spreadOf(counts: readonly number[]): readonly string[] {
  const mean = counts.reduce((sum, n) => sum + n, 0) / counts.length;
  return [Math.min(...counts), mean, Math.max(...counts)].map((n) => String(Math.round(10 * n) / 10));
}

function row({ name, role, error, allowed, passed }: Comparison): readonly string[] {
  return [name, role, Number.isFinite(error) ? error.toExponential(1) : 'not finite', allowed.toExponential(0), passed ? 'ok' : 'FAILED'];
}
