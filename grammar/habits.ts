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
    const old = kind === 'scan' ? `${before.image}[t-1]` : before.image;
    return `there is no \`${here.image}=\`: a statement gives the whole new value, \`${before.image} = ${old} ${here.image} ...\`${kind === 'scan' ? ' for a state' : ''}`;
  }
  if (before?.image === 'return') return 'nothing is returned: an output is assigned by its name, `o = ...`';
  if (here.image === '=' && rule !== undefined && LISTS.includes(rule) && before?.tokenType === T.Name) return `an argument is named by \`:\`: \`${before.image}: ...\`, and values are compared by \`==\``;
  if (here.tokenType === T.Else) return 'an `else` follows the `}` of its `if`: `if c { ... } else { ... }`';
  if (rule === 'block' && COMPARISONS.includes(here.tokenType) && error.message === '`}`') return 'comparisons do not chain: write `a < b and b < c`';
  if (here.image === '(' && before?.tokenType === T.Name && tokens[at - 2]?.image === '=' && isUse(tokens, at - 3)) {
    return `what a part is made with stands after \`with\`: \`use a = ${before.image} with F = 128\`; it is called by the name of the instance`;
  }
  const word = (kind === undefined || kind === 'scan' ? SCAN_WORDS : LAYER_WORDS)[before?.image ?? ''] ?? WORDS[before?.image ?? ''];
  return word !== undefined && before?.tokenType === T.Name && text.slice(before.startOffset, here.startOffset).trimEnd() === before.image ? word : undefined;
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
  def: 'a recurrence is declared as `scan f(x: [K]) -> y: [K] { ... }`', for: NO_LOOP, while: NO_LOOP, input: 'inputs stand in the parentheses of the scan',
};
const LAYER_WORDS: Readonly<Record<string, string>> = {
  def: 'a layer is declared as `layer f(x: [D]) -> y: [D] { ... }`', for: 'turns are written `repeat i in 0..L - 1 { ... }`', while: 'turns are counted: `repeat i in 0..L - 1 { ... }`',
  input: 'inputs stand in the parentheses of the declaration',
};
const WORDS: Readonly<Record<string, string>> = {
  var: 'a value has a name by `let`', output: 'outputs stand after `->`', elif: 'write `else if c { ... }` behind the `}`', elseif: 'write `else if c { ... }` behind the `}`',
  bf16: 'precision is chosen when building; a param that is kept in f32 says `f32`', f16: 'precision is chosen when building; a param that is kept in f32 says `f32`',
  no_decay: 'write `no decay`', nodecay: 'write `no decay`', fp32: 'write `f32`', float32: 'write `f32`',
  fn: 'a part of its own is declared as `layer f(x: [D]) -> y: [D] { ... }`', function: 'a part of its own is declared as `layer f(x: [D]) -> y: [D] { ... }`',
};
