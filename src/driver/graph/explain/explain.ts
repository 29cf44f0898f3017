import { hasErrors } from '../../../diagnostics/diagnostic.js';
import type { Graph } from '../../../ir/graph/graph.js';
import type { Host } from '../../host.js';
import type { Declaration, Explained, ExplainRequest } from '../../kind.js';
import { withUnsaid } from '../../parts.js';
import type { Failed } from '../../problem.js';
import { LimitError } from '../../../runtime/runtime.js';
import type { Source } from '../../session.js';
import { defaultDtype } from '../../targets.js';
import { compileGraph } from '../kernels.js';
import { graphHtml } from './html.js';
import { kernelsText } from './kernels.js';
import { explainGraph, type GraphExplanation } from './model.js';
import { graphText } from './text.js';

/** The call that numbers are given for, where the user names no other. */
const CALL = { batch: 1, tokens: 4096 };

/** What was understood of a layer, mixture or model at the settings that are given. `some`: it may have kernels. */
export async function explainDeclared(
  host: Host, declaration: Declaration, request: ExplainRequest, some: boolean,
): Promise<Explained | Failed> {
  const { source, part } = declaration;
  const { sizes, settings } = request;
  const own = [...sizes].filter(([name]) => name !== 'B' && name !== 'T');
  const { graph, diagnostics } = source.parts.elaborate(part.name, withUnsaid(part, [...own, ...settings]), true);
  if (graph === undefined || hasErrors(diagnostics)) return { diagnostics };
  const call = { batch: sizes.get('B') ?? CALL.batch, tokens: sizes.get('T') ?? CALL.tokens };
  const kernels = some ? await kernelsFor(host, source, graph, request, call) : undefined;
  const explanation = { ...explainGraph(graph, call, source.placeOf(part)), ...(kernels !== undefined && { kernels }) };
  return { json: explanation, text: graphText(explanation), html: () => reportOf(host, declaration, explanation) };
}

async function kernelsFor(
  host: Host, source: Source, graph: Graph, {
    target = 'cuda.sm90', dtype = defaultDtype(target),
  }: ExplainRequest, call: GraphExplanation['call'],
): Promise<GraphExplanation['kernels']> {
  const made = await compileGraph(host, source, graph, { target, dtype, backward: true, command: 'lmoec explain' });
  if ('plan' in made) {
    try {
      return kernelsText(made, call);
    } catch (error) {
      if (error instanceof LimitError) return { why: [`${error.message}: ${error.remedy}`] };
      throw error;
    }
  }
  return {
    why : 'diagnostics' in made ? source.located(made.diagnostics).map(({ label, line }) => `${label}, in line ${line}`) : [made.title]
  };
}

/** The HTML report of one declaration. */
function reportOf(host: Host, { source, part }: Declaration, explanation: GraphExplanation): string {
  const template = host.readText(host.join(host.root, 'templates', 'explain', 'graph.html.hbs'));
  if (template === undefined) throw new Error('templates/explain/graph.html.hbs is missing: reinstall the package');
  return graphHtml(template, explanation, part.file === source.file ? source.text.slice(part.origin.start, part.origin.end) : '');
}
