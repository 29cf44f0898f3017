import { quoted } from '../typescript.js';

/** The axes of a tensor as its type writes them: `'B T H K'`. */
export const tensorType = (axes: string): string => `Tensor<${quoted(axes)}>`;

/** `two_words` -> `TwoWords`; with `prefix` in front where a type that the file uses has that name, or the declaration's is none. */
export function typeName(name: string, used: ReadonlySet<string>, prefix: string): string {
  const pascal = name.split(/[_\W]+/).filter((part) => part !== '').map((part) => part[0].toUpperCase() + part.slice(1)).join('');
  return used.has(pascal) || !/^[A-Z]/.test(pascal) ? `${prefix}${pascal}` : pascal;
}
