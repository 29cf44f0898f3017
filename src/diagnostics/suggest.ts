/** Told wherever `.T`, `^T` or a raised T shows up. */
export const NO_TRANSPOSES = 'there are no transposes: `@` contracts the axis that both sides have, '
  + '`outer(k, v)` makes a matrix of two vectors';

/** Longer names are compared with nothing: that takes the product of their lengths. */
const LONGEST = 64;

/** The candidate that was probably meant, if one is near: at most a third of its letters differ. */
export function suggest(written: string, candidates: Iterable<string>): string | undefined {
  let best: { name: string; distance: number } | undefined;
  for (const name of candidates) {
    const limit = Math.max(1, Math.floor(Math.max(written.length, name.length) / 3));
    if (name === written || Math.max(written.length, name.length) > LONGEST || Math.abs(written.length - name.length) > limit) continue;
    const distance = name.toLowerCase() === written.toLowerCase() ? 0.5 : editDistance(written, name);
    const short = Math.min(written.length, name.length) < 2 && distance >= 1;
    if (!short && distance <= limit && (best === undefined || distance < best.distance)) best = { name, distance };
  }
  return best?.name;
}

/** `did you mean ...?` as help lines: one or none. */
export function didYouMean(written: string, candidates: Iterable<string>): string[] {
  const name = suggest(written, candidates);
  return name === undefined ? [] : [`did you mean \`${name}\`?`];
}

/** Insertions, deletions, replacements and swaps of neighbours. */
export function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      row[j] = Math.min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j], rows[i - 2][j - 2] + 1);
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
}
