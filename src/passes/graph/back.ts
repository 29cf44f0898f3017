import { diagnostic } from '../../diagnostics/diagnostic.js';
import type { Span } from '../../ir/common/span.js';
import { report, type Scope } from './scope.js';

/** E809 in a `moe`, which promises to look at one token at a time. */
export function looksBack(scope: Scope, origin: Span, what: string): true | undefined {
  if (scope.kind !== 'moe') return true;
  return report(scope, diagnostic('E809', `${what} looks at other tokens`, origin, 'a `moe` looks at one token at a time', {
    secondary: [{ span: scope.part.item.name.origin, text: 'a mixture' }],
    help: [`write \`layer ${scope.part.item.name.text}\` instead of \`moe\`, or hand in what it needs as an input`],
  }));
}
