import type { LayoutDimText, LayoutFactorText, LayoutText, NameEntries, NameEntryText, PathText } from '../src/ir/ast/ast.js';
import { ExpressionParser } from './expressions.js';
import * as T from './tokens.js';

/** What stands in `names hf { ... }`: tensors of a checkpoint. */
export class EntryParser extends ExpressionParser {
  readonly entries = this.RULE('entries', (): NameEntries => {
    const entries: NameEntryText[] = [];
    const open = this.CONSUME(T.LBrace);
    this.MANY(() => entries.push(this.SUBRULE(this.entry)));
    const close = this.CONSUME(T.RBrace);
    return this.ACTION(() => ({ entries, closing: this.comments.before(close.startOffset), origin: this.between(open, close) }));
  });

  readonly entry = this.RULE('entry', (): NameEntryText => {
    const open = this.opening();
    return this.OR<NameEntryText>({ MAX_LOOKAHEAD: 1, DEF: [
      // `ignore "..."` is never a part of that name.
      { IGNORE_AMBIGUITIES: true, GATE: () => this.LA(2).tokenType === T.StringLiteral, ALT: () => {
        this.CONSUME(T.Ignore);
        const pattern = this.SUBRULE(this.text);
        return this.ACTION(() => ({ kind: 'ignore', pattern, ...this.placed(open) }));
      } },
      { ALT: () => {
        const text = this.SUBRULE2(this.text);
        const leading = this.ACTION(() => this.comments.before(this.LA(1).startOffset));
        const entries = this.SUBRULE(this.entries);
        return this.ACTION(() => ({ kind: 'prefix', text, entries, ...this.placed(open, leading) }));
      } },
      { ALT: () => this.SUBRULE(this.named) },
    ] });
  });

  readonly named = this.RULE('named', (): NameEntryText => {
    const open = this.opening();
    const paths: PathText[] = [];
    this.AT_LEAST_ONE_SEP({ SEP: T.Comma, DEF: () => paths.push(this.SUBRULE(this.path)) });
    return this.OR<NameEntryText>([
      { ALT: () => {
        this.CONSUME(T.Equals);
        const text = this.SUBRULE(this.text);
        const layout = this.OPTION(() => this.SUBRULE(this.layout));
        return this.ACTION(() => ({ kind: 'tensor', paths, text, layout, ...this.placed(open) }));
      } },
      { ALT: () => {
        const text = this.SUBRULE2(this.text);
        const like = this.OPTION2({ GATE: () => this.isLike(), DEF: () => {
          this.CONSUME(T.Like);
          return this.SUBRULE(this.name);
        } });
        const leading = this.ACTION(() => (this.LA(1).tokenType === T.LBrace ? this.comments.before(this.LA(1).startOffset) : undefined));
        const entries = this.OPTION3(() => this.SUBRULE(this.entries));
        return this.ACTION(() => ({ kind: 'part', paths, text, like, entries, ...this.placed(open, leading) }));
      } },
    ]);
  });

  /** `like hf`; what is followed by anything but a name begins an entry. */
  private isLike(): boolean {
    return [T.Name, ...T.CONTEXTUAL].includes(this.LA(2).tokenType);
  }

  readonly path = this.RULE('path', (): PathText => {
    const names = [this.SUBRULE(this.name)];
    this.MANY(() => {
      this.CONSUME(T.Dot);
      names.push(this.SUBRULE2(this.name));
    });
    return names;
  });

  readonly layout = this.RULE('layout', (): LayoutText => {
    const dims: LayoutDimText[] = [];
    const open = this.CONSUME(T.LBracket);
    this.MANY_SEP({ SEP: T.Comma, DEF: () => dims.push(this.SUBRULE(this.dim)) });
    const close = this.CONSUME(T.RBracket);
    return this.ACTION(() => ({ dims, origin: this.between(open, close) }));
  });

  readonly dim = this.RULE('dim', (): LayoutDimText => {
    const factors: LayoutFactorText[] = [];
    this.AT_LEAST_ONE(() => factors.push(this.OR<LayoutFactorText>([
      { ALT: () => {
        const name = this.SUBRULE(this.name);
        return this.ACTION(() => ({ kind: 'axis', name: name.text, origin: name.origin }));
      } },
      { ALT: () => {
        const number = this.SUBRULE(this.number);
        return this.ACTION(() => ({ kind: 'number', value: number.value, origin: number.origin }));
      } },
      { ALT: () => this.SUBRULE(this.joined) },
    ])));
    return factors;
  });

  readonly joined = this.RULE('joined', (): LayoutFactorText => {
    const alternatives: LayoutDimText[] = [];
    const open = this.CONSUME(T.LParen);
    this.AT_LEAST_ONE_SEP({ SEP: T.Bar, DEF: () => alternatives.push(this.SUBRULE(this.dim)) });
    const close = this.CONSUME(T.RParen);
    return this.ACTION(() => ({ kind: 'joined', alternatives, origin: this.between(open, close) }));
  });
}
