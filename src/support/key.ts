/** A text for equal values only: JSON would take infinities, what is no number and null for one, and -0 for 0. */
export function keyOf(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) => {
    return typeof one === 'number' && !(Number.isFinite(one) && !Object.is(one, -0)) ? (Object.is(one, -0) ? '-0' : String(one)) : one;
  });
}
