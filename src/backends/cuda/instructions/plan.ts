import { operandsIn, ordered } from './barriers.js';
import type { Draft } from './draft.js';
import type { Step } from './instruction.js';
import { arenaOf, type Arena, type Piece } from './pieces.js';

/** All that a team does and where it does it, ready to be printed. */
export interface TeamPlan<Part extends string> {
  readonly arena: Arena;
  steps(part: Part): readonly Step[];
  /** Has the frame to fence what threads wrote last? */
  readonly unfenced: boolean;
}

/** Pieces of shared memory that products of a team read, its own or others'. */
export const operandsOfTeam = (draft: Draft<string>): ReadonlySet<Piece> => operandsIn(draft.parts().map((part) => part.instructions));

/** `operands`: what products of another team read of it. */
export function planTeam<Part extends string>(draft: Draft<Part>, operands?: ReadonlySet<Piece>): TeamPlan<Part> {
  const parts = draft.parts();
  const { steps, spans, unfenced } = ordered(parts.map(({ instructions }) => instructions), operands);
  const byPart = new Map(parts.map(({ name }, n) => [name, steps[n]]));
  return { arena: arenaOf(draft.pieces, spans), steps: (part) => byPart.get(part) ?? [], unfenced };
}
