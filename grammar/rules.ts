import type { IToken } from 'chevrotain';
import type { AstFile, Axes, Binding, Declared, Ident, ImportItem, Input, Item, PartItem, PartKind, RangeText } from '../src/ir/ast/ast.js';
import type { CommentReader } from './comments.js';
import { StatementParser } from './statements.js';
import * as T from './tokens.js';

/**
 * The syntax of the language, and the Ast that each rule makes: files and declarations here, what stands in them in the classes below this
 * one. Chevrotain runs every rule once without input to learn the grammar, so whatever looks into a token stands in ACTION. The EBNF and
 * the TextMate grammar are derived from the rules and the tokens.
 */
export class LmoeParser extends StatementParser {
  private length = 0;

  constructor() {
    super();
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
      items.push(this.OR<Item>([{ ALT: () => this.SUBRULE(this.importItem) }, { ALT: () => this.SUBRULE(this.part) }]));
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
    const { text, origin } = this.SUBRULE(this.text);
    return this.ACTION(() => ({ kind: 'import', names, path: { text, origin }, ...this.placed(open) }));
  });

  readonly part = this.RULE('part', (): PartItem => {
    const open = this.opening();
    const inputs: Input[] = [];
    const outputs: Declared[] = [];
    const bindings: Binding[] = [];
    let sequential = false;
    const kind = this.SUBRULE(this.kind);
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
        const more = this.SUBRULE(this.withList);
        this.ACTION(() => bindings.push(...more));
      } },
    ]));
    const leading = this.ACTION(() => this.comments.before(this.LA(1).startOffset));
    const body = this.SUBRULE(this.block);
    return this.ACTION(() => ({
      kind, name, inputs, outputs, sequential, bindings, body: body.statements, closing: body.closing, ...this.placed(open, leading),
    }));
  });

  readonly kind = this.RULE('kind', (): PartKind =>
    this.OR<PartKind>([
      { ALT: () => {
        this.CONSUME(T.Scan);
        return 'scan';
      } },
      { ALT: () => {
        this.CONSUME(T.Moe);
        return 'moe';
      } },
      { ALT: () => {
        this.CONSUME(T.Layer);
        return 'layer';
      } },
      { ALT: () => {
        this.CONSUME(T.Model);
        return 'model';
      } },
    ]));

  readonly inputGroup = this.RULE('inputGroup', (): Input => {
    let axes: Axes | undefined;
    let of: Ident | undefined;
    let range: RangeText | undefined;
    let perGroup = false;
    let rounded = false;
    const names = this.SUBRULE(this.names);
    this.CONSUME(T.Colon);
    this.OR([
      { ALT: () => {
        axes = this.SUBRULE(this.axes);
        this.MANY(() => this.OR2([
          { ALT: () => {
            range = this.SUBRULE(this.range);
          } },
          { ALT: () => {
            this.CONSUME(T.Per);
            this.CONSUME(T.Group);
            perGroup = true;
          } },
          { ALT: () => {
            this.CONSUME(T.Rounded);
            rounded = true;
          } },
        ]));
      } },
      { ALT: () => {
        this.CONSUME(T.One);
        this.CONSUME(T.Of);
        of = this.SUBRULE(this.name);
      } },
    ]);
    return this.ACTION(() => {
      const origin = this.since(names[0].origin);
      return { names, axes: axes ?? { names: [], origin: of?.origin ?? origin }, range, of, perGroup, rounded, origin };
    });
  });

  readonly declared = this.RULE('declared', (): Declared => {
    const names = this.SUBRULE(this.names);
    this.CONSUME(T.Colon);
    const axes = this.SUBRULE(this.axes);
    return this.ACTION(() => ({ names, axes, range: undefined, origin: this.since(names[0].origin) }));
  });
}
