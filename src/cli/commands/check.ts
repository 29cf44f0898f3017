import { hasErrors } from '../../diagnostics/diagnostic.js';
import { nodeHost, type Host } from '../../driver/host.js';
import { CHECK_LEVELS, declarationsText, kindOf } from '../../driver/kinds.js';
import { ownParts, settingsFor, type Settings } from '../../driver/parts.js';
import { isProblem, openSources, type Source } from '../../driver/session.js';
import { setProblem, type Signed } from '../../driver/together.js';
import { jsonText } from '../../support/text.js';
import { choice, EXIT, guarded, list, parse, settingsOf, sizesOf, UsageError, type Command } from '../command.js';
import { reportFailure, reportProblems, reportSource } from '../report.js';
import { terminalUi, type Ui } from '../ui.js';
import { watching, type Round } from '../watch.js';

interface Wanted {
  readonly paths: readonly string[];
  readonly emit: readonly string[];
  readonly given: Settings;
  readonly json: boolean;
}

/** Parses, checks names and axes, and looks at every declaration as its kind asks for it; makes no kernels. */
export const check: Command = (args) => guarded(async () => {
  const { values, positionals } = parse(args, {
    emit: { type: 'string', multiple: true },
    size: { type: 'string', multiple: true },
    with: { type: 'string', multiple: true },
    watch: { type: 'boolean' },
    json: { type: 'boolean' },
  });
  if (positionals.length === 0) throw new UsageError('check: name at least one .lmoe file or a folder of them');
  const wanted: Wanted = {
    paths: positionals,
    emit: list('--emit', values.emit).map((level) => choice('--emit', level, CHECK_LEVELS)),
    given: new Map<string, number | string>([...sizesOf(values.size ?? []), ...settingsOf(values.with ?? [])]),
    json: values.json === true,
  };
  const host = nodeHost();
  const ui = terminalUi();
  const round = () => checkRound(host, ui, wanted);
  return values.watch === true ? watching(host, ui, round) : (await round()).status;
});

async function checkRound(host: Host, ui: Ui, wanted: Wanted): Promise<Round> {
  const opened = openSources(host, wanted.paths);
  const found: object[] = [];
  let errors = 0;
  const signed: Signed[] = [];
  const sources: Source[] = [];
  for (const source of opened) {
    if (isProblem(source)) {
      errors++;
      if (wanted.json) found.push({ ...source, severity: 'error' });
      else reportProblems(ui, [source]);
      continue;
    }
    const result = await checkSource(ui, source, wanted);
    errors += result.errors;
    signed.push(...result.signed);
    sources.push(source);
    found.push(...result.found);
  }
  const together = setProblem(signed, wanted.given.keys(), errors > 0);
  if (together !== undefined) {
    errors++;
    if (!wanted.json) reportFailure(ui, together.source, together.failed);
    found.push({ ...together.failed, severity: 'error', file: together.source.file });
  }
  if (wanted.json) ui.out(jsonText(found, 2));
  else if (errors === 0 && wanted.emit.length === 0) {
    const kinds = sources.flatMap(ownParts).map(({ kind }) => kind);
    ui.out(`${declarationsText(kinds)} in ${count(opened.length, 'file')}: no errors`);
  }
  const files = [...new Set(opened.flatMap((source) => ('files' in source ? source.files : [source.file])))];
  return { status: errors === 0 ? EXIT.ok : EXIT.failed, files };
}

function count(n: number, thing: string): string {
  return `${n} ${thing}${n === 1 ? '' : 's'}`;
}

interface Checked {
  readonly errors: number;
  readonly signed: readonly Signed[];
  /** Diagnostics for --json. */
  readonly found: readonly object[];
}

async function checkSource(ui: Ui, source: Source, wanted: Wanted): Promise<Checked> {
  const found: object[] = [...source.located(source.diagnostics)];
  if (!wanted.json) reportSource(ui, source);
  if (source.failed) return { errors: 1, signed: [], found };
  let errors = 0;
  const signed: Signed[] = [];
  for (const part of ownParts(source)) {
    const declaration = { source, part };
    const kind = kindOf(declaration);
    const checked = await kind.check(declaration, { given: wanted.given, levels: wanted.emit });
    errors += checked.found.some((failed) => isProblem(failed) || hasErrors(failed.diagnostics)) ? 1 : 0;
    for (const failed of checked.found) {
      if (!wanted.json) reportFailure(ui, source, failed);
      found.push(...(isProblem(failed) ? [{ ...failed, severity: 'error', file: source.file }] : source.located(failed.diagnostics)));
    }
    if (checked.text !== '' && !wanted.json) ui.out(checked.text);
    const signature = kind.signature(declaration, settingsFor(part, wanted.given));
    if ('required' in signature) signed.push({ ...declaration, signature, folder: kind.kernels === 'always' });
  }
  return { errors, signed, found };
}
