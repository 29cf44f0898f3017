import { diagnostic } from '../../diagnostics/diagnostic.js';
import type { Expr } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import type { Axis, Level, ValueType } from '../../ir/graph/types.js';
import { LEVELS } from '../../ir/graph/types.js';
import { includes, number } from '../../ir/graph/typing.js';
import { along, argumentsOf, noBrackets, pastFolded, type Along, type CallExpr } from './arguments.js';
import { bracketAxis, isNamed } from './axes.js';
import { axesLabel, report, type Found, type Scope } from './scope.js';
import { wholeTokens } from './folds.js';
import { choiceOf, node, numeric, resolveNumber, resolveNumeric, typeOf } from './values.js';

/** `top[A, n](s)`. */
export function top(scope: Scope, call: CallExpr): Found {
  const args = argumentsOf(scope, call, [1]);
  const s = args && resolveNumeric(scope, args.given[0]);
  if (args === undefined || s === undefined) return undefined;
  const type = typeOf(scope, s);
  const indices = call.indices ?? [];
  if (indices.length < 2) {
    return report(scope, diagnostic('E213', '`top` takes an axis and a count', call.origin,
      indices.length === 0 ? 'no brackets' : 'one of them is missing', {
      help: ['write `top[E, 8](s)`: the 8 largest of s along E'],
    }));
  }
  const found = along(scope, call, indices.slice(0, -1), args.given[0], type.axes, true);
  if (found === undefined) return undefined;
  if (found.silent.includes('calls')) {
    return report(scope, diagnostic('E805', '`calls` can be folded only', call.origin, 'chosen along the calls of a step',
      { help: ['choose among the `tokens` of this call, or those of all `ranks`'] }));
  }
  if (found.silent.length > 0 && type.level !== 'token') {
    return report(scope, diagnostic('E214', 'nothing to choose among', args.given[0].origin,
      `a value per ${type.level}, the same for all tokens`, {
      help: ['choose by a value that differs from token to token, such as `index[tokens]`'],
    }));
  }
  const last = indices[indices.length - 1];
  const count = countOf(scope, last, found, type, s);
  if (count === undefined) return undefined;
  return node(scope.builder.add({ kind: 'top', arg: s, axes: found.axes, silent: wholeTokens(found.silent), count }, call.origin));
}

function countOf(scope: Scope, expr: Expr, found: Along, type: ValueType, scores: number): number | undefined {
  const value = scope.resolve(expr);
  if (value === undefined) return undefined;
  const names = [...found.axes.map((axis) => axis.name), ...found.silent].join(', ');
  if (value.kind === 'number') {
    const most = found.silent.length > 0 ? { count: Infinity, why: '' } : present(scope, found.axes, scores);
    const wrong = !Number.isInteger(value.value) || value.value < 0 ? 'a count is a whole number from 0' : value.value > most.count
      ? most.why : undefined;
    if (wrong === undefined) return scope.builder.add({ kind: 'literal', value: value.value }, expr.origin, number([], 'static'));
    const title = value.value > most.count && Number.isInteger(value.value)
      ? `\`top\` takes ${value.value} of ${most.count} along ${names}` : `\`top\` takes ${value.value} along ${names}`;
    return report(scope, diagnostic('E803', title, expr.origin, wrong, {
      help: [value.value > most.count ? `choose at most ${most.count}` : 'round it: `ceil(...)` or `floor(...)`'],
    }));
  }
  const id = numeric(scope, { value, expr });
  if (id === undefined) return undefined;
  const own = typeOf(scope, id);
  const odd = own.axes.filter((axis) => !includes(type.axes, axis) || includes(found.axes, axis));
  if (odd.length > 0) {
    return report(scope, diagnostic('E803', `the count of \`top[${names}]\` does not fit`, expr.origin, axesLabel(own.axes), {
      secondary: [{ span: scope.builder.nodes[scores].origin, text: axesLabel(type.axes) }],
      help: [`a count has axes that are left when ${names} is chosen along, one number for each choice`],
    }));
  }
  const limit: Level = found.silent.includes('tokens') || found.silent.includes('ranks') || found.silent.includes('batch')
    ? 'call' : found.silent.includes('time') ? 'sequence' : 'token';
  if (LEVELS.indexOf(own.level) <= LEVELS.indexOf(limit) && own.level !== 'step') return id;
  return report(scope, diagnostic('E803', `the count of \`top[${names}]\` differs among what is chosen`, expr.origin,
    `a value per ${own.level}`, {
    help: [`fold it first: \`max[${found.silent.join(', ')}](${printExpr(expr)})\``],
  }));
}

/** How many are there to be chosen along axes, and why no more. */
function present(scope: Scope, axes: readonly Axis[], scores: number): { readonly count: number; readonly why: string } {
  const all = amount(axes);
  let least = { count: all, why: `there are ${all}` };
  for (const choice of typeOf(scope, scores).restricted) {
    const top = scope.builder.nodes[choice];
    if (top.kind !== 'top' || top.axes.length === 0 || top.silent.length > 0 || !top.axes.every((axis) => includes(axes, axis))) continue;
    const count = scope.builder.nodes[top.count];
    if (count.kind !== 'literal') continue;
    const left = count.value * (all / amount(top.axes));
    if (left < least.count) least = { count: left, why: `${left} of ${all} are left by another choice` };
  }
  return least;
}

/** Of the past there may be any number of tokens, or as many as a window has; where there are fewer, all are chosen. */
function amount(axes: readonly Axis[]): number {
  return axes.reduce((n, axis) => n * axis.size, 1);
}

/** `mask(c)`: 1 or 0. */
export function mask(scope: Scope, call: CallExpr): Found {
  if (!noBrackets(scope, call)) return undefined;
  const args = argumentsOf(scope, call, [1]);
  const value = args && scope.resolve(args.given[0]);
  if (args === undefined || value === undefined) return undefined;
  if (value.kind === 'number') return { kind: 'number', value: value.value === 0 ? 0 : 1 };
  const choice = choiceOf(scope, { value, expr: args.given[0] });
  return choice === undefined ? undefined : node(scope.builder.add({ kind: 'mask', choice }, call.origin));
}

/** `sinkhorn[tokens, E](z, tol: t)`. */
export function sinkhorn(scope: Scope, call: CallExpr): Found {
  const args = argumentsOf(scope, call, [1], ['tol']);
  const z = args && resolveNumeric(scope, args.given[0]);
  if (args === undefined || z === undefined) return undefined;
  const type = typeOf(scope, z);
  if (!pastFolded(scope, '`sinkhorn`', args.given[0], type.axes)) return undefined;
  const found = (call.indices ?? []).map((index) => bracketAxis(scope, index, type.axes));
  const [rows, axis] = found;
  const written = args.named.get('tol');
  const tokens = rows !== undefined && !isNamed(rows) && rows.silent === 'tokens';
  if (found.length !== 2 || !tokens || axis === undefined || !isNamed(axis) || !includes(type.axes, axis) || written === undefined) {
    if (found.some((own) => own === undefined)) return undefined;
    return report(scope, diagnostic('E213', '`sinkhorn` needs `tokens`, an axis of its argument and `tol:`', call.origin,
      axesLabel(type.axes), {
      help: [`write \`sinkhorn[tokens, ${type.axes[0]?.name ?? 'E'}](${printExpr(args.given[0])}, tol: 1e-4)\``],
    }));
  }
  const tolerance = resolveNumber(scope, written, 'a tolerance');
  if (tolerance === undefined) return undefined;
  if (tolerance > 0) return node(scope.builder.add({ kind: 'sinkhorn', arg: z, axis, tolerance }, call.origin));
  return report(scope, diagnostic('E213', 'a tolerance is a number above 0', written.origin, String(tolerance),
    { help: ['write `tol: 1e-4`'] }));
}
