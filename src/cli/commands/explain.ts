import { pageOf } from '../../driver/explain/page.js';
import { nodeHost, type Host } from '../../driver/host.js';
import type { Explained, ExplainRequest } from '../../driver/kind.js';
import { kindOf } from '../../driver/kinds.js';
import { explainedParts, pickPart, settingsFor, sizesFor } from '../../driver/parts.js';
import { problem, type Problem } from '../../driver/problem.js';
import { isProblem, openSource } from '../../driver/session.js';
import { TARGETS } from '../../driver/targets.js';
import { jsonText } from '../../support/text.js';
import { choice, EXIT, guarded, parse, settingsOf, sizesOf, UsageError, type Command } from '../command.js';
import { reportFailure, reportProblems, reportSource } from '../report.js';
import { terminalUi, type Ui } from '../ui.js';

const CODE = /^[EWew]\d{3}$/;

/** Words and numbers about a declaration, or what a code means. */
export const explain: Command = (args) => guarded(async () => {
  const { values, positionals } = parse(args, {
    name: { type: 'string' },
    scan: { type: 'string' },
    with: { type: 'string', multiple: true },
    html: { type: 'string' },
    target: { type: 'string' },
    dtype: { type: 'string' },
    size: { type: 'string', multiple: true },
    json: { type: 'boolean' },
  });
  const [subject, ...others] = positionals;
  if (subject === undefined || others.length > 0) throw new UsageError('explain: name one .lmoe file, or a code such as E202');
  const request: ExplainRequest = {
    target: values.target === undefined ? undefined : choice('--target', values.target, TARGETS),
    dtype: values.dtype === undefined ? undefined : choice('--dtype', values.dtype, ['f32', 'f16', 'bf16']),
    sizes: sizesOf(values.size ?? []),
    settings: settingsOf(values.with ?? []),
  };
  const ui = terminalUi();
  const host = nodeHost();
  if (CODE.test(subject) && !host.exists(subject)) return explainCode(host, ui, subject.toUpperCase());
  return explainFile(host, ui, subject, request, { name: values.name ?? values.scan, html: values.html, json: values.json === true });
});

function explainCode(host: Host, ui: Ui, code: string): number {
  const page = pageOf(host, code);
  if (typeof page !== 'string') return failed(ui, page);
  ui.out(page.trimEnd());
  return EXIT.ok;
}

function failed(ui: Ui, why: Problem): number {
  reportProblems(ui, [why]);
  return EXIT.failed;
}

interface Options {
  readonly name: string | undefined;
  readonly html: string | undefined;
  readonly json: boolean;
}

async function explainFile(host: Host, ui: Ui, file: string, request: ExplainRequest, { name, html, json }: Options): Promise<number> {
  const source = openSource(host, file);
  if (isProblem(source)) return failed(ui, source);
  reportSource(ui, source);
  if (source.failed) return EXIT.failed;
  // A report is one file, so it is about one declaration; words about several come one after the other.
  const picked = name !== undefined || html !== undefined ? pickPart(source, name) : explainedParts(source);
  if (isProblem(picked)) return failed(ui, picked);
  const explained: Explained[] = [];
  const parts = 'kind' in picked ? [picked] : picked;
  for (const part of parts) {
    const declaration = { source, part };
    // Of several, each has a use for some of the settings.
    const own = parts.length === 1 ? request : {
      ...request, sizes: sizesFor(part, request.sizes), settings: settingsFor(part, request.settings),
    };
    const made = await kindOf(declaration).explain(host, declaration, own);
    if (!('html' in made)) {
      reportFailure(ui, source, made);
      return EXIT.failed;
    }
    explained.push(made);
  }
  ui.out(json ? jsonText(explained.map((made) => made.json), 2) : explained.map(({ text }) => text).join('\n'));
  if (html === undefined) return EXIT.ok;
  const why = host.write(html, explained[0].html());
  if (why !== undefined) return failed(ui, problem('E701', why, 'choose another file with --html'));
  ui.err(`wrote ${html}`);
  return EXIT.ok;
}
