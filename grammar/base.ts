import type { IToken } from 'chevrotain';
import type { Axes, Comment, Ident, Layout, NumberExpr, TextExpr } from '../src/ir/ast/ast.js';
import { joinSpans, type Span } from '../src/ir/common/span.js';
import { EmbeddedActionsParser } from './chevrotain.js';
import type { CommentReader } from './comments.js';
import * as T from './tokens.js';

const NO_COMMENTS: CommentReader = { before: () => [], after: () => [], blankBefore: () => false };

/** The text before the current item, kept while its parts are read. */
export interface Opening {
  readonly start: number;
  readonly blankBefore: boolean;
}

/** What all rules need: places, comments, and lists of names. Rules that build on these stand in classes that extend this one. */
export class BaseParser extends EmbeddedActionsParser {
  protected file = '';
  protected comments: CommentReader = NO_COMMENTS;

  constructor() {
    super([...T.TOKENS], { maxLookahead: 4, recoveryEnabled: false, errorMessageProvider: SILENT });
  }

  readonly axes = this.RULE('axes', (): Axes => {
    const open = this.CONSUME(T.LBracket);
    const names = this.OPTION(() => this.SUBRULE(this.names));
    const close = this.CONSUME(T.RBracket);
    return this.ACTION(() => ({ names: names ?? [], origin: this.between(open, close) }));
  });

  readonly names = this.RULE('names', (): readonly Ident[] => {
    const names = [this.SUBRULE(this.name)];
    this.MANY({ GATE: () => this.LA(2).tokenType !== T.RBrace, DEF: () => {
      this.CONSUME(T.Comma);
      names.push(this.SUBRULE2(this.name));
    } });
    return names;
  });

  readonly name = this.RULE('name', (): Ident => {
    const token = this.CONSUME(T.Identifier);
    return this.ACTION(() => ({ text: token.image, origin: this.spanOf(token) }));
  });

  readonly number = this.RULE('number', (): NumberExpr => {
    const token = this.CONSUME(T.NumberLiteral);
    return this.ACTION(() => ({ kind: 'number', text: token.image, value: Number(token.image), origin: this.spanOf(token) }));
  });

  readonly text = this.RULE('text', (): TextExpr => {
    const token = this.CONSUME(T.StringLiteral);
    return this.ACTION(() => ({ kind: 'text', text: token.image.slice(1, -1), origin: this.spanOf(token) }));
  });

  /** Would the next word be assigned? Then it is a name, whatever it means elsewhere. */
  protected assigned(): boolean {
    const next = this.LA(2).tokenType;
    return next === T.Equals || next === T.PlusEquals;
  }

  protected opening(): Opening {
    return this.ACTION(() => {
      const start = this.LA(1).startOffset;
      return { start, blankBefore: this.comments.blankBefore(start) };
    });
  }

  /** Called when the last token of an item has been read. */
  protected placed(open: Opening, leading?: readonly Comment[]): Layout {
    const end = endOf(this.LA(0));
    const next = this.LA(1).startOffset;
    return {
      leading: leading ?? this.comments.before(end),
      trailing: this.comments.after(end, Number.isNaN(next) ? Infinity : next),
      blankBefore: open.blankBefore,
      origin: { file: this.file, start: open.start, end },
    };
  }

  /** Of what is a part of an item: its comments are the item's. */
  protected inside(open: Opening): Layout {
    return { leading: [], trailing: [], blankBefore: false, origin: { file: this.file, start: open.start, end: endOf(this.LA(0)) } };
  }

  protected since(first: Span): Span {
    return { file: this.file, start: first.start, end: endOf(this.LA(0)) };
  }

  protected spanOf(token: IToken): Span {
    return { file: this.file, start: token.startOffset, end: endOf(token) };
  }

  protected between(open: IToken, close: IToken): Span {
    return joinSpans(this.spanOf(open), this.spanOf(close));
  }
}

function endOf(token: IToken): number {
  return token.startOffset + token.image.length;
}

interface Labelled {
  LABEL?: string;
  name: string;
}

/** What Chevrotain would say never reaches anyone: `expectations.ts` reads the exceptions instead. */
const SILENT = {
  buildMismatchTokenMessage: ({ expected }: { expected: Labelled }): string => expected.LABEL ?? expected.name,
  buildNotAllInputParsedMessage: (): string => '',
  buildNoViableAltMessage: ({ expectedPathsPerAlt }: { expectedPathsPerAlt: Labelled[][][] }): string =>
    firstTokens(expectedPathsPerAlt.flat()),
  buildEarlyExitMessage: ({ expectedIterationPaths }: { expectedIterationPaths: Labelled[][] }): string =>
    firstTokens(expectedIterationPaths),
};

/** Labels of the tokens that might have come, one a line. */
function firstTokens(paths: Labelled[][]): string {
  return [...new Set(paths.flatMap(([first]) => (first ? [first.LABEL ?? first.name] : [])))].join('\n');
}
