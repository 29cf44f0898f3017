import type { IoDtype } from '../../../ir/common/dtype.js';
import type { Target } from '../../../ir/plan/plan.js';
import type { Spec } from '../../../ir/spec/spec.js';
import { compileScan } from '../compile.js';
import type { Host } from '../../host.js';
import type { Declaration, Explained, ExplainRequest } from '../../kind.js';
import { type Failed, problem } from '../../problem.js';
import { isProblem, type Source } from '../../session.js';
import { defaultDtype } from '../../targets.js';
import { sizesFor } from '../sizes.js';
import { specAt } from '../spec.js';
import { explainHtml } from './html.js';
import { explain, type Explanation } from './model.js';
import { explainText } from './text.js';

export interface ScanRequest {
  readonly target: Target;
  readonly dtype: IoDtype;
  /** Axes of the scan, and B, T, H, G of the call. */
  readonly sizes: ReadonlyMap<string, number>;
}

export interface ExplainedScan {
  readonly spec: Spec;
  readonly explanation: Explanation;
}

/** The call that numbers are given for, where the user names no other. */
const CALL = { batch: 2, tokens: 16384, heads: 16 };

/** What was understood of a scan and what will run for one call of it. */
export async function explainScan(host: Host, source: Source, spec: Spec, request: ScanRequest): Promise<ExplainedScan | Failed> {
  const sizes = sizesFor(spec, request.sizes);
  if (isProblem(sizes)) return sizes;
  const { target, dtype } = request;
  const compiled = await compileScan(host, source, spec, { target, dtype, sizes, command: 'lmoec explain', pieces: true });
  if (!('plan' in compiled)) return compiled;
  const heads = request.sizes.get('H') ?? CALL.heads;
  const shared = spec.inputs.some((input) => input.scope === 'group');
  const groups = shared ? request.sizes.get('G') ?? 1 : heads;
  if (heads % groups !== 0) return problem(
    'E503', `${heads} heads cannot share ${groups} groups`, 'H must be a multiple of G: --size H=16,G=4',
  );
  const call = { batch: request.sizes.get('B') ?? CALL.batch, tokens: request.sizes.get('T') ?? CALL.tokens, heads, groups };
  return { spec, explanation: explain(spec, compiled.scan, compiled.plan, call, source.placeOf(spec)) };
}

/** What `lmoec explain` tells of a scan. */
export async function explainDeclared(
  host: Host, declaration: Declaration, { target = 'cuda.sm90', dtype = defaultDtype(target), sizes, settings }: ExplainRequest,
): Promise<Explained | Failed> {
  const spec = specAt(declaration, new Map<string, number | string>([...sizes, ...settings]));
  if (!('nodes' in spec)) return spec;
  const made = await explainScan(host, declaration.source, spec, { target, dtype, sizes });
  if (!('explanation' in made)) return made;
  return { json: made.explanation, text: explainText(made.explanation), html: () => reportOf(host, declaration.source, made) };
}

/** The HTML report of one scan. */
export function reportOf(host: Host, source: Source, explained: ExplainedScan): string {
  const template = host.readText(host.join(host.root, 'templates', 'explain', 'report.html.hbs'));
  if (template === undefined) throw new Error('templates/explain/report.html.hbs is missing: reinstall the package');
  const { spec, explanation } = explained;
  const formula = spec.origin.file === source.file ? source.text.slice(spec.origin.start, spec.origin.end) : '';
  return explainHtml(template, explanation, formula);
}
