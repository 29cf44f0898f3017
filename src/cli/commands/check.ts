import { checkScan } from '../../driver/scan/compile.js';
import { nodeHost, type Host } from '../../driver/host.js';
import { CHECK_LEVELS, emitLevels, isScanLevel } from '../../driver/scan/levels.js';
import { declarationsText, partsAt, sizesOfScans } from '../../driver/parts.js';
import { isProblem, openSources, ownScans, type Source } from '../../driver/session.js';
import { setProblem, type FoundScan } from '../../driver/together.js';
import { jsonText } from '../../support/text.js';
import { choice, EXIT, guarded, list, parse, sizesOf, UsageError, type Command } from '../command.js';
import { reportFailure, reportProblems, reportSource } from '../report.js';
import { terminalUi, type Ui } from '../ui.js';
import { watching, type Round } from '../watch.js';

interface Wanted {
  readonly paths: readonly string[];
  readonly emit: readonly (typeof CHECK_LEVELS)[number][];
  readonly sizes: ReadonlyMap<string, number>;
  readonly json: boolean;
}

/** Parses, checks names and axes, reads layers, mixtures and models, and finds the chunked form of every scan; makes no kernels. */
export const check: Command = (args) => guarded(async () => {
  const { values, positionals } = parse(args, {
    emit: { type: 'string', multiple: true },
    size: { type: 'string', multiple: true },
    watch: { type: 'boolean' },
    json: { type: 'boolean' },
  });
  if (positionals.length === 0) throw new UsageError('check: name at least one .lmoe file or a folder of them');
  const wanted: Wanted = {
    paths: positionals,
    emit: list(values.emit).map((level) => choice('--emit', level, CHECK_LEVELS)),
    sizes: sizesOf(values.size ?? []),
    json: values.json === true,
  };
  const host = nodeHost();
  const ui = terminalUi();
  const round = async () => checkRound(host, ui, wanted);
  return values.watch === true ? watching(host, ui, round) : (await round()).status;
});

function checkRound(host: Host, ui: Ui, wanted: Wanted): Round {
  const opened = openSources(host, wanted.paths);
  const found: object[] = [];
  let errors = 0;
  const scans: FoundScan[] = [];
  const sources: Source[] = [];
  for (const source of opened) {
    if (isProblem(source)) {
      errors++;
      if (wanted.json) found.push({ ...source, severity: 'error' });
      else reportProblems(ui, [source]);
      continue;
    }
    const result = checkSource(ui, source, wanted);
    errors += result.errors;
    scans.push(...result.scans);
    sources.push(source);
    found.push(...result.found);
  }
  const together = setProblem(scans, sizesOfScans(sources, wanted.sizes), errors > 0);
  if (together !== undefined) {
    errors++;
    if (!wanted.json) reportFailure(ui, together.source, together.failed);
    found.push({ ...together.failed, severity: 'error', file: together.source.file });
  }
  if (wanted.json) ui.out(jsonText(found, 2));
  else if (errors === 0 && wanted.emit.length === 0) ui.out(`${declarationsText(sources)} in ${count(opened.length, 'file')}: no errors`);
  const files = [...new Set(opened.flatMap((source) => ('files' in source ? source.files : [source.file])))];
  return { status: errors === 0 ? EXIT.ok : EXIT.failed, files };
}

function count(n: number, thing: string): string {
  return `${n} ${thing}${n === 1 ? '' : 's'}`;
}

interface Checked {
  readonly errors: number;
  readonly scans: readonly FoundScan[];
  /** Diagnostics for --json. */
  readonly found: readonly object[];
}

function checkSource(ui: Ui, source: Source, wanted: Wanted): Checked {
  const found: object[] = [...source.located(source.diagnostics)];
  if (!wanted.json) reportSource(ui, source);
  if (source.failed) return { errors: 1, scans: [], found };
  let errors = 0;
  for (const { diagnostics, graphText, flowText } of partsAt(source, wanted.sizes)) {
    const fresh = diagnostics.filter((d) => !source.diagnostics.includes(d));
    errors += fresh.some((d) => d.severity === 'error') ? 1 : 0;
    found.push(...source.located(fresh));
    if (fresh.length > 0 && !wanted.json) reportFailure(ui, source, { diagnostics: fresh });
    if (wanted.emit.includes('graph') && !wanted.json) ui.out(graphText());
    if (wanted.emit.includes('flow') && !wanted.json) ui.out(flowText());
  }
  const scans = ownScans(source);
  // A file without scans is no error.
  if (isProblem(scans)) return { errors, scans: [], found };
  for (const spec of scans) {
    const lowered = checkScan(spec, wanted.sizes);
    if (!('module' in lowered)) {
      errors++;
      if (!wanted.json) reportFailure(ui, source, lowered);
      found.push(...(isProblem(lowered) ? [{ ...lowered, severity: 'error', file: source.file }] : source.located(lowered.diagnostics)));
    } else if (wanted.emit.some(isScanLevel) && !wanted.json) ui.out(emitLevels(spec, [lowered], wanted.emit.filter(isScanLevel)));
  }
  return { errors, scans: scans.map((spec) => ({ source, spec })), found };
}
