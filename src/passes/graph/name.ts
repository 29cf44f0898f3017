import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import { didYouMean, NO_TRANSPOSES, suggest } from '../../diagnostics/suggest.js';
import type { Ident } from '../../ir/ast/ast.js';
import type { Span } from '../../ir/common/span.js';
import type { Level, Silent } from '../../ir/graph/types.js';
import { number } from '../../ir/graph/typing.js';
import { PAST } from './axes.js';
import { FIXED, FUNCTIONS, isSilent } from './fixed.js';
import {
  isTraining, lookUp, rebind, report, reportName, visibleNames, type Binding, type Found, type Scope,
} from './scope.js';
import { node, numberValue } from './values.js';

/** How often the length of a silent axis exists. */
const COUNTS: Readonly<Record<Silent, Level>> = { time: 'sequence', batch: 'call', tokens: 'call', ranks: 'call', calls: 'step' };

export function resolveName(scope: Scope, { text, origin }: Ident): Found {
  const binding = lookUp(scope, text);
  if (binding !== undefined) return bound(scope, binding, origin);
  if (scope.said.has(text)) return undefined;
  if (text === 'training') return numberValue(isTraining(scope) ? 1 : 0);
  if (text === 'pi') return numberValue(Math.PI);
  if (text === 'past') return { kind: 'past', axis: PAST };
  if (text === 'position') return node(scope.builder.add({ kind: 'index', axes: [], over: 'position' }, origin, number([], 'token')));
  if (isSilent(text)) return node(scope.builder.add({ kind: 'count', of: text }, origin, number([], COUNTS[text])));
  const part = scope.part.visible.get(text);
  if (part !== undefined) return { kind: 'part', part };
  const fixed = FIXED.get(text);
  if (fixed === undefined) return reportName(scope, text, () => unknownName(scope, text, origin));
  const help = FUNCTIONS.includes(text) ? `${fixed}: write \`${text}(...)\`` : text === 'inf' ? `${fixed}: write a number` : fixed;
  return report(scope, diagnostic('E211', `\`${text}\` is not a value`, origin, 'used as one', { help: [help] }));
}

function bound(scope: Scope, binding: Binding, origin: Span): Found {
  switch (binding.kind) {
    case 'instance': {
      return report(scope, diagnostic('E816', `\`${binding.name}\` is a part, not a value`, origin, 'used as a value', {
        secondary: [{ span: binding.origin, text: 'made here' }],
        help: [`call it: \`${binding.name}(...)\``],
      }));
    }
    case 'output': {
      if (binding.assigned) return binding.value;
      // Said once.
      rebind(scope, { ...binding, assigned: true });
      return report(scope, diagnostic('E209', `output \`${binding.name}\` is read before it has a value`, origin,
        'nothing has been assigned yet', {
        secondary: [{ span: binding.origin, text: 'declared here' }],
        help: [`assign it first: \`${binding.name} = ...\``],
      }));
    }
    case 'setting': case 'turn': case 'const': case 'input': case 'param': case 'buffer': case 'let': return binding.value;
  }
}

/** What people write by habit. */
const HABITS: Readonly<Record<string, readonly string[] | undefined>> = {
  T: [NO_TRANSPOSES], True: ['numbers serve: 1 and 0'], False: ['numbers serve: 1 and 0'], None: ['leave it out with `if`'],
    mod: ['write `a % b`'],
};

function unknownName(scope: Scope, text: string, origin: Span): Diagnostic {
  const names = [...visibleNames(scope), ...scope.part.visible.keys()];
  const nearest = suggest(text, [...names, ...FIXED.keys()]);
  const hint = HABITS[text];
  const help = hint ?? (nearest === undefined
    ? ['declare it: a number of `with`, a `param`, a `const` or a `let`; statements are read in order'] : didYouMean(text,
    [...names, ...FIXED.keys()]));
  return diagnostic('E201', `unknown name \`${text}\``, origin, 'not declared', {
    help,
    ...(nearest === undefined || hint !== undefined
      ? {} : { fix: { title: `write \`${nearest}\``, edits: [{ span: origin, text: nearest }] } }),
  });
}
