import type { ILexingResult, IRecognitionException, IToken } from 'chevrotain';
import { diagnostic, type Diagnostic } from '../src/diagnostics/diagnostic.js';
import { NO_TRANSPOSES } from '../src/diagnostics/suggest.js';
import type { Span } from '../src/ir/common/span.js';

const OPEN: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };
const CLOSE: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' };

/** What people paste from papers, and how it is written here. */
const SPELLINGS: Readonly<Record<string, string>> = {
  '⊙': 'write `*` for the elementwise product', '∘': 'write `*` for the elementwise product', '×': 'write `*`',
  '·': 'write `*`, or `@` to contract an axis', '⊗': 'write `outer(a, b)`', '−': 'write the ASCII minus `-`',
  '–': 'write the ASCII minus `-`', '²': 'write `^2`', '√': 'write `sqrt(x)`', '∞': 'write `inf`',
  '←': 'write `=`', '∑': 'write `sum[K](x)`', 'σ': 'write `sigmoid(x)`; as a name, spell it `sigma`', 'ᵀ': NO_TRANSPOSES,
  '#': 'a comment begins with `//`', "'": 'texts stand in double quotes, and names have letters, digits and `_`',
  '&': 'write `and`', '!': 'write `not`',
  '?': 'a choice when building is `if c { ... } else { ... }`; one per token is `x[c]` or `mask(c) * x`',
  '≤': 'write `<=`', '≥': 'write `>=`', '≠': 'write `!=`', '∧': 'write `and`', '∨': 'write `or`', '¬': 'write `not`',
};

const GREEK = new Map([...'αβγδεζηθικλμνξοπρστυφχψωΓΔΘΛΞΠΣΦΨΩ'].map((letter, i) => [letter, [
  'alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta', 'iota', 'kappa', 'lambda', 'mu', 'nu', 'xi', 'omicron', 'pi',
  'rho', 'sigma', 'tau', 'upsilon',
  'phi', 'chi', 'psi', 'omega', 'Gamma', 'Delta', 'Theta', 'Lambda', 'Xi', 'Pi', 'Sigma', 'Phi', 'Psi', 'Omega',
][i]]));

/** Characters that begin no token, and a comment that never ends. */
export function lexicalErrors(file: string, text: string, lexed: ILexingResult): Diagnostic[] {
  const unclosed = lexed.groups['unclosed']?.[0];
  const error = lexed.errors[0];
  if (unclosed !== undefined && (error === undefined || unclosed.startOffset < error.offset)) {
    const start = unclosed.startOffset;
    return [diagnostic(
      'E105', 'this comment never ends', { file, start, end: start + 2 }, 'it begins here',
      { help: ['close it with `*/`; a comment to the end of the line is `// ...`'] },
    )];
  }
  if (error === undefined) return [];
  const character = String.fromCodePoint(text.codePointAt(error.offset) ?? 0);
  const span = { file, start: error.offset, end: error.offset + character.length };
  if (character === '"') {
    const path = lexed.tokens.findLast((token) => token.startOffset < error.offset)?.image === 'from';
    return [diagnostic('E101', `this ${path ? 'path' : 'text'} has no closing quote`, span, 'it begins here', {
      help: [path ? 'write `import { name } from "./file.lmoe"`' : 'a text ends with `"` on the line where it begins'],
    })];
  }
  if (UNSEEN.test(character)) return [unseen(character, span)];
  const greek = GREEK.get(character);
  const help = SPELLINGS[character] ?? inPlace(text, error.offset, lexed.tokens)
    ?? (greek ? `names are ASCII: spell it \`${greek}\`` : 'names are ASCII letters, digits and `_`; operators are + - * / % ^ @');
  return [meaningless(character, span, help)];
}

function meaningless(character: string, span: Span, help: string): Diagnostic {
  return diagnostic('E101', `\`${character}\` means nothing here`, span, 'this character', { help: [help] });
}

/** Signs that stand in the names of a checkpoint only. */
export function misplacedSign(file: string, text: string, tokens: readonly IToken[], token: IToken): Diagnostic | undefined {
  if (token.image === '|') return meaningless('|', spanOf(file, token), 'write `abs(x)` for the absolute value, and `or` between choices');
  const help = token.image === '.' ? inPlace(text, token.startOffset, tokens) : undefined;
  return help === undefined ? undefined : meaningless('.', spanOf(file, token), help);
}

/** Separators, controls and marks without a width: shown by their number. */
const UNSEEN = /^[\p{Z}\p{C}\u115F\u1160\u3164\uFFA0]$/u;

function unseen(character: string, span: Span): Diagnostic {
  const point = `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
  const space = /\p{Z}/u.test(character);
  const title = space ? `${point} is no white space of the language` : `${point} means nothing here`;
  return diagnostic('E101', title, span, space ? 'looks like a space or a line break' : 'a character that is not seen', {
    help: [
      space ? 'white space is spaces, tabs and line breaks: type it again'
      : 'delete it; copying from a web page or a PDF often brings it along'
    ],
  });
}

/** What a character that means different things at different places was meant for. */
function inPlace(text: string, at: number, tokens: readonly IToken[]): string | undefined {
  const after = /^\.\s*([A-Za-z_]\w*)/.exec(text.slice(at, at + 40));
  if (text[at] === ';') return inList(tokens, at) ? 'names and shapes are separated by `,`' : 'statements need no separator';
  if (text[at] !== '.') return undefined;
  if (after === null) return 'a number has digits after its point: `1.0`';
  const transposes = ['T', 't', 'mT', 'H', 'transpose', 'permute'].includes(after[1]);
  return transposes ? NO_TRANSPOSES : `values have no members: a function is called as \`${after[1]}(x)\``;
}

const DECLARATIONS = ['scan', 'moe', 'layer', 'model'];

/** Between round or square brackets, or in the header of a declaration. */
function inList(tokens: readonly IToken[], at: number): boolean {
  const before = tokens.filter((token) => token.startOffset < at).map((token) => token.image);
  const depth = (open: string, close: string) => before.reduce((n, image) => n + (image === open ? 1 : image === close ? -1 : 0), 0);
  return depth('(', ')') > 0 || depth('[', ']') > 0 || (depth('{', '}') === 0 && before.some((image) => DECLARATIONS.includes(image)));
}

/** If the brackets do not pair, that is the mistake, wherever the parser noticed. */
export function bracketError(file: string, text: string, tokens: readonly IToken[], error: IRecognitionException): Diagnostic | undefined {
  const open: IToken[] = [];
  for (const token of tokens) {
    if (token.image in OPEN) open.push(token);
    const wanted = CLOSE[token.image];
    if (wanted === undefined) continue;
    const last = open.pop();
    if (last === undefined) {
      return diagnostic(
        'E103', `\`${token.image}\` closes nothing`, spanOf(file, token), 'no bracket is open here',
        { help: [`remove it, or open it with \`${wanted}\``] },
      );
    }
    if (last.image !== wanted && error.token.startOffset < last.startOffset) return undefined;
    if (last.image !== wanted) return unclosed(file, text, last, earlier(error.token, token));
  }
  const last = open.pop();
  const noticed = Number.isNaN(error.token.startOffset) ? undefined : error.token;
  if (last === undefined || (noticed !== undefined && noticed.startOffset < last.startOffset)) return undefined;
  return unclosed(file, text, last, noticed);
}

function earlier(a: IToken, b: IToken): IToken {
  return a.startOffset < b.startOffset ? a : b;
}

function unclosed(file: string, text: string, open: IToken, noticed: IToken | undefined): Diagnostic {
  const close = OPEN[open.image];
  const later = noticed !== undefined && noticed.startOffset > open.startOffset;
  const at = later ? spanOf(file, noticed) : endOfText(file, text);
  return diagnostic('E103', `this \`${open.image}\` is never closed`, spanOf(file, open), 'opened here', {
    secondary: [{ span: at, text: `\`${close}\` was expected by here` }],
    help: [`add the missing \`${close}\``],
  });
}

export function spanOf(file: string, token: IToken): Span {
  return { file, start: token.startOffset, end: token.startOffset + token.image.length };
}

/** The last character that is no white space, so that the line shown is one with text. */
export function endOfText(file: string, text: string): Span {
  const end = text.trimEnd().length;
  return { file, start: Math.max(0, end - 1), end: Math.max(1, end) };
}
