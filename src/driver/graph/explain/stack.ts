import type { Graph } from '../../../ir/graph/graph.js';
import { instancePath } from '../../../ir/graph/paths.js';

/** Calls of a graph in a row; those of like turns of a `repeat` are one row. */
export interface StackRow {
  /** `0-2, 4-6`; '' outside of a `repeat`. */
  readonly turns: string;
  /** How many turns there are. */
  readonly times: number;
  readonly calls: readonly { readonly name: string; readonly part: string; readonly kind: string }[];
}

interface Turn {
  readonly turn: string;
  readonly calls: StackRow['calls'];
}

/**
 * The stack as it is read, from the first call to the last. Turns with the same calls are told together where they stand in a row or in a
 * pattern.
 */
export function stackOf(graph: Graph): readonly StackRow[] {
  const turns: Turn[] = [];
  for (const node of graph.nodes) {
    if (node.kind !== 'call') continue;
    const instance = graph.instances[node.instance];
    const call = {
      name: instance.turns.length === 0 ? instancePath(instance) : instance.name, part: instance.part.name, kind: instance.part.kind,
    };
    const turn = instance.turns.join('.');
    const last = turns.at(-1);
    if (last !== undefined && last.turn === turn) turns[turns.length - 1] = { turn, calls: [...last.calls, call] };
    else turns.push({ turn, calls: [call] });
  }
  const rows: { turn: string[]; readonly calls: StackRow['calls']; readonly key: string }[] = [];
  let block = 0;
  for (const { turn, calls } of turns) {
    const key = calls.map(({ name, part }) => `${name} ${part}`).join(', ');
    // What stands outside of a `repeat` parts what comes before it from what comes after.
    if (turn === '') block = rows.length + 1;
    const like = turn === '' ? undefined : rows.slice(block).find((row) => row.key === key);
    if (like === undefined) rows.push({ turn: turn === '' ? [] : [turn], calls, key });
    else like.turn.push(turn);
  }
  return rows.map(({ turn, calls }) => ({ turns: ranges(turn), times: Math.max(1, turn.length), calls }));
}

/** `0, 1, 2, 4` -> `0-2, 4`. */
function ranges(turns: readonly string[]): string {
  const texts: string[] = [];
  let from = 0;
  turns.forEach((turn, i) => {
    if (Number(turns[i + 1]) === Number(turn) + 1) return;
    texts.push(i === from ? turn : `${turns[from]}-${turn}`);
    from = i + 1;
  });
  return texts.join(', ');
}
