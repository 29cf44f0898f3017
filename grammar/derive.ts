import type {
  Alternation as Choice, IProduction, RepetitionMandatoryWithSeparator as SeparatedSome, RepetitionWithSeparator as Separated, Rule,
  TokenType,
} from 'chevrotain';
import {
  Alternation, Alternative, NonTerminal, Option, Repetition, RepetitionMandatory, RepetitionMandatoryWithSeparator,
  RepetitionWithSeparator, Terminal,
} from './chevrotain.js';
import { LmoeParser } from './rules.js';
import * as T from './tokens.js';

const NOTE = 'Derived from the tokens and rules by `npm run grammar`; do not edit.';

/** Files that follow from the grammar, by name. */
export function derivedFiles(): Readonly<Record<string, string>> {
  return { 'lmoe.ebnf': ebnf(), 'lmoe.tmLanguage.json': `${JSON.stringify(textMate(), null, 2)}\n` };
}

/**
 * `[ x ]` is optional, `{ x }` any number, `"x"` the text itself, `/x/` a regular expression; white space and comments may stand between
 * any two tokens.
 */
function ebnf(): string {
  const rules = inOrder(new LmoeParser().getGAstProductions()).map((rule) => definition(rule.name, body(rule.definition)));
  const identifier = definition(T.Identifier.name, [T.Name, ...T.CONTEXTUAL].map(token).join(' | '));
  const tokens = [
    T.Name, T.NumberLiteral, T.StringLiteral, T.WhiteSpace, T.LineComment, T.BlockComment,
  ].map((type) => definition(type.name, `/${source(type)}/`));
  return [
    `(* ${NOTE} *)`, '', ...rules, '', identifier, ...tokens, '', '(* Never a Name: *)',
    definition('Keyword', [...T.KEYWORDS, ...words(T.Reserved)].map(token).join(' | ')), '',
  ].join('\n');
}

/** Each rule before those that it names first. */
function inOrder(rules: Readonly<Record<string, Rule>>): readonly Rule[] {
  const found = new Set<Rule>();
  const visit = (part: IProduction): void => {
    if (part instanceof NonTerminal) open.push(part.referencedRule);
    else if ('definition' in part && Array.isArray(part.definition)) part.definition.forEach(visit);
  };
  const open: Rule[] = [rules['source']];
  for (let rule = open.shift(); rule !== undefined; rule = open.shift()) {
    if (found.has(rule)) continue;
    found.add(rule);
    const later = open.splice(0);
    rule.definition.forEach(visit);
    open.push(...later);
  }
  return [...found];
}

function definition(name: string, text: string): string {
  return `${name} = ${text} ;`;
}

/** A choice needs no parentheses where it is the whole rule. */
function body(parts: readonly IProduction[]): string {
  const [only] = parts;
  return parts.length === 1 && only instanceof Alternation ? only.definition.map(production).join(' | ') : sequence(parts);
}

function sequence(parts: readonly IProduction[]): string {
  return parts.map(production).join(' ');
}

function production(part: IProduction): string {
  if (part instanceof NonTerminal) return part.nonTerminalName;
  if (part instanceof Terminal) return token(part.terminalType);
  if (part instanceof Option) return `[ ${sequence(part.definition)} ]`;
  if (part instanceof Repetition) return `{ ${sequence(part.definition)} }`;
  if (part instanceof RepetitionMandatory) return `${grouped(part.definition)} { ${sequence(part.definition)} }`;
  if (part instanceof RepetitionMandatoryWithSeparator) return separated(part);
  if (part instanceof RepetitionWithSeparator) return `[ ${separated(part)} ]`;
  if (part instanceof Alternative) return sequence(part.definition);
  if (part instanceof Alternation) return alternatives(part);
  throw new Error('a kind of production that has no EBNF');
}

function separated({ definition: parts, separator }: SeparatedSome | Separated): string {
  return `${grouped(parts)} { ${token(separator)} ${sequence(parts)} }`;
}

function alternatives({ definition: parts }: Choice): string {
  return `( ${parts.map(production).join(' | ')} )`;
}

function grouped(parts: readonly IProduction[]): string {
  return parts.length === 1 ? production(parts[0]) : `( ${sequence(parts)} )`;
}

/** A token by its text if it has one, by its name otherwise. */
function token(type: TokenType | string): string {
  if (typeof type === 'string') return `"${type}"`;
  const text = type.PATTERN instanceof RegExp ? type.PATTERN.source : type.PATTERN;
  const fixed = typeof type.PATTERN === 'string' || /^[a-z0-9]+$/.test(String(text));
  return fixed && !text?.toString().includes('NOT_APPLICABLE') ? `"${String(text)}"` : type.name;
}

function source(type: TokenType): string {
  if (!(type.PATTERN instanceof RegExp)) throw new Error(`${type.name} has no pattern`);
  return type.PATTERN.source;
}

function words(type: TokenType): readonly string[] {
  return source(type).split('|');
}

/** Colours for editors that read TextMate grammars. */
function textMate(): object {
  const anyOf = (types: readonly TokenType[]): string => `\\b(?:${types.map(source).join('|')})\\b`;
  const name = source(T.Name);
  const signs = T.OPERATORS.map((type) => String(type.PATTERN).replace(/[.*+^/|]/g, '\\$&'));
  return {
    $schema: 'https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json',
    information_for_contributors: [NOTE],
    name: 'lmoe',
    scopeName: 'source.lmoe',
    fileTypes: ['lmoe'],
    patterns: [
      { name: 'comment.line.documentation.lmoe', match: '///.*$' },
      { name: 'comment.line.double-slash.lmoe', match: '//.*$' },
      { name: 'comment.block.lmoe', begin: '/\\*', end: '\\*/' },
      { name: 'string.quoted.double.lmoe', match: source(T.StringLiteral) },
      { match: `\\b(${[T.Scan, T.Moe, T.Layer, T.Model].map(source).join('|')})\\s+(${name})`, captures: {
        1: { name: 'keyword.declaration.lmoe' }, 2: { name: 'entity.name.function.lmoe' },
      } },
      { name: 'keyword.declaration.lmoe', match: anyOf(T.KEYWORDS) },
      { name: 'invalid.illegal.reserved.lmoe', match: anyOf([T.Reserved]) },
      { name: 'meta.past.lmoe', match: '\\[\\s*(t)\\s*([+-])\\s*(\\d+)\\s*\\]', captures: {
        1: { name: 'variable.language.lmoe' }, 2: { name: 'keyword.operator.lmoe' }, 3: { name: 'constant.numeric.lmoe' },
      } },
      { name: 'meta.axes.lmoe', begin: '\\[', end: '\\]', patterns: [
        { name: 'entity.name.type.axis.lmoe', match: `${name}(?=\\s*[,\\]])` }, { include: '$self' },
      ] },
      { name: 'entity.name.function.call.lmoe', match: `${name}(?=\\s*(?:\\[[^\\]]*\\]\\s*)?\\()` },
      // What is assigned is a name.
      { name: 'keyword.other.lmoe', match: `${anyOf(T.CONTEXTUAL)}(?!\\s*\\+?=(?!=))` },
      { name: 'constant.numeric.lmoe', match: source(T.NumberLiteral) },
      { name: 'keyword.operator.lmoe', match: signs.join('|') },
      { name: 'variable.other.lmoe', match: name },
    ],
  };
}
