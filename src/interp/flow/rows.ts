import type { Domain, DomainId, End } from '../../ir/flow/flow.js';
import { ONCE, SEQUENCE, TOKEN } from '../../ir/flow/flow.js';
import type { Axis } from '../../ir/graph/types.js';
import type { Tokens } from '../graph/tokens.js';
import { offsets, sizeOf, strides } from '../graph/value.js';

/** Rows of a domain in one call. */
export interface Rows {
  readonly count: number;
  /** Of slots and pairs: the token, or that which looks back. */
  readonly token: Int32Array;
  /** Of slots: the number of the index of the groups, row by row. */
  readonly group: Int32Array;
  readonly groups: readonly Axis[];
  /** Of pairs: the token that is seen. */
  readonly source: Int32Array;
}

const NONE = new Int32Array(0);

export function plainRows(count: number): Rows {
  return { count, token: NONE, group: NONE, groups: [], source: NONE };
}

/** Slots of a choice, [tokens, ...axes]: index by index, and by token in each. */
export function slotRows(groups: readonly Axis[], holds: Float64Array, axes: readonly Axis[], tokens: number): Rows {
  const width = sizeOf(groups);
  const cells = offsets(groups, strides(groups, axes));
  const [token, group]: [number[], number[]] = [[], []];
  for (let g = 0; g < width; g++) {
    for (let t = 0; t < tokens; t++) {
      // What is chosen once is chosen for every token.
      if (holds[(t * width) % holds.length + cells[g]] === 0) continue;
      token.push(t);
      group.push(g);
    }
  }
  return { ...plainRows(token.length), token: Int32Array.from(token), group: Int32Array.from(group), groups };
}

/** Every token with those of its sequence up to it, at most as many as the window has. */
export function pairRows({ rows, sequence, starts }: Tokens, window: Axis): Rows {
  const [token, source]: [number[], number[]] = [[], []];
  for (let t = 0; t < rows; t++) {
    for (let s = Math.max(starts[sequence[t]], t - window.size + 1); s <= t; s++) {
      token.push(t);
      source.push(s);
    }
  }
  return { ...plainRows(token.length), token: Int32Array.from(token), source: Int32Array.from(source) };
}

/** For each row of a domain the row of a coarser one that it lies in. */
export function rowMap(tokens: Tokens, { count, token, source }: Rows, from: DomainId, to: DomainId, by: End): (row: number) => number {
  if (from === to) return (row) => row;
  if (to === ONCE) return () => 0;
  const ends = by === 'source' && source.length === count ? source : token;
  if (to === TOKEN) return (row) => ends[row];
  if (to !== SEQUENCE) throw new Error('rows lie in tokens, sequences or the call');
  return from === TOKEN ? (row) => tokens.sequence[row] : (row) => tokens.sequence[ends[row]];
}

/** The row that lies `back` rows before in the same sequence and group; -1 for none. */
export function rowBefore(tokens: Tokens, domain: Domain, { token, group }: Rows, row: number, back: number): number {
  const before = row - back;
  if (before < 0) return -1;
  if (domain.kind === 'token') return tokens.sequence[before] === tokens.sequence[row] ? before : -1;
  return group[before] === group[row] && tokens.sequence[token[before]] === tokens.sequence[token[row]] ? before : -1;
}
