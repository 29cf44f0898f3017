import { kindName } from '../support/brief.js';

/** What offsets of packed sequences are. */
export const OFFSETS_RULE = 'N + 1 offsets that start at 0, never decrease and end at the number of tokens';

/** Why values are no offsets that cut so many tokens into sequences; undefined where they are. */
export function offsetsFault(offsets: ArrayLike<number>, batch: number, tokens: number): string | undefined {
  if (offsets.length < 2) return `holds ${offsets.length} offsets: at least two are needed`;
  if (batch !== 1) return `is given, so the batch must be 1, found ${batch}`;
  for (let i = 0; i < offsets.length; i++) {
    if (!Number.isSafeInteger(offsets[i])) return `holds ${kindName(offsets[i])} at entry ${i}, no whole number`;
    if (i === 0 && offsets[0] !== 0) return `must start at 0, found ${offsets[0]}`;
    if (i > 0 && offsets[i] < offsets[i - 1]) return `decreases from ${offsets[i - 1]} to ${offsets[i]} at entry ${i}`;
  }
  const last = offsets[offsets.length - 1];
  return last === tokens ? undefined : `ends at ${last}, but there are ${tokens} tokens`;
}

const MOST_SEQUENCES = 2 ** 24;
/** Kernels number tokens by whole numbers of 32 bits. */
const MOST_TOKENS = 2 ** 31 - 1;

/** Why there are too many for one call; undefined where there are not. What has no elements may have any extents. */
export function countsFault(sequences: number, tokens: number): string | undefined {
  if (sequences > MOST_SEQUENCES) return `${sequences} sequences, more than 2^24`;
  return tokens > MOST_TOKENS ? `${tokens} tokens, more than 2^31 - 1` : undefined;
}
