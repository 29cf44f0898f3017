import type { Root } from '../../ir/scan/scan.js';
import { AFTER_SITE, CHUNK_SITE, type Context } from './context.js';
import { plus, widened } from './tiles.js';
import { valuesIn } from './values.js';

/** The last values of states that no stage carries: of a sequence's last token, or what they were if there is none. */
export function lastTokens(cx: Context): void {
  const roots = cx.program.roots.filter((root) => root.kind === 'final');
  if (roots.length === 0) return;
  const { initials, finals } = cx.draft.user;
  cx.draft.kernel(cx.name, {
    name: 'last_tokens', doc: 'What later calls find at the tokens before theirs.', outer: 'run', inner: 'head',
  }, (k) => {
    const last = k.once('last', roots.map(({ state }) => k.load(initials[state])), () => {
      const values = valuesIn(cx, k, CHUNK_SITE);
      return roots.map(({ value }) => k.take(values.tile(value), 'last', 0));
    });
    roots.forEach(({ state }, i) => k.store(finals[state], last[i]));
  });
}

/**
 * Gradients of the first values of such states, which the first tokens read; of those that no token is there to read, what is given for the
 * last ones.
 */
export function firstTokens(cx: Context): void {
  const roots = cx.program.roots.filter((root): root is Root & { readonly kind: 'initial-gradient' } => root.kind === 'initial-gradient');
  if (roots.length === 0) return;
  const { finalCotangents, initialGradients } = cx.draft.user;
  const states = [...new Set(roots.map(({ state }) => state))];
  const { chunk, spec } = cx.draft;
  if (
    roots.some(({ at }) => at >= chunk)
  ) throw new Error(`${spec.name}: chunks of ${chunk} tokens do not have all that look back beyond their first`);
  cx.draft.kernel(cx.name, {
    name: 'first_tokens', doc: 'Gradients of what earlier calls handed on to the first tokens.', outer: 'run', inner: 'head',
  }, (k) => {
    const first = k.once('first', states.map((state) => k.load(finalCotangents[state])), () => {
      const values = valuesIn(cx, k, AFTER_SITE);
      return states.map((state) => {
        const terms = roots.flatMap(({ state: of, at, value }) => (
          of !== state || value === undefined ? [] : [k.take(values.tile(value), 'first', at)]
        ));
        return widened(k, plus(k, ...terms), cx.draft.spec.states[state].axes);
      });
    });
    states.forEach((state, i) => k.store(initialGradients[state], first[i]));
  });
}
