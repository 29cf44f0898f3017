import type { Ident, NameEntries, NameEntryText, Statement } from '../../ir/ast/ast.js';
import { joinSpans } from '../../ir/common/span.js';
import type { NameEntry, NamePath } from '../../ir/graph/names.js';
import type { Scope } from './scope.js';

/** Adds to the names of one family; those in branches that are not taken are never met. */
export function addNames(scope: Scope, { family, entries }: Statement & { readonly kind: 'names' }): void {
  const known = scope.names.get(family.text) ?? [];
  scope.names.set(family.text, [...known, ...entriesOf(entries)]);
}

function entriesOf({ entries }: NameEntries): readonly NameEntry[] {
  return entries.flatMap(entryOf);
}

function entryOf(entry: NameEntryText): readonly NameEntry[] {
  const { origin } = entry;
  switch (entry.kind) {
    case 'ignore': return [{ kind: 'ignore', pattern: entry.pattern.text, origin }];
    case 'prefix': return [{ kind: 'prefix', text: entry.text.text, entries: entriesOf(entry.entries), origin }];
    case 'tensor': return [{ kind: 'tensor', params: entry.paths.map(pathOf), text: entry.text.text, layout: entry.layout?.dims, origin }];
    case 'part': {
      const entries = entry.entries === undefined ? [] : entriesOf(entry.entries);
      return entry.paths.map((path) => ({ kind: 'part', path: pathOf(path), text: entry.text.text, like: entry.like?.text, entries,
        origin }));
    }
  }
}

function pathOf(path: readonly Ident[]): NamePath {
  return { names: path.map((ident) => ident.text), origin: joinSpans(path[0].origin, path[path.length - 1].origin) };
}
