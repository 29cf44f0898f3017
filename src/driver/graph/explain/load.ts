/** How evenly rows fall into groups, if each token chooses `perToken` of `groups` by lot. */
export interface Load {
  readonly mean: number;
  /** Rows that the fullest group has, on average over calls. */
  readonly fullest: number;
  /** The share of rows that are there in tiles of `chunk` rows of one group each. */
  readonly filled: number;
}

/** Of a binomial law for each group; groups count as independent, which they are but for the last few rows. */
export function loadOf(tokens: number, groups: number, perToken: number, chunk: number): Load {
  const p = Math.min(1, perToken / groups);
  if (p === 1) return { mean: tokens, fullest: tokens, filled: tokens / (Math.ceil(tokens / chunk) * chunk) };
  const mean = tokens * p;
  let [below, fullest, tiles] = [0, 0, 0];
  let log = tokens * Math.log1p(-p);
  for (let rows = 0; rows <= tokens; rows++) {
    const here = Math.exp(log);
    tiles += here * Math.ceil(rows / chunk);
    below += here;
    // The fullest has more than so many unless all have at most so many.
    const more = 1 - Math.min(1, below) ** groups;
    fullest += more;
    if (rows > mean && more < 1e-9) break;
    log += Math.log((tokens - rows) / (rows + 1)) + Math.log(p / (1 - p));
  }
  return { mean, fullest, filled: mean / (tiles * chunk) };
}
