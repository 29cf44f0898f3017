/**
 * Text that comes from users (comments, names of files and tensors), made fit to stand in generated files and on terminals: what ends
 * lines, moves cursors, turns the direction of writing or is no character at all is shown by its code point.
 */
const UNSHOWN = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

const codePoint = (character: string): string => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;

/** A text of one line. */
export function visibleLine(text: string): string {
  return text.replace(UNSHOWN, codePoint);
}

/** A text of several lines: newlines and tabs stay. */
export function visible(text: string): string {
  return text.replace(UNSHOWN, (character) => (character === '\n' || character === '\t' ? character : codePoint(character)));
}

/**
 * What may follow `//` in C++, WGSL and TypeScript: one line that does not go on in the next one, as `\` and its trigraph would have it.
 */
export function lineComment(text: string): string {
  return visibleLine(text.replace(/\s+/g, ' ').trim()).replace(/(\\|\?\?\/)$/, '$1.');
}

/** JSON that is safe to print as well: control characters beyond ASCII are escaped too. */
export function jsonText(value: unknown, indent?: number): string {
  const escaped = (character: string): string => [...Array(character.length).keys()]
    .map((i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`).join('');
  return JSON.stringify(value, null, indent).replace(UNSHOWN, (character) => (character === '\n' ? character : escaped(character)));
}

/** `9.3 GB`: powers of a thousand, as disks are sold. */
export function bytesText(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** power;
  return `${power === 0 ? value : value.toFixed(value < 100 ? 1 : 0)} ${units[power]}`;
}
