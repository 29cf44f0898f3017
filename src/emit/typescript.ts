import { visible } from '../support/text.js';

/** The text of a doc comment. What would end it, or tell the compiler something, is only read by people. */
export function docComment(text: string): string {
  return visible(text).replaceAll('*/', '*\\/').replaceAll('@ts-', '\\@ts-');
}

/** A string literal. */
export function quoted(text: string): string {
  return `'${visible(text.replaceAll('\\', '\\\\').replaceAll('\'', '\\\'').replaceAll('\n', '\\n'))}'`;
}

/** A key of an object literal or of a type. */
export function propertyKey(name: string): string {
  return isIdentifier(name) ? name : quoted(name);
}

function isIdentifier(name: string): boolean {
  return /^[A-Za-z_$][\w$]*$/.test(name);
}
