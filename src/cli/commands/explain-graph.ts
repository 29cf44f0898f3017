import { explainDeclared, graphReport, type GraphExplainRequest } from '../../driver/graph/explain/explain.js';
import type { GraphExplanation } from '../../driver/graph/explain/model.js';
import { graphText } from '../../driver/graph/explain/text.js';
import type { Host } from '../../driver/host.js';
import type { PartInfo } from '../../driver/parts.js';
import { problem } from '../../driver/problem.js';
import type { Source } from '../../driver/session.js';
import { jsonText } from '../../support/text.js';
import { EXIT } from '../command.js';
import { reportProblems } from '../report.js';
import type { Ui } from '../ui.js';

/** Words and numbers about layers, mixtures and models. */
export function explainPart(
  host: Host, ui: Ui, source: Source, parts: readonly PartInfo[], request: GraphExplainRequest,
  options: { readonly html: string | undefined; readonly json: boolean },
): number {
  const explained: GraphExplanation[] = [];
  for (const part of parts) {
    const made = explainDeclared(source, part, request);
    if ('diagnostics' in made) {
      ui.report(source.renderThese(made.diagnostics, ui.color));
      return EXIT.failed;
    }
    explained.push(made);
  }
  ui.out(options.json ? jsonText(explained, 2) : explained.map(graphText).join('\n'));
  if (options.html === undefined) return EXIT.ok;
  const why = host.write(options.html, graphReport(host, source, parts[0], explained[0]));
  if (why !== undefined) {
    reportProblems(ui, [problem('E701', why, 'choose another file with --html')]);
    return EXIT.failed;
  }
  ui.err(`wrote ${options.html}`);
  return EXIT.ok;
}
