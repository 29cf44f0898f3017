import type { Axes, Binding, Body, Constant, Declared, IfStatement, Modifier, Parameter, RangeText, Statement } from '../src/ir/ast/ast.js';
import { joinSpans } from '../src/ir/common/span.js';
import { EntryParser } from './entries.js';
import * as T from './tokens.js';

/** What stands in the braces of a declaration, of an `if` and of a `repeat`. */
export class StatementParser extends EntryParser {
  readonly block = this.RULE('block', (): Body => {
    const statements: Statement[] = [];
    const open = this.CONSUME(T.LBrace);
    this.MANY(() => statements.push(this.SUBRULE(this.statement)));
    const close = this.CONSUME(T.RBrace);
    return this.ACTION(() => ({ statements, closing: this.comments.before(close.startOffset), origin: this.between(open, close) }));
  });

  readonly statement = this.RULE('statement', (): Statement => {
    const open = this.opening();
    const word = { IGNORE_AMBIGUITIES: true, GATE: () => !this.assigned() };
    // By the first word only, so that what does not fit is the second.
    return this.OR<Statement>({ MAX_LOOKAHEAD: 1, DEF: [
      { ALT: () => {
        const constants: Constant[] = [];
        this.CONSUME(T.Const);
        this.AT_LEAST_ONE_SEP({ SEP: T.Comma, DEF: () => constants.push(this.SUBRULE(this.constant)) });
        return this.ACTION(() => ({ kind: 'const', constants, ...this.placed(open) }));
      } },
      { ALT: () => {
        this.CONSUME(T.Let);
        const names = this.SUBRULE(this.names);
        const axes = this.OPTION(() => this.SUBRULE(this.annotation));
        this.CONSUME(T.Equals);
        const value = this.SUBRULE(this.expression);
        return this.ACTION(() => ({ kind: 'let', names, axes, value, ...this.placed(open) }));
      } },
      { ALT: () => {
        this.CONSUME(T.Param);
        const groups = this.SUBRULE(this.parameters);
        return this.ACTION(() => ({ kind: 'param', groups, ...this.placed(open) }));
      } },
      { ...word, ALT: () => {
        this.CONSUME(T.Buffer);
        const groups = this.SUBRULE2(this.parameters);
        return this.ACTION(() => ({ kind: 'buffer', groups, ...this.placed(open) }));
      } },
      { ALT: () => {
        const groups: Declared[] = [];
        this.CONSUME(T.State);
        this.AT_LEAST_ONE_SEP2({ SEP: T.Comma, DEF: () => groups.push(this.SUBRULE(this.ranged)) });
        return this.ACTION(() => ({ kind: 'state', groups, ...this.placed(open) }));
      } },
      { ...word, ALT: () => this.SUBRULE(this.useStatement) },
      { ALT: () => this.SUBRULE(this.ifStatement) },
      { ALT: () => this.SUBRULE(this.repeatStatement) },
      { ...word, ALT: () => {
        this.CONSUME(T.Loss);
        const name = this.SUBRULE(this.name);
        this.CONSUME2(T.Equals);
        const value = this.SUBRULE2(this.expression);
        return this.ACTION(() => ({ kind: 'loss', name, value, ...this.placed(open) }));
      } },
      { ...word, ALT: () => {
        this.CONSUME(T.Update);
        const name = this.SUBRULE2(this.name);
        const add = this.SUBRULE(this.gets);
        const value = this.SUBRULE3(this.expression);
        return this.ACTION(() => ({ kind: 'update', name, add, value, ...this.placed(open) }));
      } },
      { ...word, ALT: () => {
        this.CONSUME(T.Init);
        const value = this.SUBRULE4(this.expression);
        return this.ACTION(() => ({ kind: 'init', value, ...this.placed(open) }));
      } },
      { ...word, ALT: () => {
        this.CONSUME(T.Names);
        const family = this.SUBRULE3(this.name);
        const leading = this.ACTION(() => this.comments.before(this.LA(1).startOffset));
        const entries = this.SUBRULE(this.entries);
        return this.ACTION(() => ({ kind: 'names', family, entries, ...this.placed(open, leading) }));
      } },
      { ALT: () => {
        const name = this.SUBRULE4(this.name);
        const add = this.SUBRULE2(this.gets);
        const value = this.SUBRULE5(this.expression);
        return this.ACTION(() => ({ kind: 'assign', name, add, value, ...this.placed(open) }));
      } },
    ] });
  });

  /** Does the value come on top of what is there? */
  readonly gets = this.RULE('gets', (): boolean => {
    const sign = this.OR([{ ALT: () => this.CONSUME(T.Equals) }, { ALT: () => this.CONSUME(T.PlusEquals) }]);
    return this.ACTION(() => sign.tokenType === T.PlusEquals);
  });

  readonly useStatement = this.RULE('useStatement', (): Statement => {
    const open = this.opening();
    this.CONSUME(T.Use);
    const names = this.SUBRULE(this.names);
    const family = this.OPTION(() => this.SUBRULE(this.axes));
    this.CONSUME(T.Equals);
    const part = this.SUBRULE(this.name);
    const bindings = this.OPTION2({ GATE: () => !this.assigned(), DEF: () => this.SUBRULE(this.withList) });
    return this.ACTION(() => ({ kind: 'use', names, family, part, bindings: bindings ?? [], ...this.placed(open) }));
  });

  /** Comments up to the first `{` stand before the statement; those around an `else` are the first of its block. */
  readonly ifStatement = this.RULE('ifStatement', (behindElse: boolean = false): IfStatement => {
    const open = this.opening();
    let otherwise: Body | IfStatement | undefined;
    this.CONSUME(T.If);
    const condition = this.SUBRULE(this.expression);
    const leading = this.ACTION(() => (behindElse ? [] : this.comments.before(this.LA(1).startOffset)));
    const then = this.SUBRULE(this.block);
    this.OPTION(() => {
      this.CONSUME(T.Else);
      otherwise = this.OR<Body | IfStatement>([
        { ALT: () => this.SUBRULE2(this.block) },
        { ALT: () => this.SUBRULE(this.ifStatement, { ARGS: [true] }) },
      ]);
    });
    return this.ACTION(() => {
      const layout = behindElse ? this.inside(open) : this.placed(open, leading);
      return { kind: 'if', condition, then, otherwise, ...layout };
    });
  });

  readonly repeatStatement = this.RULE('repeatStatement', (): Statement => {
    const open = this.opening();
    this.CONSUME(T.Repeat);
    const names = this.SUBRULE(this.names);
    this.CONSUME(T.In);
    const from = this.SUBRULE(this.sum);
    const to = this.OPTION(() => {
      this.CONSUME(T.Range);
      return this.SUBRULE2(this.sum);
    });
    const leading = this.ACTION(() => this.comments.before(this.LA(1).startOffset));
    const body = this.SUBRULE(this.block);
    return this.ACTION(() => ({ kind: 'repeat', names, from, to, body, ...this.placed(open, leading) }));
  });

  readonly withList = this.RULE('withList', (): readonly Binding[] => {
    const bindings: Binding[] = [];
    this.CONSUME(T.With);
    this.AT_LEAST_ONE_SEP({ SEP: T.Comma, DEF: () => bindings.push(this.SUBRULE(this.binding)) });
    return bindings;
  });

  readonly binding = this.RULE('binding', (): Binding => {
    const name = this.SUBRULE(this.name);
    const value = this.OPTION(() => {
      this.CONSUME(T.Equals);
      return this.SUBRULE(this.expression);
    });
    return { name, value };
  });

  readonly constant = this.RULE('constant', (): Constant => {
    const name = this.SUBRULE(this.name);
    const axes = this.OPTION(() => this.SUBRULE(this.annotation));
    this.CONSUME(T.Equals);
    const value = this.SUBRULE(this.expression);
    return { name, axes, value };
  });

  readonly parameters = this.RULE('parameters', (): readonly Parameter[] => {
    const groups: Parameter[] = [];
    this.AT_LEAST_ONE_SEP({ SEP: T.Comma, DEF: () => groups.push(this.SUBRULE(this.parameter)) });
    return groups;
  });

  /** `f32`, `decay` and `no decay`, unless they are assigned by the next statement. */
  readonly parameter = this.RULE('parameter', (): Parameter => {
    const modifiers: Modifier[] = [];
    const declared = this.SUBRULE(this.ranged);
    const law = this.OPTION(() => {
      this.CONSUME(T.Equals);
      return this.SUBRULE(this.expression);
    });
    this.MANY({ GATE: () => !this.assigned(), DEF: () => modifiers.push(this.SUBRULE(this.modifier)) });
    return this.ACTION(() => ({ ...declared, law, modifiers, origin: this.since(declared.origin) }));
  });

  readonly modifier = this.RULE('modifier', (): Modifier =>
    this.OR<Modifier>([
      { ALT: () => {
        const word = this.CONSUME(T.F32);
        return this.ACTION(() => ({ kind: 'f32', origin: this.spanOf(word) }));
      } },
      { ALT: () => {
        const word = this.CONSUME(T.Decay);
        return this.ACTION(() => ({ kind: 'decay', origin: this.spanOf(word) }));
      } },
      { ALT: () => {
        const no = this.CONSUME(T.No);
        const word = this.CONSUME2(T.Decay);
        return this.ACTION(() => ({ kind: 'no decay', origin: this.between(no, word) }));
      } },
    ]));

  readonly ranged = this.RULE('ranged', (): Declared => {
    const names = this.SUBRULE(this.names);
    this.CONSUME(T.Colon);
    const axes = this.SUBRULE(this.axes);
    const range = this.OPTION(() => this.SUBRULE(this.range));
    return this.ACTION(() => ({ names, axes, range, origin: this.since(names[0].origin) }));
  });

  readonly range = this.RULE('range', (): RangeText => {
    this.CONSUME(T.In);
    const lo = this.SUBRULE(this.sum);
    this.CONSUME(T.Range);
    const hi = this.SUBRULE2(this.sum);
    return this.ACTION(() => ({ lo, hi, origin: joinSpans(lo.origin, hi.origin) }));
  });

  readonly annotation = this.RULE('annotation', (): Axes => {
    this.CONSUME(T.Colon);
    return this.SUBRULE(this.axes);
  });
}
