import type { ILexingResult, IRecognitionException, IToken } from 'chevrotain';
import { diagnostic, type Diagnostic } from '../src/diagnostics/diagnostic.js';
import { didYouMean, NO_TRANSPOSES } from '../src/diagnostics/suggest.js';
import type { Span } from '../src/ir/common/span.js';
import { KEYWORDS, Name, Reserved } from './tokens.js';

const DECLARATIONS = ['moe', 'layer', 'model', 'schedule', 'law'];
const OPEN: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };
const CLOSE: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' };

/** What people paste from papers, and how it is written here. */
const SPELLINGS: Readonly<Record<string, string>> = {
  '⊙': 'write `*` for the elementwise product', '∘': 'write `*` for the elementwise product', '×': 'write `*`', '·': 'write `*`, or `@` to contract an axis',
  '⊗': 'write `outer(a, b)`', '−': 'write the ASCII minus `-`', '–': 'write the ASCII minus `-`', '²': 'write `^2`', '√': 'write `sqrt(x)`', '∞': 'write `inf`',
  '←': 'write `=`', '∑': 'write `sum[K](x)`', 'σ': 'write `sigmoid(x)`; as a name, spell it `sigma`', 'ᵀ': NO_TRANSPOSES,
  '#': 'a comment begins with `//`', '%': 'there is no remainder', '|': 'write `abs(x)`', "'": 'names have letters, digits and `_`',
};

const GREEK = new Map([...'αβγδεζηθικλμνξοπρστυφχψωΓΔΘΛΞΠΣΦΨΩ'].map((letter, i) => [letter, [
  'alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta', 'iota', 'kappa', 'lambda', 'mu', 'nu', 'xi', 'omicron', 'pi', 'rho', 'sigma', 'tau', 'upsilon',
  'phi', 'chi', 'psi', 'omega', 'Gamma', 'Delta', 'Theta', 'Lambda', 'Xi', 'Pi', 'Sigma', 'Phi', 'Psi', 'Omega',
][i]]));

/** Characters that begin no token, and a comment that never ends. */
export function lexicalErrors(file: string, text: string, lexed: ILexingResult): Diagnostic[] {
  const unclosed = lexed.groups['unclosed']?.[0];
  const error = lexed.errors[0];
  if (unclosed !== undefined && (error === undefined || unclosed.startOffset < error.offset)) {
    const start = unclosed.startOffset;
    return [diagnostic('E105', 'this comment never ends', { file, start, end: start + 2 }, 'it begins here', { help: ['close it with `*/`; a comment to the end of the line is `// ...`'] })];
  }
  if (error === undefined) return [];
  const character = String.fromCodePoint(text.codePointAt(error.offset) ?? 0);
  const span = { file, start: error.offset, end: error.offset + character.length };
  if (character === '"') {
    return [diagnostic('E101', 'this path has no closing quote', span, 'it begins here', { help: ['write `import { name } from "./file.lmoe"`'] })];
  }
  if (UNSEEN.test(character)) return [unseen(character, span)];
  const greek = GREEK.get(character);
  const help = SPELLINGS[character] ?? inPlace(text, error.offset, lexed.tokens)
    ?? (greek ? `names are ASCII: spell it \`${greek}\`` : 'names are ASCII letters, digits and `_`; operators are + - * / ^ @');
  return [diagnostic('E101', `\`${character}\` means nothing here`, span, 'this character', { help: [help] })];
}

/** Separators, controls and marks without a width: shown by their number. */
const UNSEEN = /^[\p{Z}\p{C}\u115F\u1160\u3164\uFFA0]$/u;

function unseen(character: string, span: Span): Diagnostic {
  const point = `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
  const space = /\p{Z}/u.test(character);
  const title = space ? `${point} is no white space of the language` : `${point} means nothing here`;
  return diagnostic('E101', title, span, space ? 'looks like a space or a line break' : 'a character that is not seen', {
    help: [space ? 'white space is spaces, tabs and line breaks: type it again' : 'delete it; copying from a web page or a PDF often brings it along'],
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

/** Between round or square brackets, or in the header of a scan. */
function inList(tokens: readonly IToken[], at: number): boolean {
  const before = tokens.filter((token) => token.startOffset < at).map((token) => token.image);
  const depth = (open: string, close: string) => before.reduce((n, image) => n + (image === open ? 1 : image === close ? -1 : 0), 0);
  return depth('(', ')') > 0 || depth('[', ']') > 0 || (depth('{', '}') === 0 && before.includes('scan'));
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
      return diagnostic('E103', `\`${token.image}\` closes nothing`, spanOf(file, token), 'no bracket is open here', { help: [`remove it, or open it with \`${wanted}\``] });
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

/** The parser's own complaint, in our words. */
export function expectationError(file: string, text: string, tokens: readonly IToken[], error: IRecognitionException): Diagnostic {
  const token = error.token;
  const atEnd = Number.isNaN(token.startOffset) || token.image === '';
  const span = atEnd ? endOfText(file, text) : spanOf(file, token);
  if (token.tokenType === Reserved) return reserved(token.image, span);
  const found = atEnd ? 'the end of the file' : `\`${token.image}\``;
  const expected = wanted(error);
  const keywords = KEYWORDS.map((k) => k.name.replace('Keyword', '').toLowerCase());
  const isKeyword = KEYWORDS.includes(token.tokenType);
  const misspelt = misspeltStatement(tokens, error);
  const help = misspelt !== undefined ? didYouMean(misspelt.image, STATEMENT_WORDS) : isKeyword && expected.includes('a name') ? [`\`${token.image}\` is a keyword: choose another name`]
    : token.tokenType === Name && expected.some((e) => e.startsWith('`')) ? didYouMean(token.image, keywords) : [];
  return diagnostic('E102', `expected ${list(expected)}, found ${found}`, span, expectation(error), { help: [...help, ...hints(text, tokens, error)] });
}

function reserved(word: string, span: Span): Diagnostic {
  if (DECLARATIONS.includes(word)) {
    return diagnostic('E104', `\`${word}\` declarations are not in this version`, span, 'only `scan` and `import` are understood', { help: ['remove it; if it was meant as a name, choose another'] });
  }
  return diagnostic('E104', `\`${word}\` is a reserved word`, span, 'kept for a later version', { help: [`choose another name, such as \`${word}_\``] });
}

const STATEMENT_WORDS = ['const', 'let', 'param', 'state'];
const STATEMENTS = 'one of `const`, `param`, `state`, `let`, or `name = value`';

function wanted(error: IRecognitionException): string[] {
  const rule = ruleOf(error);
  if (rule === 'source') return ['`scan`', '`import`'];
  if (rule === 'atom' || rule === 'signed') return ['a value'];
  if (rule === 'statement' && error.name === 'NoViableAltException') return ['a statement'];
  if (inBody(error)) return ['a statement', '`}`'];
  return error.message.split('\n').filter((label) => label !== '');
}

function expectation(error: IRecognitionException): string {
  switch (ruleOf(error)) {
    case 'axes': return 'a shape such as [K, V], or [] for a scalar';
    case 'range': return 'a range such as -inf..0';
    case 'size': return 'a size such as K = 64';
    case 'atom': case 'signed': return 'a number, a name, a call or a parenthesis';
    case 'statement': return STATEMENTS;
    case 'source': return 'a declaration begins here';
    default: return inBody(error) ? STATEMENTS : 'not what stands here';
  }
}

/** After a whole statement, where the next one or the end of the scan may come. */
function inBody(error: IRecognitionException): boolean {
  return ruleOf(error) === 'scan' && error.message === '`}`';
}

/** `lett z = 1`: the word before the one that did not fit. */
function misspeltStatement(tokens: readonly IToken[], error: IRecognitionException): IToken | undefined {
  const before = tokens[tokens.indexOf(error.token) - 1];
  return ruleOf(error) === 'statement' && before?.tokenType === Name && didYouMean(before.image, STATEMENT_WORDS).length > 0 ? before : undefined;
}

/** `2 a x`: values side by side on one line. */
function sideBySide(text: string, tokens: readonly IToken[], error: IRecognitionException): boolean {
  const at = tokens.indexOf(error.token);
  const [first, second] = [tokens[at - 2], tokens[at - 1]];
  if (first === undefined || second === undefined) return false;
  const values = [first, second, error.token].filter((token) => token.tokenType === Name || /^[\d)\]]/.test(token.image));
  return values.length > 1 && !text.slice(first.startOffset, error.token.startOffset).includes('\n');
}

/** What people bring from other languages; undefined if it is nothing of the kind. */
function foreign(text: string, tokens: readonly IToken[], error: IRecognitionException): string | undefined {
  const at = tokens.indexOf(error.token);
  const [before, here, next] = [tokens[at - 1], error.token, tokens[at + 1]];
  const touches = (a: IToken | undefined, b: IToken | undefined) => a !== undefined && b !== undefined && a.startOffset + a.image.length === b.startOffset;
  if (here.image === '*' && before?.image === '*' && touches(before, here)) return 'the power is `^`: `x^2`';
  if (before?.tokenType === Name && /^[-+*/@^]$/.test(here.image) && next?.image === '=' && touches(here, next)) {
    return `there is no \`${here.image}=\`: a statement gives the whole new value, \`${before.image} = ${before.image}[t-1] ${here.image} ...\` for a state`;
  }
  if (before?.image === 'return') return 'nothing is returned: an output is assigned by its name, `o = ...`';
  const word = FOREIGN_WORDS[before?.image ?? ''];
  return word !== undefined && before?.tokenType === Name && text.slice(before.startOffset, here.startOffset).trimEnd() === before.image ? word : undefined;
}

const FOREIGN_WORDS: Readonly<Record<string, string>> = {
  def: 'a recurrence is declared as `scan f(x: [K]) -> y: [K] { ... }`', for: 'a scan is one step: time is not looped over, `[t-1]` is the step before',
  while: 'a scan is one step: time is not looped over, `[t-1]` is the step before', var: 'a value has a name by `let`', input: 'inputs stand in the parentheses of the scan',
  output: 'outputs stand after `->`',
};

function hints(text: string, tokens: readonly IToken[], error: IRecognitionException): string[] {
  const expected = error.message.split('\n');
  const habit = foreign(text, tokens, error);
  if (habit !== undefined) return [habit];
  const rule = ruleOf(error);
  if (inBody(error) && error.token.image === '=') return ['declarations have no value: a state begins at zero, or at what the caller gives, and is assigned by a statement of its own'];
  if (sideBySide(text, tokens, error) && (inBody(error) || rule === 'statement') && misspeltStatement(tokens, error) === undefined) {
    return ['values side by side are no product: write `*`, `@` or `outer(a, b)`'];
  }
  if (inBody(error)) return ['every statement is complete: is an operator missing before this, or a `}`?'];
  if (expected.includes('`:`') && tokens[tokens.indexOf(error.token) - 1]?.image === 'per') return ['`per group` follows the axes: `q: [K] per group`'];
  if (expected.includes('`:`')) return ['every name is given its axes: `q: [K]`; a scalar is `[]`'];
  if (rule === 'scan' && expected.includes('`->`')) return ['after the inputs come the outputs: `scan f(x: [K]) -> y: [K] { ... }`'];
  if (rule === 'scan' && expected.includes('`{`')) return ['the statements of a scan stand in braces: `scan f(x: [K]) -> y: [K] { ... }`'];
  switch (rule) {
    case 'statement': return ['a statement is `name = value`'];
    case 'atom': case 'signed': return ['an operator is missing a value here, or there is one too many'];
    case 'range': return ['a range is two numbers with `..` between them: `in -inf..0`'];
    case 'axes': return ['a shape lists the names of its axes: `[K, V]`, or `[]` for a scalar'];
    case 'size': return ['sizes are written `with K = 64, V = 64`'];
    case 'importItem': return ['write `import { name } from "./file.lmoe"`'];
    case 'source': return ['a file holds imports and scans: `scan f(x: [K]) -> y: [K] { ... }`'];
    default: return ['docs/language.md shows every form by example'];
  }
}

function ruleOf(error: IRecognitionException): string | undefined {
  return error.name === 'NotAllInputParsedException' ? 'source' : error.context.ruleStack.at(-1);
}

function list(items: readonly string[]): string {
  return items.length < 2 ? (items[0] ?? 'something else') : `${items.slice(0, -1).join(', ')} or ${items[items.length - 1]}`;
}

function spanOf(file: string, token: IToken): Span {
  return { file, start: token.startOffset, end: token.startOffset + token.image.length };
}

/** The last character that is no white space, so that the line shown is one with text. */
function endOfText(file: string, text: string): Span {
  const end = text.trimEnd().length;
  return { file, start: Math.max(0, end - 1), end: Math.max(1, end) };
}
