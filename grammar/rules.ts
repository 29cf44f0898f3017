import { EmbeddedActionsParser, type IToken } from 'chevrotain';
import type { AstFile, Axes, BinaryOperator, Comment, Declared, Expr, Ident, ImportItem, Item, Layout, NumberExpr, RangeText, ScanItem, Size, Statement } from '../src/ir/ast/ast.js';
import { joinSpans, type Span } from '../src/ir/common/span.js';
import type { CommentReader } from './comments.js';
import * as T from './tokens.js';

const NO_COMMENTS: CommentReader = { before: () => [], after: () => [], blankBefore: () => false };
const OPERATORS: Readonly<Record<string, BinaryOperator>> = { Plus: '+', Minus: '-', Star: '*', Slash: '/', At: '@', Caret: '^' };

/** The text before the current item, kept while its parts are read. */
interface Opening {
  readonly start: number;
  readonly blankBefore: boolean;
}

/**
 * The syntax of the language, and the Ast that each rule makes. Chevrotain runs every rule once without input to learn the grammar, so whatever
 * looks into a token stands in ACTION. The EBNF and the TextMate grammar are derived from these rules and the tokens.
 */
export class LmoeParser extends EmbeddedActionsParser {
  private file = '';
  private length = 0;
  private comments: CommentReader = NO_COMMENTS;

  constructor() {
    super([...T.TOKENS], { maxLookahead: 4, recoveryEnabled: false, errorMessageProvider: SILENT });
    this.performSelfAnalysis();
  }

  /** Undefined if there is an error; `errors` then says where. */
  parseFile(file: string, length: number, tokens: readonly IToken[], comments: CommentReader): AstFile | undefined {
    this.file = file;
    this.length = length;
    this.comments = comments;
    this.input = [...tokens];
    const ast = this.source();
    return this.errors.length > 0 ? undefined : ast;
  }

  readonly source = this.RULE('source', (): AstFile => {
    const items: Item[] = [];
    this.MANY(() => {
      items.push(this.OR<Item>([{ ALT: () => this.SUBRULE(this.importItem) }, { ALT: () => this.SUBRULE(this.scan) }]));
    });
    return this.ACTION(() => ({ items, closing: this.comments.before(Infinity), origin: { file: this.file, start: 0, end: this.length } }));
  });

  readonly importItem = this.RULE('importItem', (): ImportItem => {
    const open = this.opening();
    this.CONSUME(T.Import);
    this.CONSUME(T.LBrace);
    const names = this.SUBRULE(this.names);
    this.OPTION(() => this.CONSUME(T.Comma));
    this.CONSUME(T.RBrace);
    this.CONSUME(T.From);
    const path = this.CONSUME(T.StringLiteral);
    return this.ACTION(() => ({ kind: 'import', names, path: { text: path.image.slice(1, -1), origin: this.spanOf(path) }, ...this.layout(open) }));
  });

  readonly scan = this.RULE('scan', (): ScanItem => {
    const open = this.opening();
    const inputs: Declared[] = [];
    const outputs: Declared[] = [];
    const sizes: Size[] = [];
    const body: Statement[] = [];
    let sequential = false;
    this.CONSUME(T.Scan);
    const name = this.SUBRULE(this.name);
    this.CONSUME(T.LParen);
    this.OPTION(() => {
      inputs.push(this.SUBRULE(this.inputGroup));
      this.MANY({ GATE: () => this.LA(2).tokenType !== T.RParen, DEF: () => {
        this.CONSUME(T.Comma);
        inputs.push(this.SUBRULE2(this.inputGroup));
      } });
      this.OPTION2(() => this.CONSUME2(T.Comma));
    });
    this.CONSUME(T.RParen);
    this.CONSUME(T.Arrow);
    this.AT_LEAST_ONE_SEP({ SEP: T.Comma, DEF: () => outputs.push(this.SUBRULE(this.declared)) });
    this.MANY2(() => this.OR([
      { ALT: () => {
        this.CONSUME(T.Sequential);
        sequential = true;
      } },
      { ALT: () => {
        this.CONSUME(T.With);
        this.AT_LEAST_ONE_SEP2({ SEP: T.Comma, DEF: () => sizes.push(this.SUBRULE(this.size)) });
      } },
    ]));
    const brace = this.CONSUME(T.LBrace);
    const leading = this.ACTION(() => this.comments.before(brace.startOffset));
    this.MANY3(() => body.push(this.SUBRULE(this.statement)));
    const end = this.CONSUME(T.RBrace);
    const closing = this.ACTION(() => this.comments.before(end.startOffset));
    return this.ACTION(() => ({ kind: 'scan', name, inputs, outputs, sequential, sizes, body, closing, ...this.layout(open, leading) }));
  });

  readonly inputGroup = this.RULE('inputGroup', (): Declared => {
    let range: RangeText | undefined;
    let perGroup = false;
    const names = this.SUBRULE(this.names);
    this.CONSUME(T.Colon);
    const axes = this.SUBRULE(this.axes);
    this.MANY(() => this.OR([
      { ALT: () => {
        range = this.SUBRULE(this.range);
      } },
      { ALT: () => {
        this.CONSUME(T.Per);
        this.CONSUME(T.Group);
        perGroup = true;
      } },
    ]));
    return this.ACTION(() => ({ names, axes, range, perGroup, origin: this.since(names[0].origin) }));
  });

  readonly ranged = this.RULE('ranged', (): Declared => {
    const names = this.SUBRULE(this.names);
    this.CONSUME(T.Colon);
    const axes = this.SUBRULE(this.axes);
    const range = this.OPTION(() => this.SUBRULE(this.range));
    return this.ACTION(() => ({ names, axes, range, perGroup: false, origin: this.since(names[0].origin) }));
  });

  readonly declared = this.RULE('declared', (): Declared => {
    const names = this.SUBRULE(this.names);
    this.CONSUME(T.Colon);
    const axes = this.SUBRULE(this.axes);
    return this.ACTION(() => ({ names, axes, range: undefined, perGroup: false, origin: this.since(names[0].origin) }));
  });

  readonly range = this.RULE('range', (): RangeText => {
    this.CONSUME(T.In);
    const lo = this.SUBRULE(this.expression);
    this.CONSUME(T.Range);
    const hi = this.SUBRULE2(this.expression);
    return this.ACTION(() => ({ lo, hi, origin: joinSpans(lo.origin, hi.origin) }));
  });

  readonly size = this.RULE('size', (): Size => {
    const axis = this.SUBRULE(this.name);
    this.CONSUME(T.Equals);
    const value = this.SUBRULE(this.number);
    return { axis, value };
  });

  readonly statement = this.RULE('statement', (): Statement => {
    const open = this.opening();
    const groups: Declared[] = [];
    return this.OR<Statement>([
      { ALT: () => {
        this.CONSUME(T.Const);
        const name = this.SUBRULE(this.name);
        const axes = this.OPTION(() => this.SUBRULE(this.annotation));
        this.CONSUME(T.Equals);
        const value = this.SUBRULE(this.expression);
        return this.ACTION(() => ({ kind: 'const', name, axes, value, ...this.layout(open) }));
      } },
      { ALT: () => {
        this.CONSUME(T.Let);
        const name = this.SUBRULE2(this.name);
        const axes = this.OPTION2(() => this.SUBRULE2(this.annotation));
        this.CONSUME2(T.Equals);
        const value = this.SUBRULE2(this.expression);
        return this.ACTION(() => ({ kind: 'let', name, axes, value, ...this.layout(open) }));
      } },
      { ALT: () => {
        this.CONSUME(T.Param);
        this.AT_LEAST_ONE_SEP({ SEP: T.Comma, DEF: () => groups.push(this.SUBRULE(this.ranged)) });
        return this.ACTION(() => ({ kind: 'param', groups, ...this.layout(open) }));
      } },
      { ALT: () => {
        this.CONSUME(T.State);
        this.AT_LEAST_ONE_SEP2({ SEP: T.Comma, DEF: () => groups.push(this.SUBRULE2(this.ranged)) });
        return this.ACTION(() => ({ kind: 'state', groups, ...this.layout(open) }));
      } },
      { ALT: () => {
        const name = this.SUBRULE3(this.name);
        this.CONSUME3(T.Equals);
        const value = this.SUBRULE3(this.expression);
        return this.ACTION(() => ({ kind: 'assign', name, value, ...this.layout(open) }));
      } },
    ]);
  });

  readonly annotation = this.RULE('annotation', (): Axes => {
    this.CONSUME(T.Colon);
    return this.SUBRULE(this.axes);
  });

  readonly axes = this.RULE('axes', (): Axes => {
    const open = this.CONSUME(T.LBracket);
    const names = this.OPTION(() => this.SUBRULE(this.names));
    const close = this.CONSUME(T.RBracket);
    return this.ACTION(() => ({ names: names ?? [], origin: joinSpans(this.spanOf(open), this.spanOf(close)) }));
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

  readonly expression = this.RULE('expression', (): Expr => {
    let left = this.SUBRULE(this.product);
    this.MANY(() => {
      const op = this.OR([{ ALT: () => this.CONSUME(T.Plus) }, { ALT: () => this.CONSUME(T.Minus) }]);
      const right = this.SUBRULE2(this.product);
      left = this.ACTION(() => this.binary(op, left, right));
    });
    return left;
  });

  readonly product = this.RULE('product', (): Expr => {
    let left = this.SUBRULE(this.contraction);
    this.MANY(() => {
      const op = this.OR([{ ALT: () => this.CONSUME(T.Star) }, { ALT: () => this.CONSUME(T.Slash) }]);
      const right = this.SUBRULE2(this.contraction);
      left = this.ACTION(() => this.binary(op, left, right));
    });
    return left;
  });

  readonly contraction = this.RULE('contraction', (): Expr => {
    let left = this.SUBRULE(this.signed);
    this.MANY(() => {
      const op = this.CONSUME(T.At);
      const right = this.SUBRULE2(this.signed);
      left = this.ACTION(() => this.binary(op, left, right));
    });
    return left;
  });

  readonly signed = this.RULE('signed', (): Expr =>
    this.OR<Expr>([
      { ALT: () => {
        const minus = this.CONSUME(T.Minus);
        const arg = this.SUBRULE(this.signed);
        return this.ACTION(() => ({ kind: 'negate', arg, origin: joinSpans(this.spanOf(minus), arg.origin) }));
      } },
      { ALT: () => this.SUBRULE(this.power) },
    ]));

  readonly power = this.RULE('power', (): Expr => {
    const base = this.SUBRULE(this.atom);
    let result = base;
    this.OPTION(() => {
      const op = this.CONSUME(T.Caret);
      const exponent = this.SUBRULE(this.signed);
      result = this.ACTION(() => this.binary(op, base, exponent));
    });
    return result;
  });

  readonly atom = this.RULE('atom', (): Expr =>
    this.OR<Expr>([
      { ALT: () => this.SUBRULE(this.number) },
      { ALT: () => {
        const open = this.CONSUME(T.LParen);
        const inner = this.SUBRULE(this.expression);
        const close = this.CONSUME(T.RParen);
        return this.ACTION(() => ({ kind: 'group', inner, origin: joinSpans(this.spanOf(open), this.spanOf(close)) }));
      } },
      { ALT: () => this.SUBRULE(this.past) },
      { ALT: () => this.SUBRULE(this.reference) },
    ]));

  readonly past = this.RULE('past', (): Expr => {
    const name = this.SUBRULE(this.name);
    this.CONSUME(T.LBracket);
    const time = this.SUBRULE2(this.name);
    const sign = this.OR([{ ALT: () => this.CONSUME(T.Minus) }, { ALT: () => this.CONSUME(T.Plus) }]);
    const steps = this.SUBRULE(this.number);
    const close = this.CONSUME(T.RBracket);
    return this.ACTION(() => ({
      kind: 'past', name, time, offset: sign.tokenType === T.Minus ? -steps.value : steps.value, origin: joinSpans(name.origin, this.spanOf(close)),
    }));
  });

  /** A name, a call, or a name with brackets that is neither. */
  readonly reference = this.RULE('reference', (): Expr => {
    const args: Expr[] = [];
    let called = false;
    const name = this.SUBRULE(this.name);
    const axes = this.OPTION(() => this.SUBRULE(this.axes));
    this.OPTION2(() => {
      this.CONSUME(T.LParen);
      called = true;
      this.MANY_SEP({ SEP: T.Comma, DEF: () => args.push(this.SUBRULE(this.expression)) });
      this.CONSUME(T.RParen);
    });
    return this.ACTION((): Expr => {
      const origin = this.since(name.origin);
      if (called) return { kind: 'call', name, axes, args, origin };
      return axes ? { kind: 'index', name, axes, origin } : { kind: 'name', name, origin };
    });
  });

  private binary(op: IToken, left: Expr, right: Expr): Expr {
    return { kind: 'binary', op: OPERATORS[op.tokenType.name], left, right, opOrigin: this.spanOf(op), origin: joinSpans(left.origin, right.origin) };
  }

  private opening(): Opening {
    return this.ACTION(() => {
      const start = this.LA(1).startOffset;
      return { start, blankBefore: this.comments.blankBefore(start) };
    });
  }

  /** Called when the last token of an item has been read. */
  private layout(open: Opening, leading?: readonly Comment[]): Layout {
    const end = endOf(this.LA(0));
    const next = this.LA(1).startOffset;
    return {
      leading: leading ?? this.comments.before(end),
      trailing: this.comments.after(end, Number.isNaN(next) ? Infinity : next),
      blankBefore: open.blankBefore,
      origin: { file: this.file, start: open.start, end },
    };
  }

  private since(first: Span): Span {
    return { file: this.file, start: first.start, end: endOf(this.LA(0)) };
  }

  private spanOf(token: IToken): Span {
    return { file: this.file, start: token.startOffset, end: endOf(token) };
  }
}

function endOf(token: IToken): number {
  return token.startOffset + token.image.length;
}

/** What Chevrotain would say never reaches anyone: `errors.ts` reads the exceptions instead. */
const SILENT = {
  buildMismatchTokenMessage: ({ expected }: { expected: { LABEL?: string; name: string } }): string => expected.LABEL ?? expected.name,
  buildNotAllInputParsedMessage: (): string => '',
  buildNoViableAltMessage: ({ expectedPathsPerAlt }: { expectedPathsPerAlt: { LABEL?: string; name: string }[][][] }): string => firstTokens(expectedPathsPerAlt.flat()),
  buildEarlyExitMessage: ({ expectedIterationPaths }: { expectedIterationPaths: { LABEL?: string; name: string }[][] }): string => firstTokens(expectedIterationPaths),
};

/** Labels of the tokens that might have come, one a line. */
function firstTokens(paths: { LABEL?: string; name: string }[][]): string {
  return [...new Set(paths.flatMap(([first]) => (first ? [first.LABEL ?? first.name] : [])))].join('\n');
}
