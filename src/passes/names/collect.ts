import type { NameEntry, NamePath } from '../../ir/graph/names.js';
import { below } from '../../ir/graph/paths.js';
import { findsBelow, type Place } from './places.js';

/** A tensor that an entry names, in one turn: its params, those that the build does not have as undefined. */
export interface Claim {
  /** Prefixes and the entry's own text, outermost first. */
  readonly texts: readonly string[];
  readonly entry: Extract<NameEntry, { readonly kind: 'tensor' }>;
  /** Places in the list of all params. */
  readonly params: readonly (number | undefined)[];
  readonly turns: Place['turns'];
}

export interface Ignored {
  readonly texts: readonly string[];
  readonly entry: Extract<NameEntry, { readonly kind: 'ignore' }>;
  readonly turns: Place['turns'];
}

export interface Collected {
  /** In the order of the text: later ones win. */
  readonly claims: readonly Claim[];
  readonly ignored: readonly Ignored[];
  /** Sections that a part is said to have (`like w`) and does not. */
  readonly unlike: readonly {
    readonly entry: Extract<NameEntry, { readonly kind: 'part' }>; readonly part: string; readonly has: readonly string[],
  }[];
}

/** Reads the names of one family from the outermost part inwards. `indexOf` gives the place of a param by its path. */
export function collect(whole: Place, family: string, indexOf: ReadonlyMap<string, number>): Collected {
  const claims: Claim[] = [];
  const ignored: Ignored[] = [];
  const unlike = new Map<NameEntry, Collected['unlike'][number]>();
  const find = findsBelow();
  const along = (place: Place, names: readonly string[]): readonly Place[] => names.reduce<readonly Place[]>(
    (places, name) => places.flatMap((at) => find(at, name)), [place],
  );

  const readAll = (place: Place, entries: readonly NameEntry[], texts: readonly string[], own: string): void => {
    for (const entry of entries) read(place, entry, texts, own);
  };
  const read = (place: Place, entry: NameEntry, texts: readonly string[], own: string): void => {
    switch (entry.kind) {
      case 'ignore':
        ignored.push({ texts: [...texts, entry.pattern], entry, turns: place.turns });
        return;
      case 'prefix': return readAll(place, entry.entries, [...texts, entry.text], own);
      case 'tensor': return claim(place, entry, [...texts, entry.text]);
      case 'part': {
        const prefixed = [...texts, entry.text];
        for (const at of along(place, entry.path.names)) {
          const sections = at.part.kind === 'scan' ? [] : at.part.names;
          const like = entry.like ?? own;
          const section = sections.find((names) => names.family === like);
          if (section !== undefined) readAll(at, section.entries, prefixed, like);
          else if (entry.like !== undefined) unlike.set(entry, { entry, part: at.part.name, has: sections.map((names) => names.family) });
          readAll(at, entry.entries, prefixed, own);
        }
      }
    }
  };

  /** One claim for each turn in which some of the params are there. */
  const claim = (place: Place, entry: Claim['entry'], texts: readonly string[]): void => {
    const byTurn = new Map<string, { readonly turns: Place['turns']; readonly params: (number | undefined)[] }>();
    entry.params.forEach((path: NamePath, i) => {
      const name = path.names[path.names.length - 1];
      for (const at of along(place, path.names.slice(0, -1))) {
        const index = indexOf.get(below(at.path, name));
        if (index === undefined) continue;
        const key = [...at.turns.values()].join();
        const turn = byTurn.get(key) ?? { turns: at.turns, params: entry.params.map(() => undefined) };
        turn.params[i] = index;
        byTurn.set(key, turn);
      }
    });
    for (const { turns, params } of byTurn.values()) claims.push({ texts, entry, params, turns });
  };

  if (whole.part.kind !== 'scan') readAll(whole, whole.part.names.find((section) => section.family === family)?.entries ?? [], [], family);
  return { claims, ignored, unlike: [...unlike.values()] };
}
