import type { IToken } from 'chevrotain';
import type { Diagnostic } from '../src/diagnostics/diagnostic.js';
import type { AstFile } from '../src/ir/ast/ast.js';
import { commentReader } from './comments.js';
import { depthError } from './depth.js';
import { bracketError, lexicalErrors } from './errors.js';
import { expectationError } from './expectations.js';
import { LmoeParser } from './rules.js';
import { lexer } from './tokens.js';

const parser = new LmoeParser();

export interface Parsed {
  /** Undefined if the text does not follow the grammar. */
  readonly ast: AstFile | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

/** Text -> Ast. The first mistake only: what follows it is rarely worth reading. `file` is the name that spans carry. */
export function parse(file: string, text: string): Parsed {
  const lexed = lexer.tokenize(text);
  const lexical = lexicalErrors(file, text, lexed);
  if (lexical.length > 0) return { ast: undefined, diagnostics: lexical };
  const deep = depthError(file, lexed.tokens);
  if (deep !== undefined) return { ast: undefined, diagnostics: [deep] };
  const ast = parser.parseFile(file, text.length, lexed.tokens, commentReader(file, text, comments(lexed.groups['comments'])));
  const error = parser.errors[0];
  if (error === undefined) return { ast, diagnostics: [] };
  return {
    ast: undefined, diagnostics: [bracketError(file, text, lexed.tokens, error) ?? expectationError(file, text, lexed.tokens, error)],
  };
}

function comments(group: readonly IToken[] | undefined): readonly IToken[] {
  return group ?? [];
}
