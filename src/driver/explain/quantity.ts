/** 1234567 -> `1.23 M`; with a unit: `1.23 MB`. */
export function quantity(value: number, unit: string): string {
  const steps: readonly (readonly [number, string])[] = [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']];
  const [scale, prefix] = steps.find(([limit]) => value >= limit) ?? [1, ''];
  const scaled = value / scale;
  return `${scaled.toFixed(scale === 1 ? 0 : scaled < 10 ? 2 : scaled < 100 ? 1 : 0)} ${prefix}${unit}`;
}

/** Seconds as ms or µs. */
export function duration(seconds: number): string {
  return seconds >= 1e-3 ? `${(seconds * 1e3).toFixed(2)} ms` : `${(seconds * 1e6).toFixed(1)} µs`;
}
