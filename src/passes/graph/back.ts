import { diagnostic } from '../../diagnostics/diagnostic.js';
import type { Span } from '../../ir/common/span.js';
import type { Axis } from '../../ir/graph/types.js';
import { axesLabel, report, type Scope } from './scope.js';

/** E210 for what is shifted in time and has the past of each token: the token before has another past. */
export function shifted(scope: Scope, axes: readonly Axis[], origin: Span, what: string): true | undefined {
  const seen = axes.find((axis) => axis.past);
  if (seen === undefined) return true;
  return report(scope, diagnostic('E210', `${what} of what has the past of each token`, origin, axesLabel(axes), {
    help: [`shift first and look back then: \`let last = x[t-1]\`, and \`last[${seen.name}]\``],
  }));
}

/** E809 in a `moe`, which promises to look at one token at a time. */
export function looksBack(scope: Scope, origin: Span, what: string): true | undefined {
  if (scope.kind !== 'moe') return true;
  return report(scope, diagnostic('E809', `${what} looks at other tokens`, origin, 'a `moe` looks at one token at a time', {
    secondary: [{ span: scope.part.item.name.origin, text: 'a mixture' }],
    help: [`write \`layer ${scope.part.item.name.text}\` instead of \`moe\`, or hand in what it needs as an input`],
  }));
}
