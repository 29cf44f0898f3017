import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import { didYouMean, suggest } from '../../diagnostics/suggest.js';
import type { Axes, CallExpr, Expr, Ident } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import { includesAll, type Axis } from '../../ir/common/axes.js';
import type { Span } from '../../ir/common/span.js';
import { checkAxis, checkDistinct } from './declare.js';
import { refusedName } from './foreign.js';
import { FUNCTIONS, isReduction, isRowwise, isUnary, type Reduction, type Rowwise } from './names.js';
import { axesLabel, report, shape, type Node, type Scope } from './scope.js';

/** Inside the root of `l2norm`, as the kernels of the field have it. */
const L2_EPSILON = 1e-6;
/** Beside the mean square of `rmsnorm`. */
const RMS_EPSILON = 1e-5;

export function resolveCall(scope: Scope, call: CallExpr): Node {
  const name = call.name.text;
  if (scope.bindings.has(name) || scope.axes.has(name)) return report(scope, notCallable(call));
  if (isReduction(name)) {
    const pair = name === 'min' || name === 'max';
    if (call.indices === undefined && pair && call.args.length > 1) return entrywise(scope, call, name, 2);
    return reduction(scope, call, name);
  }
  if (isRowwise(name)) return rowwise(scope, call, name);
  if (isUnary(name)) {
    const [x] = resolveArguments(scope, call, 1) ?? [];
    return x === undefined ? undefined : scope.builder.map(name, [x], call.origin);
  }
  if (name === 'clamp') return entrywise(scope, call, name, 3);
  if (name === 'outer') return outer(scope, call);
  return report(scope, unknownFunction(call.name));
}

function notCallable({ name, args, origin }: CallExpr): Diagnostic {
  const product = args.length === 1 ? [`for a product write \`${name.text} * ${factor(args[0].value)}\``] : [];
  return diagnostic(
    'E212', `\`${name.text}\` is not a function`, origin, 'called like one',
    { help: product.length > 0 ? product : [`the functions are ${FUNCTIONS.join(', ')}`] },
  );
}

function unknownFunction({ text, origin }: Ident): Diagnostic {
  const nearest = suggest(text, FUNCTIONS);
  const help = OTHER_NAMES.get(text) ?? didYouMean(text, FUNCTIONS)[0];
  return diagnostic('E212', `unknown function \`${text}\``, origin, 'not a function of the language', {
    help: [help ?? `the functions are ${FUNCTIONS.join(', ')}`],
    ...(
      nearest === undefined
      || OTHER_NAMES.has(text) ? {} : { fix: { title: `write \`${nearest}\``, edits: [{ span: origin, text: nearest }] } }
    ),
  });
}

/** Names from other languages. */
export const OTHER_NAMES: ReadonlyMap<string, string> = new Map([
  ['rsqrt', 'write `1 / sqrt(x)`'], ['pow', 'write `x^y`'], ['square', 'write `x^2`'], ['dot', 'write `a @ b`'],
  ['matmul', 'write `a @ b`'], ['einsum', 'write `a @ b`, or `sum[K](a * b)`'],
  ['norm', 'write `l2norm(x)`, or `sqrt(sum[K](x^2))` for the length'], ['normalize', 'write `l2norm(x)`'], [
    'logsigmoid', 'write `log_sigmoid(x)`',
  ], ['swish', 'write `silu(x)`'],
  ['diag', 'no diagonal matrices are needed: `a * S` with `a: [K]` scales the rows'], [
    'transpose', 'there are no transposes: `@` contracts the shared axis by its name',
  ],
  ['logsumexp', 'write `max[M](x)` and `log(sum[M](exp(x - max[M](x))))`'],
]);

/** The arguments if there are `count` of them and no axes in brackets. */
function resolveArguments(scope: Scope, call: CallExpr, count: number): readonly number[] | undefined {
  const name = call.name.text;
  if (call.brackets !== undefined) {
    return report(scope, diagnostic(
      'E213', `\`${name}\` takes no axis`, call.brackets, 'only reductions and functions along an axis have one',
      { help: [`write \`${name}(${argumentsText(call)})\``] },
    ));
  }
  return countProblem(scope, call, count) ? undefined : values(scope, call.args.map(({ value }) => value));
}

function countProblem(scope: Scope, call: CallExpr, count: number): boolean {
  if (call.args.some(({ name }) => name !== undefined)) return refusedName(scope, call);
  if (call.args.length === count) return false;
  const name = call.name.text;
  const plural = (n: number): string => (n === 1 ? '1 argument' : `${n} arguments`);
  report(scope, diagnostic(
    'E213', `\`${name}\` takes ${plural(count)}`, call.origin, `${call.args.length} given`,
    { help: [`write \`${USAGE.get(name) ?? `${name}(x)`}\``] },
  ));
  return true;
}

const USAGE: ReadonlyMap<string, string> = new Map([
  ['clamp', 'clamp(x, low, high)'], ['outer', 'outer(a, b)'], ['min', 'min(a, b)'], ['max', 'max(a, b)'], ['sum', 'sum[K](x)'],
  ['mean', 'mean[K](x)'], ['softmax', 'softmax[K](x)'],
]);

/** All values, or nothing if one of them has an error. */
function values(scope: Scope, args: readonly Expr[]): readonly number[] | undefined {
  const found: number[] = [];
  for (const arg of args) {
    const value = scope.resolve(arg);
    if (value === undefined) return undefined;
    found.push(value);
  }
  return found;
}

/** `min`, `max` and `clamp`: their arguments line up as those of an operator. */
function entrywise(scope: Scope, call: CallExpr, name: 'min' | 'max' | 'clamp', count: number): Node {
  const args = resolveArguments(scope, call, count);
  if (args === undefined) return undefined;
  const b = scope.builder;
  const axes = args.map((arg) => b.axesOf(arg));
  const widest = axes.reduce((best, own) => (own.length > best.length ? own : best));
  const odd = axes.findIndex((own) => !includesAll(widest, own));
  if (odd >= 0) {
    return report(scope, diagnostic('E202', `the axes of \`${name}\` do not line up`, call.args[odd].value.origin, axesLabel(axes[odd]), {
      secondary: [{ span: call.args[axes.indexOf(widest)].value.origin, text: axesLabel(widest) }],
      help: [`\`${name}\` needs the axes of one argument to include those of the others`],
    }));
  }
  const [x, y, z] = args;
  return name === 'clamp' ? b.map('min', [b.map('max', [x, y], call.origin), z], call.origin) : b.map(name, [x, y], call.origin);
}

function outer(scope: Scope, call: CallExpr): Node {
  const args = resolveArguments(scope, call, 2);
  if (args === undefined) return undefined;
  const b = scope.builder;
  const [x, y] = args.map((arg) => b.axesOf(arg));
  const shared = x.filter((axis) => y.includes(axis));
  if (shared.length === 0) return b.map('mul', args, call.origin);
  const [l, r] = call.args.map(({ value }) => factor(value));
  const [left] = call.args;
  return report(scope, diagnostic('E204', `both arguments of \`outer\` have axis \`${shared[0]}\``, left.value.origin, axesLabel(x), {
    secondary: [{ span: call.args[1].value.origin, text: axesLabel(y) }],
    help: [
      `for the entry-by-entry product write \`${l} * ${r}\``,
      ...(shared.length === 1 ? [`to contract \`${shared[0]}\` write \`${l} @ ${r}\``] : []),
    ],
    note: ['no shape names an axis twice: `(I - k k^T) S` is `S - outer(k, k @ S)`'],
  }));
}

/** The names in brackets; E206 at what is none. */
function axesIn(scope: Scope, indices: readonly Expr[], origin: Span): Axes | undefined {
  const names: Ident[] = [];
  for (const index of indices) {
    if (index.kind !== 'name') {
      return report(scope, diagnostic(
        'E206', `\`${printExpr(index)}\` is no axis`, index.origin, 'an axis is a name',
        { help: [`the axes of this scan are ${[...scope.axes.keys()].join(', ')}`] },
      ));
    }
    names.push(index.name);
  }
  return { names, origin };
}

function argumentsText({ args }: CallExpr): string {
  return args.map(({ value }) => printExpr(value)).join(', ');
}

/** As a side of a product. */
function factor(expr: Expr): string {
  return expr.kind === 'binary' ? `(${printExpr(expr)})` : printExpr(expr);
}

/** The axes in brackets, each of which the value has; nothing after an error. */
function axesAlong(scope: Scope, call: CallExpr, value: number): readonly Axis[] | undefined {
  const name = call.name.text;
  const has = scope.builder.axesOf(value);
  const axes = call.indices && axesIn(scope, call.indices, call.origin);
  if (call.indices !== undefined && axes === undefined) return undefined;
  if (axes === undefined || axes.names.length === 0) {
    if (isRowwise(name) && name !== 'softmax' && axes === undefined && has.length === 1) return has;
    const arg = argumentsText(call);
    const choices = has.map((axis) => `\`${name}[${axis}](${arg})\``);
    return report(scope, diagnostic('E214', `\`${name}\` needs an axis`, call.args[0].value.origin, axesLabel(has), {
      help: [choices.length === 0 ? 'a scalar has no axis to fold' : `write ${choices.join(' or ')}`],
    }));
  }
  const before = scope.diagnostics.length;
  checkDistinct(axes, (d) => report(scope, d));
  for (const axis of axes.names) {
    if (scope.diagnostics.length > before || !checkAxis(axis, scope.axes.keys(), (d) => report(scope, d))) return undefined;
    if (!has.includes(axis.text)) {
      const what = `the argument of \`${name}${shape([axis.text])}\` has no axis \`${axis.text}\``;
      return report(scope, diagnostic('E206', what, axis.origin, `\`${axis.text}\` is not among them`, {
        secondary: [{ span: call.args[0].value.origin, text: axesLabel(has) }],
        help: [has.length === 0 ? 'a scalar has no axis to fold' : `fold one of ${has.map((own) => `\`${own}\``).join(', ')}`],
      }));
    }
  }
  return axes.names.map((axis) => axis.text);
}

/** The one argument of a function along axes, and those axes. */
function along(scope: Scope, call: CallExpr): { readonly x: number; readonly axes: readonly Axis[] } | undefined {
  if (countProblem(scope, call, 1)) return undefined;
  const x = scope.resolve(call.args[0].value);
  if (x === undefined) return undefined;
  const axes = axesAlong(scope, call, x);
  return axes === undefined ? undefined : { x, axes };
}

function reduction(scope: Scope, call: CallExpr, name: Reduction): Node {
  const found = along(scope, call);
  if (found === undefined) return undefined;
  const { x, axes } = found;
  switch (name) {
    case 'sum': case 'max': case 'min': return fold(scope, name, axes, x, call.origin);
    case 'mean': return mean(scope, axes, x, call.origin);
  }
}

function fold(scope: Scope, op: 'sum' | 'max' | 'min', axes: readonly Axis[], x: number, origin: Span): number {
  return axes.reduce((value, axis) => scope.builder.reduce(op, axis, value, origin), x);
}

function mean(scope: Scope, axes: readonly Axis[], x: number, origin: Span): number {
  const b = scope.builder;
  const count = axes.map((axis) => b.size(axis, origin)).reduce((product, size) => b.map('mul', [product, size], origin));
  return b.map('div', [fold(scope, 'sum', axes, x, origin), count], origin);
}

function rowwise(scope: Scope, call: CallExpr, name: Rowwise): Node {
  const found = along(scope, call);
  if (found === undefined) return undefined;
  const { x, axes } = found;
  const { origin } = call;
  const b = scope.builder;
  switch (name) {
    case 'softmax': {
      const shifted = b.map('sub', [x, fold(scope, 'max', axes, x, origin)], origin);
      const weights = b.map('exp', [shifted], origin);
      return b.map('div', [weights, fold(scope, 'sum', axes, weights, origin)], origin);
    }
    case 'l2norm': {
      const square = fold(scope, 'sum', axes, b.map('mul', [x, x], origin), origin);
      return b.map('div', [x, b.map('sqrt', [b.map('add', [square, b.literal(L2_EPSILON, origin)], origin)], origin)], origin);
    }
    case 'rmsnorm': {
      const square = mean(scope, axes, b.map('mul', [x, x], origin), origin);
      return b.map('div', [x, b.map('sqrt', [b.map('add', [square, b.literal(RMS_EPSILON, origin)], origin)], origin)], origin);
    }
  }
}
