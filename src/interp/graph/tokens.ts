import type { Axis } from '../../ir/graph/types.js';

/**
 * The tokens over which a graph is evaluated: those of a call, or those present where a part is called with restricted arguments.
 * Rows lie sequence by sequence, each in the order of time. A sequence may be empty.
 */
export interface Tokens {
  readonly rows: number;
  readonly sequences: number;
  /** First row of each sequence, and the number of rows. */
  readonly starts: Int32Array;
  readonly sequence: Int32Array;
  /** Tokens of each sequence that a state stands for, before these. */
  readonly seen: Int32Array;
  /** `index[time]` of each row, those before counted. */
  readonly time: Int32Array;
  /** `position`, by which `rope` turns: `index[time]`, unless the caller of the program gave positions. */
  readonly position: Float64Array;
  readonly given: boolean;
  /** What draws are a function of: place in the program's call, not in this set. */
  readonly keys: TokenKeys;
  readonly one: Frame;
  readonly bySequence: Frame;
  readonly byToken: Frame;
  /** Frames over the past, made when they are first asked for. */
  readonly pairs: Map<string, Frame>;
}

export interface TokenKeys {
  readonly sequence: Uint32Array;
  readonly position: Uint32Array;
  /** Number of the index of mapped axes, in calls that a part gets for each of them. */
  readonly lane: Uint32Array;
}

/**
 * The copies of a value: one, one a sequence, one a token, or one for each token and token of its past. From few copies to many: those of
 * fewer broadcast.
 */
export interface Frame {
  readonly level: 'one' | 'sequence' | 'token' | 'pair';
  readonly copies: number;
  /**
   * Of pairs: axes over the past, the row of each copy, the first copy of each row, and for each axis the row among those kept and present
   * (`pastRows`).
   */
  readonly past: readonly Axis[];
  readonly row: Int32Array;
  readonly first: Int32Array;
  readonly source: readonly Int32Array[];
}

const NONE = new Int32Array(0);

function plain(level: 'one' | 'sequence' | 'token', copies: number): Frame {
  return { level, copies, past: [], row: NONE, first: NONE, source: [] };
}

export interface TokenPlan {
  readonly lengths: readonly number[];
  readonly seen: Int32Array;
  readonly keys: TokenKeys;
  /** Undefined: `index[time]`. */
  readonly position: Float64Array | undefined;
}

export function makeTokens({ lengths, seen, keys, position }: TokenPlan): Tokens {
  const starts = new Int32Array(lengths.length + 1);
  lengths.forEach((length, n) => {
    starts[n + 1] = starts[n] + length;
  });
  const rows = starts[lengths.length];
  const sequence = new Int32Array(rows);
  const time = new Int32Array(rows);
  lengths.forEach((length, n) => {
    for (let i = 0; i < length; i++) {
      sequence[starts[n] + i] = n;
      time[starts[n] + i] = seen[n] + i;
    }
  });
  return {
    rows, sequences: lengths.length, starts, sequence, seen, time, keys,
    position: position ?? Float64Array.from(time), given: position !== undefined,
    one: plain('one', 1), bySequence: plain('sequence', lengths.length), byToken: plain('token', rows), pairs: new Map(),
  };
}

/**
 * Those of some rows, in their order, with a time of their own. A row that is there for several indices of mapped axes comes once for
 * each: `lanes` has the number of each row's index, below `width`.
 */
export function subset(tokens: Tokens, rows: Int32Array, lanes: Int32Array | number, width: number, seen: Int32Array): Tokens {
  const lengths = new Array<number>(tokens.sequences).fill(0);
  for (const row of rows) lengths[tokens.sequence[row]]++;
  const { keys } = tokens;
  return makeTokens({
    lengths, seen, position: tokens.given ? Float64Array.from(rows, (row) => tokens.position[row]) : undefined,
    keys: {
      sequence: Uint32Array.from(rows, (row) => keys.sequence[row]),
      position: Uint32Array.from(rows, (row) => keys.position[row]),
      lane: Uint32Array.from(rows, (row, i) => keys.lane[row] * width + (typeof lanes === 'number' ? lanes : lanes[i])),
    },
  });
}

/** How many tokens of each sequence a state stands for after these. */
export function seenAfter({ seen, starts }: Tokens): Int32Array {
  return seen.map((n, sequence) => n + starts[sequence + 1] - starts[sequence]);
}

/** How many rows of a sequence a state keeps for an axis over the past: the token itself counts in a window. */
export function keptRows(tokens: Tokens, axis: Axis, sequence: number): number {
  return Math.min(tokens.seen[sequence], axis.size - 1);
}

/** What a row sees along an axis over the past, among the kept and present rows of all sequences: [first, number]. */
function sight(tokens: Tokens, axis: Axis, begins: Int32Array, row: number): [number, number] {
  const n = tokens.sequence[row];
  const last = keptRows(tokens, axis, n) + row - tokens.starts[n];
  const count = Math.min(axis.size, last + 1);
  return [begins[n] + last - count + 1, count];
}

/** Where the kept and present rows of each sequence begin, and where the last ends. */
export function pastBegins(tokens: Tokens, axis: Axis): Int32Array {
  const begins = new Int32Array(tokens.sequences + 1);
  const { starts } = tokens;
  for (let n = 0; n < tokens.sequences; n++) begins[n + 1] = begins[n] + keptRows(tokens, axis, n) + starts[n + 1] - starts[n];
  return begins;
}

/** The frame of values that have these axes over the past. */
export function pairFrame(tokens: Tokens, axes: readonly Axis[]): Frame {
  const past = [...axes].sort((a, b) => (a.name < b.name ? -1 : 1));
  const key = past.map((axis) => axis.name).join();
  const known = tokens.pairs.get(key);
  if (known !== undefined) return known;
  const begins = past.map((axis) => pastBegins(tokens, axis));
  const first = new Int32Array(tokens.rows + 1);
  for (let row = 0; row < tokens.rows; row++) {
    first[row + 1] = first[row] + past.reduce((count, axis, i) => count * sight(tokens, axis, begins[i], row)[1], 1);
  }
  const copies = first[tokens.rows];
  const rowOf = new Int32Array(copies);
  const source = past.map(() => new Int32Array(copies));
  for (let row = 0; row < tokens.rows; row++) {
    const seen = past.map((axis, i) => sight(tokens, axis, begins[i], row));
    for (let copy = first[row]; copy < first[row + 1]; copy++) {
      rowOf[copy] = row;
      for (let i = past.length - 1, rest = copy - first[row]; i >= 0; i--) {
        const [low, count] = seen[i];
        source[i][copy] = low + (rest % count);
        rest = Math.floor(rest / count);
      }
    }
  }
  const frame: Frame = { level: 'pair', copies, past, row: rowOf, first, source };
  tokens.pairs.set(key, frame);
  return frame;
}

const ORDER = ['one', 'sequence', 'token', 'pair'] as const;

/** The frame with enough copies for both. */
export function joinFrames(tokens: Tokens, a: Frame, b: Frame): Frame {
  if (a === b) return a;
  if (a.level === 'pair' && b.level === 'pair') {
    const known = (axis: Axis): boolean => a.past.some((have) => have.name === axis.name);
    return pairFrame(tokens, [...a.past, ...b.past.filter((axis) => !known(axis))]);
  }
  return ORDER.indexOf(a.level) >= ORDER.indexOf(b.level) ? a : b;
}

/** For every copy of `to` the copy of `from` that it has; undefined: the same number. `to` has at least as many. */
export function copyMap(tokens: Tokens, from: Frame, to: Frame): Int32Array | undefined {
  if (from === to) return undefined;
  if (from.level === 'one') return new Int32Array(to.copies);
  if (from.level === 'sequence') return to.level === 'token' ? tokens.sequence : to.row.map((row) => tokens.sequence[row]);
  if (from.level === 'token') return to.row;
  const axes = from.past.map((axis) => to.past.findIndex((other) => other.name === axis.name));
  const begins = from.past.map((axis) => pastBegins(tokens, axis));
  return to.row.map((row, copy) => from.past.reduce((place, axis, i) => {
    const [low, count] = sight(tokens, axis, begins[i], row);
    return { at: place.at * count + to.source[axes[i]][copy] - low };
  }, { at: 0 }).at + from.first[row]);
}
