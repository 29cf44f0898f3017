import { hasErrors, type Diagnostic } from '../../../diagnostics/diagnostic.js';
import type { Host } from '../../host.js';
import { withUnsaid, type PartInfo } from '../../parts.js';
import type { Source } from '../../session.js';
import type { Settings } from '../settings.js';
import { graphHtml } from './html.js';
import { explainGraph, type GraphExplanation } from './model.js';

/** The call that numbers are given for, where the user names no other. */
const CALL = { batch: 1, tokens: 4096 };

export interface GraphExplainRequest {
  /** Of axes, and B and T of the call. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly settings: Settings;
}

/** What was understood of a layer, mixture or model at the settings that are given. */
export function explainDeclared(
  source: Source, part: PartInfo, { sizes, settings }: GraphExplainRequest,
): GraphExplanation | { readonly diagnostics: readonly Diagnostic[] } {
  const own = [...sizes].filter(([name]) => name !== 'B' && name !== 'T');
  const { graph, diagnostics } = source.parts.elaborate(part.name, withUnsaid(part, [...own, ...settings]), true);
  if (graph === undefined || hasErrors(diagnostics)) return { diagnostics };
  return explainGraph(graph, { batch: sizes.get('B') ?? CALL.batch, tokens: sizes.get('T') ?? CALL.tokens }, source.placeOf(part));
}

/** The HTML report of one declaration. */
export function graphReport(host: Host, source: Source, part: PartInfo, explanation: GraphExplanation): string {
  const template = host.readText(host.join(host.root, 'templates', 'explain', 'graph.html.hbs'));
  if (template === undefined) throw new Error('templates/explain/graph.html.hbs is missing: reinstall the package');
  return graphHtml(template, explanation, part.file === source.file ? source.text.slice(part.origin.start, part.origin.end) : '');
}
