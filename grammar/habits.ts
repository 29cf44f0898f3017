import type { IToken } from 'chevrotain';
import type { Stop } from './expectations.js';
import * as T from './tokens.js';

/** What people bring from other languages; undefined if it is nothing of the kind. */
export function foreign(stop: Stop): string | undefined {
  const { text, tokens, error, kind, rule } = stop;
  const at = tokens.indexOf(error.token);
  const [before, here, next] = [tokens[at - 1], error.token, tokens[at + 1]];
  if (here.image === '*' && before?.image === '*' && touches(before, here)) return 'the power is `^`: `x^2`';
  if (before?.tokenType === T.Name && /^[-*/@^%]$/.test(here.image) && next?.image === '=' && touches(here, next)) {
    const [old, of] = kind === 'scan' ? [`${before.image}[t-1]`, ' for a state'] : [before.image, ''];
    return `there is no \`${here.image}=\`: a statement gives the whole new value, \`${before.image} = ${old} ${here.image} ...\`${of}`;
  }
  if (before?.image === 'return') return 'nothing is returned: an output is assigned by its name, `o = ...`';
  if (here.image === '=' && rule !== undefined && LISTS.includes(rule) && before?.tokenType === T.Name) {
    return `an argument is named by \`:\`: \`${before.image}: ...\`, and values are compared by \`==\``;
  }
  if (here.image === '[' && (before?.image === ')' || before?.image === ']') && touches(before, here)) {
    return 'a bracket stands behind a name, one at a time: give the value a name with `let v = ...`, and write `v[...]`';
  }
  if (here.tokenType === T.Else) return 'an `else` follows the `}` of its `if`: `if c { ... } else { ... }`';
  if (rule === 'block' && COMPARISONS.includes(here.tokenType) && error.message === '`}`') {
    return 'comparisons do not chain: write `a < b and b < c`';
  }
  if (here.image === '(' && before?.tokenType === T.Name && tokens[at - 2]?.image === '=' && isUse(tokens, at - 3)) {
    const use = `use a = ${before.image} with F = 128`;
    return `what a part is made with stands after \`with\`: \`${use}\`; it is called by the name of the instance`;
  }
  const word = (kind === undefined || kind === 'scan' ? SCAN_WORDS : LAYER_WORDS)[before?.image ?? ''] ?? WORDS[before?.image ?? ''];
  if (word === undefined || before?.tokenType !== T.Name) return undefined;
  return text.slice(before.startOffset, here.startOffset).trimEnd() === before.image ? word : undefined;
}

/** In the parentheses of a call, or in brackets. */
const LISTS = ['reference', 'argument'];
const COMPARISONS = [T.Below, T.AtMost, T.Above, T.AtLeast, T.Equal, T.NotEqual];

function touches(a: IToken | undefined, b: IToken | undefined): boolean {
  return a !== undefined && b !== undefined && a.startOffset + a.image.length === b.startOffset;
}

/** Do names and brackets lead back to a `use`? */
function isUse(tokens: readonly IToken[], from: number): boolean {
  for (let i = from; i >= 0; i--) {
    if (tokens[i].tokenType === T.Use) return true;
    if (![T.Name, T.Comma, T.LBracket, T.RBracket].includes(tokens[i].tokenType)) return false;
  }
  return false;
}

const NO_LOOP = 'a scan is one step: time is not looped over, `[t-1]` is the step before';
const SCAN_WORDS: Readonly<Record<string, string>> = {
  def: 'a recurrence is declared as `scan f(x: [K]) -> y: [K] { ... }`', for: NO_LOOP, while: NO_LOOP,
  input: 'inputs stand in the parentheses of the scan',
};
const LAYER_WORDS: Readonly<Record<string, string>> = {
  def: 'a layer is declared as `layer f(x: [D]) -> y: [D] { ... }`',
  for: 'turns are written `repeat i in 0..L - 1 { ... }`', while: 'turns are counted: `repeat i in 0..L - 1 { ... }`',
  input: 'inputs stand in the parentheses of the declaration',
};
const ELSE_IF = 'write `else if c { ... }` behind the `}`';
const PRECISION = 'precision is chosen when building; a param that is kept in f32 says `f32`';
const OWN_PART = 'a part of its own is declared as `layer f(x: [D]) -> y: [D] { ... }`';
const WORDS: Readonly<Record<string, string>> = {
  var: 'a value has a name by `let`', output: 'outputs stand after `->`', elif: ELSE_IF, elseif: ELSE_IF, bf16: PRECISION, f16: PRECISION,
  no_decay: 'write `no decay`', nodecay: 'write `no decay`', fp32: 'write `f32`', float32: 'write `f32`',
  fn: OWN_PART, function: OWN_PART,
};
