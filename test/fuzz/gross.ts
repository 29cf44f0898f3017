/** f32 loses digits where a formula takes differences: only what is plainly something else counts. */
const GROSS = 0.02;

/** What is grossly different; undefined for nothing, and for numbers that are too large to say. `wanted` may have more. */
export function grossFault(
  where: string, found: ReadonlyMap<string, ArrayLike<number>>, wanted: ReadonlyMap<string, Float64Array>,
): string | undefined {
  const most = Math.max(1, ...[...found.keys()].map((name) => size(wanted.get(name) ?? new Float64Array())));
  if (!(most < 1e4)) return undefined;
  for (const [name, values] of found) {
    const meant = wanted.get(name);
    const error = meant === undefined || meant.length !== values.length ? NaN : size(meant.map((x, i) => x - values[i]));
    if (!(error <= GROSS * size(meant ?? new Float64Array()) + 1e-3 * most)) {
      return `${name} is off by ${error} of ${size(meant ?? new Float64Array())} in ${where}`;
    }
  }
  return undefined;
}

function size(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / Math.max(1, values.length));
}
