import type { PartKind } from '../ir/ast/ast.js';
import type { Declaration, Kind } from './kind.js';
import { graphKind } from './graph/kind.js';
import { scanKind } from './scan/kind.js';

/** The kinds of declarations. A target or a command that a kind does not have yet is a place in its record. */
export const KINDS: Readonly<Record<PartKind, Kind>> = {
  scan: scanKind,
  moe: graphKind('mixture', 'mixtures', 'asked'),
  layer: graphKind('layer', 'layers', 'asked'),
  model: graphKind('model', 'models', 'never'),
};

export function kindOf({ part }: Pick<Declaration, 'part'>): Kind {
  return KINDS[part.kind];
}

const all = Object.values(KINDS);

/** Levels that `check` and `build` can print: those of all kinds, the meaning of layers first. */
export const CHECK_LEVELS = [...new Set(all.toReversed().flatMap(({ levels }) => levels.check))];
export const BUILD_LEVELS = [...new Set(all.flatMap(({ levels }) => levels.build))];

/** `3 scans, 1 layer`. */
export function declarationsText(kinds: readonly PartKind[]): string {
  const texts = (['scan', 'moe', 'layer', 'model'] as const).flatMap((kind) => {
    const n = kinds.filter((own) => own === kind).length;
    return n === 0 ? [] : [`${n} ${KINDS[kind].words[n === 1 ? 0 : 1]}`];
  });
  return texts.length === 0 ? '0 declarations' : texts.join(', ');
}
