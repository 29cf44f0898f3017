import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import type { BinaryOperator, Expr } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import type { MathName } from '../../ir/common/dag.js';
import type { Comparison } from '../../ir/graph/graph.js';
import type { Axis } from '../../ir/graph/types.js';
import { includes, union } from '../../ir/graph/typing.js';
import { bracketAxis, isNamed } from './axes.js';
import { resolveIndex } from './bracket.js';
import { resolveCall } from './call.js';
import { resolveName } from './name.js';
import { axesLabel, bare, report, shape, type Found, type Scope, type Value } from './scope.js';
import { choiceOf, map, mapValues, node, numberValue, numeric, typeOf, whatIs, type Written } from './values.js';

type BinaryExpr = Expr & { readonly kind: 'binary' };

/** Whole exponents up to this one are written out as products: exact for negative bases. */
const LARGEST_POWER = 8;

/** What an expression stands for. Reports one error at most; its users are then silent. */
export function resolve(scope: Scope, expr: Expr): Found {
  switch (expr.kind) {
    case 'number': return numberValue(expr.value);
    case 'text': return { kind: 'text', text: expr.text };
    case 'name': return resolveName(scope, expr.name);
    case 'index': return resolveIndex(scope, expr);
    case 'call': return resolveCall(scope, expr);
    case 'group': return resolve(scope, expr.inner);
    case 'negate': {
      const value = resolve(scope, expr.arg);
      return value && mapValues(scope, 'neg', [{ value, expr: expr.arg }], expr.origin);
    }
    case 'not': {
      const value = resolve(scope, expr.arg);
      if (value === undefined) return undefined;
      if (value.kind === 'number') return numberValue(value.value === 0 ? 1 : 0);
      const choice = choiceOf(scope, { value, expr: expr.arg });
      return choice === undefined ? undefined : node(scope.builder.add({ kind: 'logic', op: 'not', args: [choice] }, expr.origin));
    }
    case 'binary': return resolveBinary(scope, expr);
  }
}

const OPERATORS = { '+': 'add', '-': 'sub', '*': 'mul', '/': 'div' } as const satisfies Readonly<Partial<Record<BinaryOperator, MathName>>>;

function resolveBinary(scope: Scope, expr: BinaryExpr): Found {
  const [a, b] = [resolve(scope, expr.left), resolve(scope, expr.right)];
  if (a === undefined || b === undefined) return undefined;
  const [left, right] = [{ value: a, expr: expr.left }, { value: b, expr: expr.right }];
  switch (expr.op) {
    case '@': return contract(scope, expr, left, right);
    case 'and': case 'or': return logic(scope, expr, expr.op, left, right);
    case '<': case '<=': case '>': case '>=': case '==': case '!=': return compare(scope, expr, expr.op, left, right);
    case '+': case '-': case '*': case '/': return aligned(scope, expr, left, right)
      ? mapValues(scope, OPERATORS[expr.op], [left, right], expr.origin) : undefined;
    case '%': return aligned(scope, expr, left, right) ? mapValues(scope, '%', [left, right], expr.origin) : undefined;
    case '^': return aligned(scope, expr, left, right) ? power(scope, left, right, expr) : undefined;
  }
}

function axesOf(scope: Scope, value: Value): readonly Axis[] {
  return value.kind === 'node' ? typeOf(scope, value.id).axes : [];
}

/** E202 unless one side's axes include the other's. */
function aligned(scope: Scope, expr: BinaryExpr, left: Written, right: Written): boolean {
  const problem = misaligned(axesOf(scope, left.value), axesOf(scope, right.value), expr);
  if (problem !== undefined) report(scope, problem);
  return problem === undefined;
}

function misaligned(left: readonly Axis[], right: readonly Axis[], expr: BinaryExpr): Diagnostic | undefined {
  const all = (some: readonly Axis[], of: readonly Axis[]): boolean => some.every((axis) => includes(of, axis));
  if (all(left, right) || all(right, left)) return undefined;
  const disjoint = !left.some((axis) => includes(right, axis));
  const outer = `outer(${printExpr(bare(expr.left))}, ${printExpr(bare(expr.right))})`;
  const product = expr.op === '*' && disjoint;
  return diagnostic('E202', `the axes of \`${expr.op}\` do not line up`, expr.left.origin, axesLabel(left), {
    secondary: [{ span: expr.right.origin, text: axesLabel(right) }],
    help: [`\`${expr.op}\` needs one side's axes to include the other's`, ...(product ? [`for the outer product write \`${outer}\``] : [])],
    ...(product ? { fix: { title: `write \`${outer}\``, edits: [{ span: expr.origin, text: outer }] } } : {}),
  });
}

/** x^n as products for small whole n, the root for a half; numbers as they are. */
function power(scope: Scope, base: Written, exponent: Written, expr: BinaryExpr): Found {
  if (exponent.value.kind !== 'number' || base.value.kind === 'number') return mapValues(scope, 'pow', [base, exponent], expr.origin);
  const x = numeric(scope, base);
  if (x === undefined) return undefined;
  const { origin } = expr;
  const positive = (m: number): number | undefined => {
    if (m === 0.5) return map(scope, 'sqrt', [x], origin);
    if (!Number.isInteger(m) || m < 1 || m > LARGEST_POWER) return undefined;
    if (m === 1) return x;
    const half = positive(Math.floor(m / 2));
    if (half === undefined) return undefined;
    const square = map(scope, 'mul', [half, half], origin);
    return m % 2 === 0 ? square : map(scope, 'mul', [square, x], origin);
  };
  const n = exponent.value.value;
  const made = positive(Math.abs(n));
  if (made === undefined) return mapValues(scope, 'pow', [base, exponent], origin);
  return n > 0 ? node(made) : mapValues(scope, 'div', [{ value: numberValue(1), expr }, { value: node(made), expr }], origin);
}

function contract(scope: Scope, expr: BinaryExpr, left: Written, right: Written): Found {
  const [a, b] = [numeric(scope, left), numeric(scope, right)];
  if (a === undefined || b === undefined) return undefined;
  const [x, y] = [typeOf(scope, a).axes, typeOf(scope, b).axes];
  const shared = x.filter((axis) => includes(y, axis));
  if (expr.axes === undefined) {
    if (shared.length !== 1) return report(scope, ambiguous(expr, x, y, shared));
    return node(scope.builder.add({ kind: 'contract', left: a, right: b, axes: shared }, expr.origin));
  }
  const axes: Axis[] = [];
  for (const ident of expr.axes.names) {
    const found = bracketAxis(scope, { kind: 'name', name: ident, origin: ident.origin }, union(x, y));
    if (found === undefined) return undefined;
    if (!isNamed(found) || !includes(x, found) || !includes(y, found)) {
      return report(scope, diagnostic('E203', `\`@[${ident.text}]\` sums over an axis that one side lacks`, ident.origin,
        'both sides must have it', {
        secondary: [{ span: expr.left.origin, text: axesLabel(x) }, { span: expr.right.origin, text: axesLabel(y) }],
        help: shared.length === 0 ? ['they share no axis', ...tighter(expr)]
          : [`they share ${shared.map((axis) => `\`${axis.name}\``).join(', ')}: write \`@${shape(shared)}\``],
      }));
    }
    if (!includes(axes, found)) axes.push(found);
  }
  if (axes.length === 0) {
    return report(scope, diagnostic('E203', '`@[]` names no axis', expr.axes.origin, 'nothing to sum over',
      { help: [`write \`${printExpr(expr.left)} * ${printExpr(expr.right)}\``] }));
  }
  return node(scope.builder.add({ kind: 'contract', left: a, right: b, axes }, expr.origin));
}

/** `x / 2 @ w` divides by `2 @ w`. */
function tighter(expr: BinaryExpr): readonly string[] {
  const right = printExpr(expr.right);
  if (expr.left.kind !== 'number') return [];
  return [`\`@\` goes before \`*\` and \`/\`: write \`(...) @ ${right}\` if all before it is meant`];
}

function ambiguous(expr: BinaryExpr, x: readonly Axis[], y: readonly Axis[], shared: readonly Axis[]): Diagnostic {
  const [l, r] = [printExpr(bare(expr.left)), printExpr(bare(expr.right))];
  const [left, right] = [printExpr(expr.left), printExpr(expr.right)];
  const scalar = x.length === 0 || y.length === 0;
  const several = shared.length > 1;
  const help = several ? shared.map((axis) => `\`${left} @[${axis.name}] ${right}\``).concat(`\`${left} @${shape(shared)} ${right}\``)
    : [`\`${scalar ? `${left} * ${right}` : `outer(${l}, ${r})`}\``];
  const why = several ? 'say which one is summed over' : scalar ? 'for the product with a scalar' : 'for the outer product';
  return diagnostic('E203', several ? `\`@\` finds ${shared.length} shared axes` : '`@` finds no shared axis', expr.left.origin,
    axesLabel(x), {
    secondary: [{ span: expr.right.origin, text: axesLabel(y) }],
    help: ['`@` contracts the one axis that both sides have', `${why}: write ${help.join(' or ')}`, ...tighter(expr)],
  });
}

function logic(scope: Scope, expr: BinaryExpr, op: 'and' | 'or', left: Written, right: Written): Found {
  if (left.value.kind === 'number' && right.value.kind === 'number') {
    const [x, y] = [left.value.value !== 0, right.value.value !== 0];
    return numberValue((op === 'and' ? x && y : x || y) ? 1 : 0);
  }
  const [a, b] = [choiceOf(scope, left), choiceOf(scope, right)];
  if (a === undefined || b === undefined || !aligned(scope, expr, left, right)) return undefined;
  return node(scope.builder.add({ kind: 'logic', op, args: [a, b] }, expr.origin));
}

const MEETS: Readonly<Record<Comparison, (x: number, y: number) => boolean>> = {
  '<': (x, y) => x < y, '<=': (x, y) => x <= y, '>': (x, y) => x > y, '>=': (x, y) => x >= y, '==': (x, y) => x === y,
    '!=': (x, y) => x !== y,
};

function compare(scope: Scope, expr: BinaryExpr, op: Comparison, left: Written, right: Written): Found {
  const [x, y] = [left.value, right.value];
  if (x.kind === 'number' && y.kind === 'number') return numberValue(MEETS[op](x.value, y.value) ? 1 : 0);
  const equality = op === '==' || op === '!=';
  if (equality && x.kind === 'text' && y.kind === 'text') return numberValue((x.text === y.text) === (op === '==') ? 1 : 0);
  if (equality && x.kind === 'part' && y.kind === 'part') return numberValue((x.part === y.part) === (op === '==') ? 1 : 0);
  if (x.kind !== 'node' && y.kind !== 'node') {
    return report(scope, diagnostic('E816', `${whatIs(x)} and ${whatIs(y)} cannot be compared by \`${op}\``, expr.origin,
      'numbers with numbers, texts with texts', {
      help: ['texts are compared by `==` and `!=`, numbers by these and `<`, `<=`, `>`, `>=`'],
    }));
  }
  const [a, b] = [numeric(scope, left), numeric(scope, right)];
  if (a === undefined || b === undefined || !aligned(scope, expr, left, right)) return undefined;
  return node(scope.builder.add({ kind: 'compare', op, left: a, right: b }, expr.origin));
}
