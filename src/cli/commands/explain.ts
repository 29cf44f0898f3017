import { pageOf } from '../../driver/explain/page.js';
import { explainScan, reportOf } from '../../driver/scan/explain/explain.js';
import { explainText } from '../../driver/scan/explain/text.js';
import { nodeHost } from '../../driver/host.js';
import { problem } from '../../driver/problem.js';
import { explainedParts, pickPart } from '../../driver/parts.js';
import { isProblem, openSource, ownScans, pickScan } from '../../driver/session.js';
import { jsonText } from '../../support/text.js';
import { choice, EXIT, guarded, parse, settingsOf, sizesOf, UsageError, type Command } from '../command.js';
import { reportFailure, reportProblems, reportSource } from '../report.js';
import { terminalUi } from '../ui.js';
import { explainPart } from './explain-graph.js';
import { defaultDtype, TARGETS } from '../../driver/targets.js';

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
  const ui = terminalUi();
  const host = nodeHost();
  if (CODE.test(subject) && !host.exists(subject)) {
    const page = pageOf(host, subject.toUpperCase());
    if (typeof page !== 'string') {
      reportProblems(ui, [page]);
      return EXIT.failed;
    }
    ui.out(page.trimEnd());
    return EXIT.ok;
  }
  const source = openSource(host, subject);
  if (isProblem(source)) {
    reportProblems(ui, [source]);
    return EXIT.failed;
  }
  reportSource(ui, source);
  if (source.failed) return EXIT.failed;
  const name = values.name ?? values.scan;
  const part = pickPart(source, name);
  if (part !== undefined && isProblem(part)) {
    reportProblems(ui, [part]);
    return EXIT.failed;
  }
  if (part !== undefined && part.kind !== 'scan') {
    const request = { sizes: sizesOf(values.size ?? []), settings: settingsOf(values.with ?? []) };
    return explainPart(
      host, ui, source, name === undefined && values.html === undefined ? explainedParts(source, part) : [part], request,
      { html: values.html, json: values.json === true },
    );
  }
  // A report is one file, so it is about one scan; words about several come one after the other.
  const picked = name !== undefined || values.html !== undefined ? pickScan(source, name) : ownScans(source);
  if (isProblem(picked)) {
    reportProblems(ui, [picked]);
    return EXIT.failed;
  }
  const target = choice('--target', values.target ?? 'cuda.sm90', TARGETS);
  const dtype = choice('--dtype', values.dtype ?? defaultDtype(target), ['f32', 'f16', 'bf16']);
  const explanations = [];
  for (const spec of 'name' in picked ? [picked] : picked) {
    const made = await explainScan(host, source, spec, { target, dtype, sizes: sizesOf(values.size ?? []) });
    if (!('explanation' in made)) {
      reportFailure(ui, source, made);
      return EXIT.failed;
    }
    explanations.push(made);
  }
  if (values.json === true) ui.out(jsonText(explanations.map((made) => made.explanation), 2));
  else ui.out(explanations.map((made) => explainText(made.explanation)).join('\n'));
  if (values.html !== undefined) {
    const why = host.write(values.html, reportOf(host, source, explanations[0]));
    if (why !== undefined) {
      reportProblems(ui, [problem('E701', why, 'choose another file with --html')]);
      return EXIT.failed;
    }
    ui.err(`wrote ${values.html}`);
  }
  return EXIT.ok;
});
