import { hasErrors } from '../../../diagnostics/diagnostic.js';
import type { Host } from '../../host.js';
import type { Declaration, Explained, ExplainRequest } from '../../kind.js';
import { withUnsaid } from '../../parts.js';
import type { Failed } from '../../problem.js';
import { graphHtml } from './html.js';
import { explainGraph, type GraphExplanation } from './model.js';
import { graphText } from './text.js';

/** The call that numbers are given for, where the user names no other. */
const CALL = { batch: 1, tokens: 4096 };

/** What was understood of a layer, mixture or model at the settings that are given. */
export function explainDeclared(host: Host, declaration: Declaration, { sizes, settings }: ExplainRequest): Explained | Failed {
  const { source, part } = declaration;
  const own = [...sizes].filter(([name]) => name !== 'B' && name !== 'T');
  const { graph, diagnostics } = source.parts.elaborate(part.name, withUnsaid(part, [...own, ...settings]), true);
  if (graph === undefined || hasErrors(diagnostics)) return { diagnostics };
  const call = { batch: sizes.get('B') ?? CALL.batch, tokens: sizes.get('T') ?? CALL.tokens };
  const explanation = explainGraph(graph, call, source.placeOf(part));
  return { json: explanation, text: graphText(explanation), html: () => reportOf(host, declaration, explanation) };
}

/** The HTML report of one declaration. */
function reportOf(host: Host, { source, part }: Declaration, explanation: GraphExplanation): string {
  const template = host.readText(host.join(host.root, 'templates', 'explain', 'graph.html.hbs'));
  if (template === undefined) throw new Error('templates/explain/graph.html.hbs is missing: reinstall the package');
  return graphHtml(template, explanation, part.file === source.file ? source.text.slice(part.origin.start, part.origin.end) : '');
}
