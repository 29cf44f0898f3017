import { diagnostic } from '../../diagnostics/diagnostic.js';
import type { Expr } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import { includes } from '../../ir/graph/typing.js';
import { PAST } from './axes.js';
import { FUNCTIONS } from './fixed.js';
import { looksBack, shifted } from './back.js';
import { resolveName } from './name.js';
import { axesLabel, lookUp, report, type Found, type Scope } from './scope.js';
import { node, numeric, plain, typeOf, whatIs } from './values.js';

type IndexExpr = Expr & { readonly kind: 'index' };

const FIVE = 'a bracket holds `t-1`, `past` or a window of it, a choice, a comparison, or an index (`one of`)';

/** `x[...]`: x somewhere else. */
export function resolveIndex(scope: Scope, expr: IndexExpr): Found {
  const { text: name, origin } = expr.name;
  if (lookUp(scope, name) === undefined && name === 'past') return window(scope, expr);
  if (lookUp(scope, name) === undefined && FUNCTIONS.includes(name)) {
    const call = printExpr(expr);
    return name === 'index' ? resolveCountless(scope, expr)
      : report(scope, diagnostic('E213', `\`${call}\` has no argument`, expr.origin, 'a function without a value',
        { help: [`write \`${call}(x)\``] }));
  }
  const x = resolveName(scope, expr.name);
  if (x === undefined) return undefined;
  if (expr.indices.length !== 1) {
    return report(scope, diagnostic('E801', `${expr.indices.length === 0 ? 'no index' : 'several indices'} in one bracket`, expr.brackets,
      'one is needed', {
      help: [FIVE, ...(expr.indices.length > 1 ? ['choices are combined by `and`'] : [])],
    }));
  }
  const [index] = expr.indices;
  const time = timeOf(index);
  if (time !== undefined && lookUp(scope, 't') === undefined) return time === -1
    ? before(scope, expr, { kind: x.kind, value: x }) : otherTime(scope, expr, time);
  const at = scope.resolve(index);
  if (at === undefined) return undefined;
  if (x.kind === 'past' || x.kind === 'part' || x.kind === 'text') {
    return report(scope, diagnostic('E816', `${whatIs(x)} has no values`, origin, 'read at an index', { help: [FIVE] }));
  }
  const arg = x.kind === 'number' ? plain(scope, x.value, origin) : x.id;
  if (at.kind === 'past') return past(scope, expr, arg, at.axis);
  if (at.kind === 'node') {
    const { kind, of } = typeOf(scope, at.id);
    if (kind === 'choice') return node(scope.builder.add({ kind: 'restrict', arg, choice: at.id }, expr.origin));
    if (kind === 'index' && of !== undefined) return pick(scope, expr, arg, at.id);
  }
  const what = at.kind === 'node' ? 'a value of numbers' : whatIs(at);
  return report(scope, diagnostic('E801', `\`${printExpr(index)}\` is no index`, index.origin, what, {
    help: [FIVE,
      ...(at.kind === 'node'
        ? [`for the entries where it is positive write \`${name}[${printExpr(index)} > 0]\``]
        : ['axes are never indexed by numbers: fold them, or contract them by `@`'])],
  }));
}

/** -1 for `t-1`, 0 for `t`, other whole numbers likewise; undefined for what does not speak of t. */
function timeOf(expr: Expr): number | undefined {
  if (expr.kind === 'name') return expr.name.text === 't' ? 0 : undefined;
  if (expr.kind !== 'binary' || (expr.op !== '-' && expr.op !== '+') || expr.right.kind !== 'number') return undefined;
  if (expr.left.kind !== 'name' || expr.left.name.text !== 't') return undefined;
  return expr.op === '-' ? -expr.right.value : expr.right.value;
}

function otherTime(scope: Scope, expr: IndexExpr, offset: number): undefined {
  const name = expr.name.text;
  const title = offset > 0 ? 'a layer cannot see the future' : Object.is(Math.abs(offset), 0)
    ? 'a bare name is the value at this token' : 'only one token back';
  const help = offset > 0 ? ['shift the input before the call: what a token may depend on is itself and what came before']
    : Object.is(Math.abs(offset), 0) ? [`write \`${name}\``]
      : [`name the value in between: \`let last = ${name}[t-1]\`, then read \`last[t-1]\``,
        `for the last tokens together write \`conv[T](${name}, w)\` or \`${name}[past]\``];
  return report(scope, diagnostic('E210', title, expr.origin, 'not `[t-1]`', { help }));
}

function before(scope: Scope, expr: IndexExpr, { value }: { readonly kind: string; readonly value: Exclude<Found, undefined> }): Found {
  const id = numeric(scope, { value, expr: { kind: 'name', name: expr.name, origin: expr.name.origin } });
  if (id === undefined || looksBack(scope, expr.origin, `\`${printExpr(expr)}\``) === undefined) return undefined;
  if (shifted(scope, typeOf(scope, id).axes, expr.origin, '`[t-1]`') === undefined) return undefined;
  return node(scope.builder.add({ kind: 'before', arg: id }, expr.origin));
}

/** `past[128]`. */
function window(scope: Scope, expr: IndexExpr): Found {
  const size = expr.indices.length === 1 ? scope.resolve(expr.indices[0]) : undefined;
  if (expr.indices.length === 1 && size === undefined) return undefined;
  if (size?.kind === 'number' && Number.isInteger(size.value) && size.value >= 1) {
    return { kind: 'past', axis: { name: `past[${size.value}]`, size: size.value, past: true } };
  }
  return report(scope, diagnostic('E402', `\`${printExpr(expr)}\` is no window`, expr.brackets,
    'how many tokens it sees, this one included', {
    help: ['a window is a whole number from 1: `past[128]`; `past` alone are all tokens so far'],
  }));
}

function past(scope: Scope, expr: IndexExpr, arg: number, axis: typeof PAST): Found {
  const type = typeOf(scope, arg);
  if (looksBack(scope, expr.origin, `\`${printExpr(expr)}\``) === undefined) return undefined;
  const twice = type.axes.find((own) => own.past);
  if (twice !== undefined) {
    return report(scope, diagnostic('E207', `\`${printExpr(expr)}\` would have the past twice`, expr.origin,
      'seen from tokens that are seen themselves', {
      help: ['fold the first view before it is seen by later tokens'],
    }));
  }
  if (type.kind === 'index') {
    return report(scope, diagnostic('E816', 'an index has no past of its own', expr.origin, 'read at all tokens so far',
      { help: ['pick first, and view what was picked: `let e = embed[ids]`, then `e[past]`'] }));
  }
  const seen = scope.builder.add({ kind: 'past', arg, axis }, expr.origin);
  // What is absent at a token is absent where that token is seen.
  return node(type.restricted.reduce((value, choice) => {
    const there = scope.builder.add({ kind: 'past', arg: choice, axis }, expr.origin);
    return scope.builder.add({ kind: 'restrict', arg: value, choice: there }, expr.origin);
  }, seen));
}

function pick(scope: Scope, expr: IndexExpr, arg: number, index: number): Found {
  const type = typeOf(scope, arg);
  const { of } = typeOf(scope, index);
  if (of === undefined) throw new Error('an index without an axis');
  if (!includes(type.axes, of)) {
    return report(scope, diagnostic('E206', `\`${expr.name.text}\` has no axis \`${of.name}\``, expr.origin,
      `\`${printExpr(expr.indices[0])}\` is one of \`${of.name}\``, {
      secondary: [{ span: expr.name.origin, text: axesLabel(type.axes) }],
      help: ['the axis that an index belongs to is the one that goes'],
    }));
  }
  const picked = scope.builder.add({ kind: 'pick', arg, axis: of, index }, expr.origin);
  const along = type.restricted.filter((choice) => includes(typeOf(scope, choice).axes, of));
  return node(along.reduce((value, choice) => {
    const there = scope.builder.add({ kind: 'pick', arg: choice, axis: of, index }, expr.origin);
    return scope.builder.add({ kind: 'restrict', arg: value, choice: there }, expr.origin);
  }, picked));
}

/** `index[H, K]` is a function without arguments. */
function resolveCountless(scope: Scope, expr: IndexExpr): Found {
  return scope.resolve({ kind: 'call', name: expr.name, indices: expr.indices, brackets: expr.brackets, args: [], origin: expr.origin });
}
