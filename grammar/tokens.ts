import type { TokenType } from 'chevrotain';
import { createToken, Lexer } from './chevrotain.js';

const word = /[A-Za-z_][A-Za-z0-9_]*/;

/** Whatever may be used as a name; words with a meaning at one place only belong to it too. */
export const Identifier = createToken({ name: 'Identifier', label: 'a name', pattern: Lexer.NA });
export const Name = createToken({ name: 'Name', label: 'a name', pattern: word, categories: [Identifier] });

/** A word that is never a name. */
const keyword = (text: string): TokenType => createToken({
  name: `${text[0].toUpperCase()}${text.slice(1)}Keyword`, label: `\`${text}\``, pattern: new RegExp(text), longer_alt: Name,
});

/** A word that is a keyword where the grammar asks for it and a name everywhere else. */
const contextual = (text: string): TokenType =>
  createToken({
    name: `${text[0].toUpperCase()}${text.slice(1)}Word`, label: `\`${text}\``, pattern: new RegExp(text), longer_alt: Name,
    categories: [Identifier],
  });

export const Scan = keyword('scan');
export const Moe = keyword('moe');
export const Layer = keyword('layer');
export const Model = keyword('model');
export const Import = keyword('import');
export const Const = keyword('const');
export const Let = keyword('let');
export const Param = keyword('param');
export const State = keyword('state');
export const In = keyword('in');
export const If = keyword('if');
export const Else = keyword('else');
export const Repeat = keyword('repeat');
export const And = keyword('and');
export const Or = keyword('or');
export const Not = keyword('not');

export const From = contextual('from');
export const Per = contextual('per');
export const Group = contextual('group');
export const Rounded = contextual('rounded');
export const One = contextual('one');
export const Of = contextual('of');
export const With = contextual('with');
export const Sequential = contextual('sequential');
export const Buffer = contextual('buffer');
export const Use = contextual('use');
export const Loss = contextual('loss');
export const Update = contextual('update');
export const Init = contextual('init');
export const Names = contextual('names');
export const F32 = contextual('f32');
export const No = contextual('no');
export const Decay = contextual('decay');
export const Ignore = contextual('ignore');
export const Like = contextual('like');

/** Declarations that a later version brings; no name may take their place. */
export const Reserved = createToken({
  name: 'Reserved',
  label: 'a reserved word',
  pattern: /schedule|law/,
  longer_alt: Name,
});

const sign = (name: string, text: string): TokenType => createToken({ name, label: `\`${text}\``, pattern: text });

export const Arrow = sign('Arrow', '->');
export const Plus = sign('Plus', '+');
export const Minus = sign('Minus', '-');
export const Star = sign('Star', '*');
export const Slash = sign('Slash', '/');
export const At = sign('At', '@');
export const Caret = sign('Caret', '^');
export const Equals = sign('Equals', '=');
export const PlusEquals = sign('PlusEquals', '+=');
export const Percent = sign('Percent', '%');
export const Equal = sign('Equal', '==');
export const NotEqual = sign('NotEqual', '!=');
export const AtMost = sign('AtMost', '<=');
export const AtLeast = sign('AtLeast', '>=');
export const Below = sign('Below', '<');
export const Above = sign('Above', '>');
export const Bar = sign('Bar', '|');
export const Dot = sign('Dot', '.');
export const Colon = sign('Colon', ':');
export const Comma = sign('Comma', ',');
export const Range = sign('Range', '..');
export const LParen = sign('LParen', '(');
export const RParen = sign('RParen', ')');
export const LBracket = sign('LBracket', '[');
export const RBracket = sign('RBracket', ']');
export const LBrace = sign('LBrace', '{');
export const RBrace = sign('RBrace', '}');

export const NumberLiteral = createToken({ name: 'NumberLiteral', label: 'a number', pattern: /(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?/ });
export const StringLiteral = createToken({ name: 'StringLiteral', label: 'a text in quotes', pattern: /"[^"\n\r]*"/ });

/** Some editors put U+FEFF first; anywhere else it is an odd character. Chevrotain knows no anchors, hence the function. */
export const ByteOrderMark = createToken({
  name: 'ByteOrderMark',
  pattern: (text, offset) => (offset === 0 && text.startsWith('\uFEFF') ? ['\uFEFF'] : null),
  group: Lexer.SKIPPED,
  start_chars_hint: ['\uFEFF'],
  line_breaks: false,
});
export const WhiteSpace = createToken({ name: 'WhiteSpace', pattern: /[ \t\r\n]+/, group: Lexer.SKIPPED, line_breaks: true });
export const LineComment = createToken({ name: 'LineComment', pattern: /\/\/[^\n\r]*/, group: 'comments' });
export const BlockComment = createToken({ name: 'BlockComment', pattern: /\/\*[\s\S]*?\*\//, group: 'comments', line_breaks: true });
/** A block comment without end swallows the file: its own token, so that the message can say where it began. */
export const OpenComment = createToken({ name: 'OpenComment', pattern: /\/\*[\s\S]*/, group: 'unclosed', line_breaks: true });

export const KEYWORDS: readonly TokenType[] = [
  Scan, Moe, Layer, Model, Import, Const, Let, Param, State, In, If, Else, Repeat, And, Or, Not,
];
export const CONTEXTUAL: readonly TokenType[] = [
  From, Per, Group, Rounded, One, Of, With, Sequential, Buffer, Use, Loss, Update, Init, Names, F32, No, Decay, Ignore, Like,
];

/** Longer ones before those that they begin with. */
export const OPERATORS: readonly TokenType[] = [
  Arrow, Range, PlusEquals, Equal, NotEqual, AtMost, AtLeast, Below, Above, Plus, Minus, Star, Slash, Percent, At, Caret, Equals, Bar,
];
const PUNCTUATION: readonly TokenType[] = [Colon, Comma, Dot, LParen, RParen, LBracket, RBracket, LBrace, RBrace];

/** Longer ones first: the lexer takes `init` for a name once it has tried `in`. */
const WORDS: readonly TokenType[] = [...KEYWORDS, ...CONTEXTUAL].sort((a, b) => String(b.PATTERN).length - String(a.PATTERN).length);

/** In the order in which the lexer tries them. */
export const TOKENS: readonly TokenType[] = [
  ByteOrderMark, WhiteSpace, LineComment, BlockComment, OpenComment,
  ...WORDS, Reserved, Identifier, Name, NumberLiteral, StringLiteral, ...OPERATORS, ...PUNCTUATION,
];

export const lexer = new Lexer([...TOKENS], { positionTracking: 'onlyOffset', ensureOptimizations: false });
