import type { IRecognitionException, IToken } from 'chevrotain';
import { diagnostic, type Diagnostic } from '../src/diagnostics/diagnostic.js';
import { didYouMean } from '../src/diagnostics/suggest.js';
import type { Span } from '../src/ir/common/span.js';
import { endOfText, misplacedSign, spanOf } from './errors.js';
import { foreign } from './habits.js';
import * as T from './tokens.js';

/** Where the parser stopped, and what it was reading. */
export interface Stop {
  readonly text: string;
  readonly tokens: readonly IToken[];
  readonly error: IRecognitionException;
  readonly rule: string | undefined;
  readonly parent: string | undefined;
  /** Of the declaration that is being read. */
  readonly kind: string | undefined;
}

/** The parser's own complaint, in our words. */
export function expectationError(file: string, text: string, tokens: readonly IToken[], error: IRecognitionException): Diagnostic {
  const { token } = error;
  const atEnd = Number.isNaN(token.startOffset) || token.image === '';
  const span = atEnd ? endOfText(file, text) : spanOf(file, token);
  const stop = stopOf(text, tokens, error);
  const expected = wanted(stop);
  const named = T.KEYWORDS.includes(token.tokenType) ? asName(stop, expected) : undefined;
  if (token.tokenType === T.Reserved || named === 'a name') return reserved(token.image, span);
  const sign = inNames(stop) ? undefined : misplacedSign(file, text, tokens, token);
  if (sign !== undefined) return sign;
  const before = tokens[tokens.indexOf(token) - 1];
  // A word alone on its line: what is next is not to blame.
  if (stop.rule === 'statement' && before?.tokenType === T.Name && text.slice(before.startOffset, token.startOffset).includes('\n')) {
    const like = didYouMean(before.image, [...statementWords(stop), 'f32', 'decay'])[0];
    const wants = foreign(stop) ?? like ?? 'a statement is `name = value`';
    return diagnostic('E102', `expected a statement, found \`${before.image}\``, spanOf(file, before), statements(stop), { help: [wants] });
  }
  const found = atEnd ? 'the end of the file' : `\`${token.image}\``;
  const help = named === 'behind a comma' ? ['a `,` goes on with its list: remove it, or name what follows'] : meant(stop, expected);
  return diagnostic('E102', `expected ${list(expected)}, found ${found}`, span, expectation(stop), { help: [...help, ...hints(stop)] });
}

/** The word that was probably meant, by the one before or by this one. */
function meant(stop: Stop, expected: readonly string[]): readonly string[] {
  const { token } = stop.error;
  const misspelt = misspeltStatement(stop);
  if (misspelt !== undefined) return didYouMean(misspelt.image, statementWords(stop));
  const isWord = token.tokenType === T.Name && expected.some((label) => label.startsWith('`'));
  return isWord ? didYouMean(token.image, expectedWords(stop, expected)) : [];
}

function stopOf(text: string, tokens: readonly IToken[], error: IRecognitionException): Stop {
  const stack = error.name === 'NotAllInputParsedException' ? ['source'] : error.context.ruleStack;
  const rule = stack.at(-1) === 'gets' ? 'statement' : stack.at(-1);
  const before = tokens.slice(0, tokens.indexOf(error.token) >= 0 ? tokens.indexOf(error.token) : tokens.length);
  const kind = before.findLast((token) => DECLARATIONS.includes(token.tokenType))?.image;
  return { text, tokens, error, rule, parent: stack.at(-2), kind };
}

/** A keyword where a name was to come; behind a comma at the end of a line it begins what is next. */
function asName({ text, tokens, error, rule }: Stop, expected: readonly string[]): 'a name' | 'behind a comma' | undefined {
  const before = tokens[tokens.indexOf(error.token) - 1];
  const comma = before?.tokenType === T.Comma;
  if (!(expected.length === 1 && expected[0] === 'a name') && !(comma && rule === 'part')) return undefined;
  return comma && text.slice(before.startOffset, error.token.startOffset).includes('\n') ? 'behind a comma' : 'a name';
}

const DECLARATIONS = [T.Scan, T.Moe, T.Layer, T.Model];

/** Names for what a word is often wanted for. */
const INSTEAD: Readonly<Record<string, string | undefined>> = {
  layer: '`i` or `block`', moe: '`ffn`', model: '`net`', state: '`S`', in: '`input`', if: '`when`', repeat: '`turn`', law: '`decay_law`',
};

function reserved(word: string, span: Span): Diagnostic {
  const later = ['schedule', 'law'].includes(word);
  const instead = INSTEAD[word] ?? `\`${word}_\``;
  const label = later ? 'kept for a later version' : 'cannot be a name';
  return diagnostic('E104', `\`${word}\` is a reserved word`, span, label, { help: [`choose another name, such as ${instead}`] });
}

const SCAN_WORDS = ['const', 'let', 'param', 'state'];
const LAYER_WORDS = [...SCAN_WORDS, 'buffer', 'use', 'if', 'repeat', 'loss', 'update', 'init', 'names'];

function statementWords({ kind }: Stop): readonly string[] {
  return kind === undefined || kind === 'scan' ? SCAN_WORDS : LAYER_WORDS;
}

function statements(stop: Stop): string {
  if (statementWords(stop) !== SCAN_WORDS) return '`let`, `param`, `use`, `if`, `repeat` and others, or `name = value`';
  return 'one of `const`, `param`, `state`, `let`, or `name = value`';
}

/** Words that a misspelt one may have been. */
function expectedWords(stop: Stop, expected: readonly string[]): readonly string[] {
  const words = expected.flatMap((label) => /^`([a-z0-9]+)`$/.exec(label)?.[1] ?? []);
  const declarations = stop.rule === 'source' ? ['scan', 'moe', 'layer', 'model', 'import'] : [];
  return [...words, ...(inBody(stop) ? statementWords(stop) : []), ...declarations];
}

const VALUE_RULES = ['atom', 'signed', 'comparison'];

function wanted(stop: Stop): string[] {
  const { rule, error } = stop;
  if (rule === 'source' || rule === 'kind') return ['`scan`', '`moe`', '`layer`', '`model`', '`import`'];
  if (rule !== undefined && VALUE_RULES.includes(rule)) return ['a value'];
  if (rule === 'statement' && error.name === 'NoViableAltException' && !error.message.startsWith('`=`')) return ['a statement'];
  if (inBody(stop)) return ['a statement', '`}`'];
  if (rule === 'entries' && error.message === '`}`') return ['a name of a tensor', '`}`'];
  if (rule === 'dim') return ['an axis', 'a number', '`(`'];
  const labels = error.message.split('\n').filter((label) => label !== '');
  return labels.includes('`=`') ? labels.filter((label) => label !== '`+=`') : labels;
}

function expectation(stop: Stop): string {
  switch (stop.rule) {
    case 'axes': return 'a shape such as [K, V], or [] for a scalar';
    case 'range': return 'a range such as -inf..0';
    case 'binding': case 'withList': return 'what is given, such as K = 64';
    case 'atom': case 'signed': case 'comparison': return 'a number, a name, a call or a parenthesis';
    case 'statement': return statements(stop);
    case 'source': case 'kind': return 'a declaration begins here';
    case 'entries': case 'entry': case 'named': case 'path': return 'a line such as w = "weight" [F, D]';
    case 'layout': case 'dim': case 'joined': return 'a layout such as [H (K | V), D]';
    case 'modifier': return 'one of `f32`, `decay`, `no decay`';
    default: return inBody(stop) ? statements(stop) : 'not what stands here';
  }
}

/** After a whole statement, where the next one or the end of the block may come. */
export function inBody({ rule, error }: Stop): boolean {
  return rule === 'block' && error.message === '`}`';
}

function inNames({ error }: Stop): boolean {
  return error.context.ruleStack.includes('entries');
}

/** `lett z = 1`: the word before the one that did not fit. */
export function misspeltStatement(stop: Stop): IToken | undefined {
  const { tokens, error, rule } = stop;
  const before = tokens[tokens.indexOf(error.token) - 1];
  if (rule !== 'statement' || before?.tokenType !== T.Name) return undefined;
  return didYouMean(before.image, statementWords(stop)).length > 0 ? before : undefined;
}

/** `2 a x`: values side by side on one line. */
function sideBySide({ text, tokens, error }: Stop): boolean {
  const at = tokens.indexOf(error.token);
  const [first, second] = [tokens[at - 2], tokens[at - 1]];
  if (first === undefined || second === undefined) return false;
  const values = [first, second, error.token].filter((token) => token.tokenType === T.Name || /^[\d)\]]/.test(token.image));
  return values.length > 1 && !text.slice(first.startOffset, error.token.startOffset).includes('\n');
}

const HEADER: Readonly<Record<string, string>> = {
  scan: '`scan f(x: [K]) -> y: [K] { ... }`',
  moe: '`moe f(x: [D]) -> y: [D] { ... }`',
  layer: '`layer f(x: [D]) -> y: [D] { ... }`',
  model: '`model f(ids, labels: one of W) -> logits: [W] { ... }`',
};

const NO_VALUE = 'declarations have no value: a state begins at zero, or at what the caller gives, '
  + 'and is assigned by a statement of its own';

function hints(stop: Stop): string[] {
  const { error, rule, parent, kind } = stop;
  const expected = error.message.split('\n');
  const habit = foreign(stop);
  if (habit !== undefined) return [habit];
  const header = HEADER[kind ?? 'scan'];
  if (inBody(stop) && error.token.image === '=') return [NO_VALUE];
  if (sideBySide(stop) && (inBody(stop) || rule === 'statement') && misspeltStatement(stop) === undefined) {
    return ['values side by side are no product: write `*`, `@` or `outer(a, b)`'];
  }
  if (inBody(stop)) return ['every statement is complete: is an operator missing before this, or a `}`?'];
  const before = stop.tokens[stop.tokens.indexOf(error.token) - 1];
  if (expected.includes('`:`') && before?.image === 'per') return ['`per group` follows the axes: `q: [K] per group`'];
  if (expected.includes('`:`')) return ['every name is given its axes: `q: [K]`; a scalar is `[]`'];
  if (rule === 'part' && expected.includes('`->`')) return [`after the inputs come the outputs: ${header}`];
  if (rule === 'block' && expected.includes('`{`')) return [blockHint(parent, header, kind, error)];
  switch (rule) {
    case 'statement': return ['a statement is `name = value`'];
    case 'atom': case 'signed': case 'comparison': return ['an operator is missing a value here, or there is one too many'];
    case 'range': return ['a range is two numbers with `..` between them: `in -inf..0`'];
    case 'axes': return ['a shape lists the names of its axes: `[K, V]`, or `[]` for a scalar'];
    case 'binding': case 'withList': return ['sizes are written `with K = 64, V = 64`'];
    case 'inputGroup': return ['an input is given its axes, `x: [D]`, or the axis whose numbers it holds, `ids: one of W`'];
    case 'importItem': return ['write `import { name } from "./file.lmoe"`'];
    case 'source': case 'kind': return [`a file holds imports and declarations: ${HEADER['scan']}`];
    case 'useStatement': return ['write `use a, b = part with F = 128`, or `use expert[E] = part` for one per index'];
    case 'repeatStatement': return ['write `repeat i in 0..L - 1 { ... }`, or `repeat i, kind in "LLLN" { ... }`'];
    case 'entries': case 'entry': case 'named': case 'path':
      return [
        'a param is named as `w = "weight" [F, D]`, a part as `attn "self_attn." like hf`, a prefix as `"model." { ... }`, '
        + 'and what is left out as `ignore "x.*"`',
      ];
    case 'layout': case 'dim': case 'joined':
      return ['each dimension is a product of axes, outermost first, and `( | )` joins several params: `[H (K | V), D]`'];
    default: return ['docs/language.md shows every form by example'];
  }
}

/** A block was to begin. */
function blockHint(parent: string | undefined, header: string, kind: string | undefined, { token }: IRecognitionException): string {
  if (parent === 'ifStatement' && token.image === '=') return 'one value is compared with another by `==`';
  if (parent === 'ifStatement') return 'what is chosen stands in braces: `if c { ... } else { ... }`';
  if (parent === 'repeatStatement') return 'what is repeated stands in braces: `repeat i in 0..L - 1 { ... }`';
  if (token.tokenType === T.NumberLiteral) return 'sizes are written `with K = 64, V = 64`';
  return `the statements of a ${kind ?? 'scan'} stand in braces: ${header}`;
}

function list(items: readonly string[]): string {
  return items.length < 2 ? (items[0] ?? 'something else') : `${items.slice(0, -1).join(', ')} or ${items[items.length - 1]}`;
}
