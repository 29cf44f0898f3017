import { lineComment, visible } from '../../support/text.js';

/** A docstring of these lines; what users wrote stays within. */
export function docstring(lines: readonly string[]): readonly string[] {
  const safe = lines.flatMap((line) => line.split(/\r\n|[\r\n]/))
    .map((line) => visible(line).replaceAll('\\', '\\\\').replaceAll('"""', '\\"\\"\\"').trimEnd());
  const last = safe[safe.length - 1];
  // A quote at the end would join the closing ones.
  return safe.length === 1 && !last.endsWith('"') ? [`"""${last}"""`] : [`"""${safe[0]}`, ...safe.slice(1), '"""'];
}

export function comments(lines: readonly string[]): readonly string[] {
  return lines.map((line) => `# ${lineComment(line)}`);
}
