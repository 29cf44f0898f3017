/** Messages stay short whatever users give: names of a megabyte, lists of a million. */

export function briefText(text: string, most = 60): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

/** `a, b, c and 97 more`. */
export function briefList(items: ArrayLike<unknown>, most = 8): string {
  const shown = Array.from(
    { length: Math.min(items.length, items.length === most + 1 ? most + 1 : most) },
    (_, i) => (typeof items[i] === 'object' ? kindName(items[i]) : briefText(String(items[i]))),
  );
  return items.length === shown.length ? shown.join(', ') : `${shown.join(', ')} and ${items.length - shown.length} more`;
}

/** `[2, 100, 4, 64]` */
export function briefShape(shape: ArrayLike<number>): string {
  return `[${briefList(shape)}]`;
}

/** What a value is, where another was expected. */
export function kindName(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') {
    // What was read from JSON may have any `constructor`.
    const name: unknown = typeof value.constructor === 'function' ? value.constructor.name : undefined;
    return typeof name !== 'string' || name === 'Object' ? 'an object' : `a ${briefText(name)}`;
  }
  return typeof value === 'string' ? `the text '${briefText(value)}'` : `the ${typeof value} ${briefText(String(value))}`;
}
