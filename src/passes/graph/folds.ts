import { diagnostic } from '../../diagnostics/diagnostic.js';
import type { Expr } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import type { Span } from '../../ir/common/span.js';
import type { FoldOp } from '../../ir/graph/graph.js';
import type { Axis, Silent, ValueType } from '../../ir/graph/types.js';
import { includes } from '../../ir/graph/typing.js';
import { along, argumentsOf, needsAxis, type CallExpr } from './arguments.js';
import type { Norm } from './fixed.js';
import { axesLabel, report, type Found, type Scope } from './scope.js';
import { map, node, plain, resolveNumeric, typeOf } from './values.js';

/** Inside the root of `l2norm`, as the kernels of the field have it. */
const L2_EPSILON = 1e-6;
/** Beside the mean square of `rmsnorm`, and the variance of `layernorm`. */
const NORM_EPSILON = 1e-5;

export function fold(scope: Scope, call: CallExpr, op: FoldOp): Found {
  const args = argumentsOf(scope, call, [1]);
  const x = args && resolveNumeric(scope, args.given[0]);
  if (args === undefined || x === undefined) return undefined;
  const type = typeOf(scope, x);
  const { indices } = call;
  if (indices === undefined || (indices.length === 0 && op !== 'sum')) return needsAxis(scope, call, args.given[0], type.axes);
  if (indices.length === 0) return node(scope.builder.add({ kind: 'lift', arg: x }, call.origin));
  const found = along(scope, call, indices, args.given[0], type.axes, true);
  if (found === undefined || !levelsFold(scope, call, args.given[0], type, found.silent)) return undefined;
  return node(foldNode(scope, op, x, found.axes, wholeTokens(found.silent), call.origin));
}

/** `[batch, time]` are all tokens. */
export function wholeTokens(silent: readonly Silent[]): readonly Silent[] {
  if (!silent.includes('tokens') && !(silent.includes('time') && silent.includes('batch'))) return silent;
  return ['tokens', ...silent.filter((axis) => axis === 'ranks' || axis === 'calls')];
}

/** E214 where the silent axes that are left vary faster than those that are folded. */
function levelsFold(scope: Scope, call: CallExpr, arg: Expr, { level }: ValueType, silent: readonly Silent[]): boolean {
  const tokens = silent.includes('tokens') || (silent.includes('time') && silent.includes('batch'));
  if (tokens || silent.length === 0) return true;
  const [text, name] = [printExpr(arg), call.name.text];
  const wrong = (first: string, whole: string): false => {
    report(scope, diagnostic('E214', `\`${name}[${silent.join(', ')}]\` of what still depends on ${first}`, arg.origin,
      `a value per ${level}`, {
      help: [`fold ${first} first, \`${name}[${silent.join(', ')}](${name}[${first}](${text}))\`, `
        + `or together: \`${name}[${whole}](${text})\``],
    }));
    return false;
  };
  const others = silent.filter((axis) => axis !== 'time' && axis !== 'batch');
  if (silent.includes('batch') && level === 'token') return wrong('time', ['tokens', ...others].join(', '));
  if (others.length > 0 && !silent.includes('batch') && (level === 'token' || level === 'sequence')) return wrong('tokens',
    ['tokens', ...others].join(', '));
  return true;
}

/** A fold. The largest of nothing is absent: where nothing may be present, the result is restricted to where something is. */
export function foldNode(scope: Scope, op: FoldOp, arg: number, axes: readonly Axis[], silent: readonly Silent[], origin: Span): number {
  const b = scope.builder;
  const folded = b.add({ kind: 'fold', op, arg, axes, silent }, origin);
  if (op !== 'max' && op !== 'min' && op !== 'logsumexp') return folded;
  const { restricted } = b.typeOf(arg);
  const ended = silent.length > 0 ? restricted : restricted.filter((choice) => b.typeOf(choice).axes.some((axis) => includes(axes, axis)));
  if (ended.length === 0 || (ended.length === 1 && neverEmpty(scope, ended[0], axes, silent))) return folded;
  const all = ended.reduce((left, right) => b.add({ kind: 'logic', op: 'and', args: [left, right] }, origin));
  const mask = b.add({ kind: 'mask', choice: all }, origin);
  const here = b.typeOf(mask).axes.filter((axis) => includes(axes, axis));
  const most = b.add({ kind: 'fold', op: 'max', arg: mask, axes: here, silent }, origin);
  const some = b.add({ kind: 'compare', op: '>', left: most, right: plain(scope, 0, origin) }, origin);
  return b.add({ kind: 'restrict', arg: folded, choice: some }, origin);
}

/** A choice of at least one along axes that are folded, of values that are all present. */
function neverEmpty(scope: Scope, choice: number, axes: readonly Axis[], silent: readonly Silent[]): boolean {
  const top = scope.builder.nodes[choice];
  if (top.kind !== 'top' || scope.builder.typeOf(top.arg).restricted.length > 0) return false;
  const count = scope.builder.nodes[top.count];
  const covered = top.axes.every((axis) => includes(axes, axis))
    && top.silent.every((axis) => silent.includes(axis) || (axis === 'time' && silent.includes('tokens')));
  return covered && count.kind === 'literal' && count.value >= 1;
}

/** Norms are written out in folds and functions of entries; softmax is a node of its own. */
export function norm(scope: Scope, call: CallExpr, name: Norm): Found {
  const names = name === 'softmax' ? ['sink'] : name === 'log_softmax' ? [] : ['eps'];
  const args = argumentsOf(scope, call, [1], names);
  const x = args && resolveNumeric(scope, args.given[0]);
  if (args === undefined || x === undefined) return undefined;
  const type = typeOf(scope, x);
  const single = call.indices === undefined && type.axes.length === 1 && name !== 'softmax' && name !== 'log_softmax';
  if (!single && (call.indices === undefined || call.indices.length === 0)) return needsAxis(scope, call, args.given[0], type.axes);
  const found = single ? { axes: type.axes } : along(scope, call, call.indices ?? [], args.given[0], type.axes, false);
  if (found === undefined) return undefined;
  const { axes } = found;
  const { origin } = call;
  if (name === 'softmax') return softmax(scope, call, x, axes, args.named.get('sink'));
  if (name === 'log_softmax') return node(map(scope, 'sub', [x, foldNode(scope, 'logsumexp', x, axes, [], origin)], origin));
  const written = args.named.get('eps');
  const given = written === undefined ? undefined : scalar(scope, written);
  if (written !== undefined && given === undefined) return undefined;
  const eps = given ?? plain(scope, name === 'l2norm' ? L2_EPSILON : NORM_EPSILON, origin);
  const centred = name === 'layernorm' ? map(scope, 'sub', [x, foldNode(scope, 'mean', x, axes, [], origin)], origin) : x;
  const square = foldNode(scope, name === 'l2norm' ? 'sum' : 'mean', map(scope, 'mul', [centred, centred], origin), axes, [], origin);
  const root = map(scope, 'sqrt', [map(scope, 'add', [square, eps], origin)], origin);
  return node(map(scope, 'div', [centred, root], origin));
}

function scalar(scope: Scope, expr: Expr): number | undefined {
  const value = resolveNumeric(scope, expr);
  if (value === undefined || typeOf(scope, value).axes.length === 0) return value;
  return report(scope, diagnostic('E202', '`eps` is one number', expr.origin, axesLabel(typeOf(scope, value).axes),
    { help: ['write `eps: 1e-6`'] }));
}

function softmax(scope: Scope, call: CallExpr, arg: number, axes: readonly Axis[], written: Expr | undefined): Found {
  const sink = written === undefined ? undefined : resolveNumeric(scope, written);
  if (written !== undefined && sink === undefined) return undefined;
  if (written !== undefined && sink !== undefined) {
    const has = typeOf(scope, arg).axes;
    const odd = typeOf(scope, sink).axes.filter((axis) => !includes(has, axis) || includes(axes, axis));
    if (odd.length > 0) {
      return report(scope, diagnostic('E202', 'the axes of the sink do not line up', written.origin, axesLabel(typeOf(scope, sink).axes), {
        secondary: [{ span: call.args[0].value.origin, text: axesLabel(has) }],
        help: [`a sink has one value per row: of the axes of the argument, but ${axes.map((axis) => `\`${axis.name}\``).join(', ')}`],
      }));
    }
  }
  return node(scope.builder.add({ kind: 'softmax', arg, axes, sink }, call.origin));
}
