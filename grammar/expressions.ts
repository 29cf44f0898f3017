import type { IToken } from 'chevrotain';
import type { Argument, Axes, BinaryOperator, Expr } from '../src/ir/ast/ast.js';
import { joinSpans } from '../src/ir/common/span.js';
import { BaseParser } from './base.js';
import * as T from './tokens.js';

const OPERATORS: Readonly<Record<string, BinaryOperator>> = {
  Plus: '+', Minus: '-', Star: '*', Slash: '/', Percent: '%', At: '@', Caret: '^',
  Below: '<', AtMost: '<=', Above: '>', AtLeast: '>=', Equal: '==', NotEqual: '!=', AndKeyword: 'and', OrKeyword: 'or',
};

/** Formulas, from what binds least to what binds most. */
export class ExpressionParser extends BaseParser {
  readonly expression = this.RULE('expression', (): Expr => {
    let left = this.SUBRULE(this.conjunction);
    this.MANY(() => {
      const op = this.CONSUME(T.Or);
      const right = this.SUBRULE2(this.conjunction);
      left = this.ACTION(() => this.binary(op, left, right));
    });
    return left;
  });

  readonly conjunction = this.RULE('conjunction', (): Expr => {
    let left = this.SUBRULE(this.comparison);
    this.MANY(() => {
      const op = this.CONSUME(T.And);
      const right = this.SUBRULE2(this.comparison);
      left = this.ACTION(() => this.binary(op, left, right));
    });
    return left;
  });

  readonly comparison = this.RULE('comparison', (): Expr =>
    this.OR<Expr>([
      { ALT: () => {
        const not = this.CONSUME(T.Not);
        const arg = this.SUBRULE(this.comparison);
        return this.ACTION(() => ({ kind: 'not', arg, origin: joinSpans(this.spanOf(not), arg.origin) }));
      } },
      { ALT: () => {
        const left = this.SUBRULE(this.sum);
        let result = left;
        this.OPTION(() => {
          const op = this.OR2([
            { ALT: () => this.CONSUME(T.Below) }, { ALT: () => this.CONSUME(T.AtMost) },
            { ALT: () => this.CONSUME(T.Above) }, { ALT: () => this.CONSUME(T.AtLeast) },
            { ALT: () => this.CONSUME(T.Equal) }, { ALT: () => this.CONSUME(T.NotEqual) },
          ]);
          const right = this.SUBRULE2(this.sum);
          result = this.ACTION(() => this.binary(op, left, right));
        });
        return result;
      } },
    ]));

  readonly sum = this.RULE('sum', (): Expr => {
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
      const op = this.OR([
        { ALT: () => this.CONSUME(T.Star) }, { ALT: () => this.CONSUME(T.Slash) }, { ALT: () => this.CONSUME(T.Percent) },
      ]);
      const right = this.SUBRULE2(this.contraction);
      left = this.ACTION(() => this.binary(op, left, right));
    });
    return left;
  });

  readonly contraction = this.RULE('contraction', (): Expr => {
    let left = this.SUBRULE(this.signed);
    this.MANY(() => {
      const op = this.CONSUME(T.At);
      const axes = this.OPTION(() => this.SUBRULE(this.axes));
      const right = this.SUBRULE2(this.signed);
      left = this.ACTION(() => this.binary(op, left, right, axes));
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
      { ALT: () => this.SUBRULE(this.text) },
      { ALT: () => {
        const open = this.CONSUME(T.LParen);
        const inner = this.SUBRULE(this.expression);
        const close = this.CONSUME(T.RParen);
        return this.ACTION(() => ({ kind: 'group', inner, origin: this.between(open, close) }));
      } },
      { ALT: () => this.SUBRULE(this.reference) },
    ]));

  /** A name, a call, or a name with brackets that is neither. */
  readonly reference = this.RULE('reference', (): Expr => {
    const indices: Expr[] = [];
    const args: Argument[] = [];
    let called = false;
    const name = this.SUBRULE(this.name);
    const brackets = this.OPTION(() => {
      const open = this.CONSUME(T.LBracket);
      this.MANY_SEP({ SEP: T.Comma, DEF: () => indices.push(this.SUBRULE(this.expression)) });
      const close = this.CONSUME(T.RBracket);
      return this.ACTION(() => this.between(open, close));
    });
    this.OPTION2(() => {
      this.CONSUME(T.LParen);
      called = true;
      this.MANY_SEP2({ SEP: T.Comma, DEF: () => args.push(this.SUBRULE(this.argument)) });
      this.CONSUME(T.RParen);
    });
    return this.ACTION((): Expr => {
      const origin = this.since(name.origin);
      if (called) return { kind: 'call', name, indices: brackets && indices, brackets, args, origin };
      return brackets ? { kind: 'index', name, indices, brackets, origin } : { kind: 'name', name, origin };
    });
  });

  readonly argument = this.RULE('argument', (): Argument => {
    const name = this.OPTION(() => {
      const name = this.SUBRULE(this.name);
      this.CONSUME(T.Colon);
      return name;
    });
    const value = this.SUBRULE(this.expression);
    return { name, value };
  });

  private binary(op: IToken, left: Expr, right: Expr, axes?: Axes): Expr {
    const origin = joinSpans(left.origin, right.origin);
    return { kind: 'binary', op: OPERATORS[op.tokenType.name], left, right, axes, opOrigin: this.spanOf(op), origin };
  }
}
