import type { IToken } from 'chevrotain';
import { diagnostic, type Diagnostic } from '../src/diagnostics/diagnostic.js';
import * as T from './tokens.js';

/** Brackets, signs and exponents that may be open at a time: each costs the parser a dozen calls of functions. */
const NESTED = 64;
/** Operators that may lie on the way from a formula down to one of its values. */
const OPERATORS = 256;

/** What is open at one bracket: prefix signs and exponents, and the operators of the formula so far. */
interface Level {
  nested: number;
  operators: number;
}

const OPENING = [T.LParen, T.LBracket, T.LBrace];
const CLOSING = [T.RParen, T.RBracket, T.RBrace];
const BINARY = [T.Plus, T.Minus, T.Star, T.Slash, T.At];
/** A new formula begins after one of these. */
const BETWEEN = [T.Comma, T.Equals, T.Range, T.In, T.Let, T.Const, T.State, T.Param];

/** The first place where a formula is deeper than whatever walks over it can follow. Looks at tokens, so that nothing has followed it yet. */
export function depthError(file: string, tokens: readonly IToken[]): Diagnostic | undefined {
  const levels: Level[] = [{ nested: 0, operators: 0 }];
  let [nested, operators] = [0, 0];
  const leave = (level: Level): void => {
    nested -= level.nested;
    operators -= level.operators;
  };
  for (const [i, token] of tokens.entries()) {
    const type = token.tokenType;
    const own = levels[levels.length - 1];
    if (OPENING.includes(type)) {
      levels.push({ nested: 1, operators: 0 });
      nested += 1;
    } else if (CLOSING.includes(type) && levels.length > 1) {
      leave(own);
      levels.pop();
    } else if (BETWEEN.includes(type)) {
      leave(own);
      levels[levels.length - 1] = { nested: levels.length > 1 ? 1 : 0, operators: 0 };
      nested += levels.length > 1 ? 1 : 0;
    } else if (type === T.Caret || (type === T.Minus && !endsValue(tokens[i - 1]))) {
      own.nested += 1;
      nested += 1;
    } else if (BINARY.includes(type)) {
      // A sign or an exponent ends where the next operator of its formula begins.
      const chain = own.nested - (levels.length > 1 ? 1 : 0);
      own.nested -= chain;
      nested -= chain;
      own.operators += 1;
      operators += 1;
    }
    if (nested > NESTED) return tooDeep(file, token, `more than ${NESTED} brackets, signs and exponents are open here`, 'one more');
    if (operators > OPERATORS) return tooDeep(file, token, `more than ${OPERATORS} operators in one formula`, 'one more');
  }
  return undefined;
}

function endsValue(token: IToken | undefined): boolean {
  return token !== undefined && (CLOSING.includes(token.tokenType) || token.tokenType === T.NumberLiteral || /^[A-Za-z_]/.test(token.image) && !BETWEEN.includes(token.tokenType));
}

function tooDeep(file: string, token: IToken, title: string, label: string): Diagnostic {
  const span = { file, start: token.startOffset, end: token.startOffset + token.image.length };
  return diagnostic('E106', title, span, label, { help: ['give a part of the formula a name with `let`, and use the name'] });
}
