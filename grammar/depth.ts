import type { IToken } from 'chevrotain';
import { diagnostic, type Diagnostic } from '../src/diagnostics/diagnostic.js';
import * as T from './tokens.js';

/** Brackets, signs, exponents and `else`s that may be open at a time: each costs the parser a dozen calls of functions. */
const NESTED = 64;
/** Operators that may lie on the way from a formula down to one of its values. */
const OPERATORS = 256;
/** Letters of a name: files, kernels and variables of generated code have names made of one or two. */
const LETTERS = 100;

/** What is open at one bracket: prefix signs and exponents, `else`s that hang on each other, and the operators of the formula so far. */
interface Level {
  nested: number;
  elses: number;
  operators: number;
}

const OPENING = [T.LParen, T.LBracket, T.LBrace];
const CLOSING = [T.RParen, T.RBracket, T.RBrace];
const BINARY = [T.Plus, T.Minus, T.Star, T.Slash, T.Percent, T.At, T.Below, T.AtMost, T.Above, T.AtLeast, T.Equal, T.NotEqual, T.And, T.Or];
/** A new formula begins after one of these, and at a word behind a value: there the next statement begins. */
const BETWEEN = [T.Comma, T.Equals, T.PlusEquals, T.Range];
/** Words that end no value. */
const OPEN_WORDS = [...T.KEYWORDS];

/**
 * The first place where a text is deeper than whatever walks over it can follow, or has a name that no file can have. Looks at tokens, so
 * that nothing has followed it yet.
 */
export function depthError(file: string, tokens: readonly IToken[]): Diagnostic | undefined {
  const levels: Level[] = [{ nested: 0, elses: 0, operators: 0 }];
  let [nested, operators] = [0, 0];
  const leave = (level: Level): void => {
    nested -= level.nested + level.elses;
    operators -= level.operators;
  };
  /** Prefix signs and exponents end, the bracket and the `else`s stay open. */
  const restart = (own: Level, keepOperators: boolean): void => {
    const bracket = levels.length > 1 ? 1 : 0;
    nested -= own.nested - bracket;
    own.nested = bracket;
    if (keepOperators) return;
    operators -= own.operators;
    own.operators = 0;
  };
  for (const [i, token] of tokens.entries()) {
    const type = token.tokenType;
    const own = levels[levels.length - 1];
    if (token.image.length > LETTERS && isWord(token)) return tooDeep(
      file, token, `a name of ${token.image.length} letters`, `choose one with at most ${LETTERS}`, 'too long',
    );
    const operator = type === T.And || type === T.Or || type === T.Not;
    if (isWord(token) && !operator && (endsValue(tokens[i - 1]) || type === T.In)) restart(own, false);
    if (OPENING.includes(type)) {
      levels.push({ nested: 1, elses: 0, operators: 0 });
      nested += 1;
    } else if (CLOSING.includes(type) && levels.length > 1) {
      leave(own);
      levels.pop();
      const outer = levels[levels.length - 1];
      if (type === T.RBrace && tokens[i + 1]?.tokenType !== T.Else) {
        nested -= outer.elses;
        outer.elses = 0;
      }
    } else if (BETWEEN.includes(type)) {
      restart(own, false);
    } else if (type === T.Else) {
      own.elses += 1;
      nested += 1;
    } else if (type === T.Caret || type === T.Not || (type === T.Minus && !endsValue(tokens[i - 1]))) {
      own.nested += 1;
      nested += 1;
    } else if (BINARY.includes(type)) {
      // A sign or an exponent ends where the next operator of its formula begins.
      restart(own, true);
      own.operators += 1;
      operators += 1;
    }
    if (nested > NESTED) {
      return type === T.LBrace || type === T.Else
        ? tooDeep(file, token, `more than ${NESTED} blocks and \`else\`s are open here`, 'put what stands inside into a layer of its own')
        : tooDeep(file, token, `more than ${NESTED} brackets, signs and exponents are open here`, NAMED);
    }
    if (operators > OPERATORS) return tooDeep(file, token, `more than ${OPERATORS} operators in one formula`, NAMED);
  }
  return undefined;
}

function isWord(token: IToken): boolean {
  return /^[A-Za-z_]/.test(token.image);
}

function endsValue(token: IToken | undefined): boolean {
  if (token === undefined) return false;
  const type = token.tokenType;
  return CLOSING.includes(type) || type === T.NumberLiteral || type === T.StringLiteral || (isWord(token) && !OPEN_WORDS.includes(type));
}

const NAMED = 'give a part of the formula a name with `let`, and use the name';

function tooDeep(file: string, token: IToken, title: string, help: string, label = 'one more'): Diagnostic {
  const span = { file, start: token.startOffset, end: token.startOffset + token.image.length };
  return diagnostic('E106', title, span, label, { help: [help] });
}
