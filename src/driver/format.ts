import { printAst } from '../ir/ast/print.js';
import type { Host } from './host.js';
import type { Problem } from './problem.js';
import { isProblem, openSource, sourceOf } from './session.js';

export type Formatted =
  | { readonly text: string; readonly formatted: string; readonly errors?: undefined }
  | { readonly errors: string };

/** The canonical form of a file, or its rendered syntax errors. `text` is given where it does not come from a file. */
export function formatSource(host: Host, file: string, text: string | undefined, colour: boolean): Formatted | Problem {
  const source = text === undefined ? openSource(host, file) : sourceOf(host, file, text);
  if (isProblem(source)) return source;
  // A file that does not parse has no form; one with other errors has.
  const syntax = source.diagnostics.filter((d) => d.code.startsWith('E1'));
  if (source.ast === undefined || syntax.length > 0) return { errors: source.renderThese(syntax, colour) };
  return { text: source.text, formatted: printAst(source.ast) };
}
