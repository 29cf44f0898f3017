import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import type { Expr } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import type { MathName } from '../../ir/common/dag.js';
import type { Span } from '../../ir/common/span.js';
import type { Axis, ValueType } from '../../ir/graph/types.js';
import { number } from '../../ir/graph/typing.js';
import { math } from '../../math/index.js';
import { isHeld } from '../resolve/numbers.js';
import { nameOf } from './part.js';
import { report, type Found, type Scope, type Value } from './scope.js';

/** A value with the text that made it, for messages. */
export interface Written {
  readonly value: Value;
  readonly expr: Expr;
}

export function node(id: number): Value {
  return { kind: 'node', id };
}

export function numberValue(value: number): Value {
  return { kind: 'number', value };
}

export function typeOf(scope: Scope, id: number): ValueType {
  return scope.builder.typeOf(id);
}

/** The node of a value that is a number per element; an index counts as its number. E816 for everything else. */
export function numeric(scope: Scope, { value, expr }: Written): number | undefined {
  if (value.kind === 'number') return literal(scope, value.value, expr.origin);
  if (value.kind !== 'node') return report(scope, noNumber(value, expr));
  const { kind } = typeOf(scope, value.id);
  if (kind === 'index') return scope.builder.add({ kind: 'number', arg: value.id }, expr.origin);
  if (kind === 'number') return value.id;
  const text = printExpr(expr);
  return report(scope, diagnostic('E816', 'a choice is no number', expr.origin, 'it holds or does not', {
    secondary: madeAt(scope, value.id, expr),
    help: [`write \`mask(${text})\` for 1 where it holds and 0 elsewhere, or \`x[${text}]\` for x where it holds`],
  }));
}

/** Where a choice was made, if not in this expression. */
export function madeAt(scope: Scope, id: number, expr: Expr): { readonly span: Span; readonly text: string }[] {
  const { origin } = scope.builder.nodes[id];
  const inside = origin.file === expr.origin.file && origin.start >= expr.origin.start && origin.end <= expr.origin.end;
  return inside ? [] : [{ span: origin, text: 'made here' }];
}

/** The choice that an expression stands for; E816 for everything else. */
export function choiceOf(scope: Scope, { value, expr }: Written): number | undefined {
  if (value.kind === 'node' && typeOf(scope, value.id).kind === 'choice') return value.id;
  const what = value.kind === 'node' ? 'a value' : whatIs(value);
  const text = printExpr(expr);
  return report(scope, diagnostic('E816', `${what} is no choice`, expr.origin, 'neither `top` nor a comparison', {
    help: [value.kind === 'node' || value.kind === 'number'
      ? `compare it: \`${text} > 0\`` : 'choices are made by `top`, comparisons, `and`, `or` and `not`'],
  }));
}

function noNumber(value: Value, expr: Expr): Diagnostic {
  const help = value.kind === 'past' ? `read values there: \`x[${printExpr(expr)}]\``
    : value.kind === 'part' ? `call it: \`${nameOf(value.part)}(...)\`` : 'a text is compared, `kind == "L"`, or run through by `repeat`';
  return diagnostic('E816', `${whatIs(value)} is no number`, expr.origin, 'used as one', { help: [help] });
}

export function whatIs(value: Value): string {
  switch (value.kind) {
    case 'number': return 'a number';
    case 'text': return 'a text';
    case 'part': return `\`${nameOf(value.part)}\``;
    case 'past': return 'an axis of tokens';
    case 'node': return 'a value';
  }
}

/** A number in a graph, E405 where f32 cannot hold it; with axes, the same at every index. */
export function literal(scope: Scope, value: number, origin: Span, axes: readonly Axis[] = []): number | undefined {
  if (isHeld(value)) return scope.builder.add({ kind: 'literal', value }, origin, number(axes, 'static'));
  const none = Number.isNaN(value) || !Number.isFinite(value);
  return report(scope, diagnostic('E405', none ? 'this is no number' : 'a number that f32 cannot hold', origin,
    none ? String(value).replace('Infinity', 'inf') : 'too large', {
    help: ['check the numbers: nothing that is computed with this is finite'],
  }));
}

/** A literal without the check, for constants of the compiler's own. */
export function plain(scope: Scope, value: number, origin: Span): number {
  return scope.builder.add({ kind: 'literal', value }, origin, number([], 'static'));
}

/** A function of nodes. */
export function map(scope: Scope, fn: MathName | '%', args: readonly number[], origin: Span): number {
  return scope.builder.add({ kind: 'map', fn, args }, origin);
}

/** A function of values: a number if all are. */
export function mapValues(scope: Scope, fn: MathName | '%', args: readonly Written[], origin: Span): Found {
  const numbers = args.flatMap(({ value }) => (value.kind === 'number' ? [value.value] : []));
  if (numbers.length === args.length) return numberValue(apply(fn, numbers));
  const ids = args.map((arg) => numeric(scope, arg));
  const known = ids.filter((id) => id !== undefined);
  return known.length === args.length ? node(map(scope, fn, known, origin)) : undefined;
}

/** The value of a function of numbers. */
export function apply(fn: MathName | '%', [x, y]: readonly number[]): number {
  return fn === '%' ? x - y * Math.floor(x / y) : math[fn].f64(x, y ?? NaN);
}

/** The node of an expression that is a number per element. */
export function resolveNumeric(scope: Scope, expr: Expr): number | undefined {
  const value = scope.resolve(expr);
  return value && numeric(scope, { value, expr });
}

/** A number that is known when building; `what` is said of it where it is none. */
export function resolveNumber(scope: Scope, expr: Expr, what: string): number | undefined {
  const value = scope.resolve(expr);
  if (value === undefined || value.kind === 'number') return value?.value;
  return report(scope, diagnostic('E217', `${what} is known when building`, expr.origin,
    value.kind === 'node' ? 'this is known when tokens are' : whatIs(value), {
    help: ['it is made of numbers of the header, of numbers written down and of functions of them'],
  }));
}
