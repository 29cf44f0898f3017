import { visibleLine } from '../support/text.js';
import type { Code } from '../diagnostics/codes.js';
import type { Diagnostic } from '../diagnostics/diagnostic.js';

/** An error that the user can cause outside of a source text: in data, options, devices or folders. */
export interface Problem {
  readonly code: Code;
  /** One sentence that names the place: the tensor, the file, the option. */
  readonly title: string;
  /** What to do about it. */
  readonly help: readonly string[];
}

export function problem(code: Code, title: string, ...help: string[]): Problem {
  return { code, title, help };
}

/** Diagnostics have places in the source, problems have not. */
export type Failed = { readonly diagnostics: readonly Diagnostic[] } | Problem;

/** `error[E503]: …` and its help lines, in the manner of a diagnostic's. */
export function problemText(p: Problem, colour: boolean): string {
  const paint = (style: string, text: string) => (colour ? `\u001b[${style}m${text}\u001b[0m` : text);
  const title = `${paint('1;31', `error[${p.code}]`)}${paint('1', `: ${visibleLine(p.title)}`)}`;
  return [title, ...p.help.map((line) => ` = ${paint('36', 'help')}: ${visibleLine(line)}`)].join('\n');
}
