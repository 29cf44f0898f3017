/**
 * Rows that lie densely in memory, cut into runs of rows that follow each other: tokens in sequences, or slots in experts. A run may be
 * empty. Each name is that of one of them, as listings and messages say it.
 */
export interface Domain {
  readonly row: string;
  /** Up to C rows of one run. */
  readonly chunk: string;
  /** Consecutive chunks of one run. */
  readonly segment: string;
  readonly run: string;
  /** Absent: a call says where its runs lie. */
  readonly made?: Made;
}

/**
 * How a domain comes about whose runs a kernel of the program counts, so that no host knows how long they are: memory and grids are for as
 * many rows as there may be. It is there for kernels behind the one that stores `offsets`.
 */
export interface Made {
  /** The buffer (once, i32) of the numbers of rows at which its runs begin, and at which the last one ends. */
  readonly offsets: string;
  readonly runs: number;
  /** The rows, of another domain, of which each has so many rows of this one at most. */
  readonly of: string;
  readonly perRow: number;
}

/** Names of what there are several of. */
type Plural = 'row' | 'chunk' | 'segment' | 'run';

/** What there is one of: for each row, chunk, segment or run of a domain, or once in all. */
export type Level = Plural | 'once';

/** Where something stands: a level, and the domain that it is one of. Absent: `once`. */
export interface Cells {
  readonly outer: Level;
  readonly domain?: Domain;
}

/** One of a level, in the words of its domain: `token`, `chunk`, `once`. */
export function nameOf({ outer, domain }: Cells): string {
  return outer === 'once' || domain === undefined ? 'once' : domain[outer];
}

/** What the size of a level is called, in plans and in loops: `tokens`, `chunks`. */
export function sizeName(domain: Domain, level: Exclude<Level, 'once'>): string {
  return `${domain[level]}s`;
}

/** Is there one cell for each row? Tiles of a chunk have a ROW axis for it. */
export function isRows({ outer }: Cells): boolean {
  return outer === 'row';
}

/** Is there one cell for each run? */
export function isRuns({ outer }: Cells): boolean {
  return outer === 'run';
}

export function sameDomain(a: Domain | undefined, b: Domain | undefined): boolean {
  return a?.row === b?.row && a?.run === b?.run;
}
