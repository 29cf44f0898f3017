import { ordered } from './barriers.js';
import type { Draft } from './draft.js';
import type { Step } from './instruction.js';
import { arenaOf, type Arena } from './pieces.js';

/** All that a team does and where it does it, ready to be printed. */
export interface TeamPlan<Part extends string> {
  readonly arena: Arena;
  steps(part: Part): readonly Step[];
}

export function planTeam<Part extends string>(draft: Draft<Part>): TeamPlan<Part> {
  const parts = draft.parts();
  const { steps, spans } = ordered(parts.map(({ instructions }) => instructions));
  const byPart = new Map(parts.map(({ name }, n) => [name, steps[n]]));
  return { arena: arenaOf(draft.pieces, spans), steps: (part) => byPart.get(part) ?? [] };
}
