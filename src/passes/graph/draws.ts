import { diagnostic } from '../../diagnostics/diagnostic.js';
import { printExpr } from '../../ir/ast/print.js';
import type { Span } from '../../ir/common/span.js';
import type { LawNode } from '../../ir/graph/graph.js';
import type { Axis } from '../../ir/graph/types.js';
import { number } from '../../ir/graph/typing.js';
import { argumentsOf, noBrackets, type CallExpr } from './arguments.js';
import { bracketAxis, isNamed } from './axes.js';
import { isTraining, report, type Found, type Scope } from './scope.js';
import { node, resolveNumber, resolveNumeric } from './values.js';

/** `index[H, K]`, `index[time]`, `index[tokens]`. */
export function index(scope: Scope, call: CallExpr): Found {
  const indices = call.indices ?? [];
  if (indices.length === 0) return report(scope,
    diagnostic('E214', '`index` needs an axis', call.origin, 'nothing to count',
    { help: ['write `index[E]`, or `index[time]` for the place of the token'] }));
  if (argumentsOf(scope, call, [0]) === undefined) return undefined;
  const found = indices.map((own) => bracketAxis(scope, own, []));
  const axes: Axis[] = [];
  for (const [i, axis] of found.entries()) {
    if (axis === undefined) return undefined;
    if (isNamed(axis) && !axis.past) axes.push(axis);
    else if (!isNamed(axis) && found.length === 1 && (axis.silent === 'time' || axis.silent === 'tokens')) {
      return node(scope.builder.add({ kind: 'index', axes: [], over: axis.silent }, call.origin, number([], 'token')));
    } else {
      return report(scope, diagnostic('E206', `\`${printExpr(indices[i])}\` cannot be counted here`, indices[i].origin, 'not by `index`', {
        help: [isNamed(axis)
          ? 'the distance to a token that is seen is `p - p[past]` with `let p = index[time]`'
          : 'tokens are counted by `index[time]` and `index[tokens]`, one at a time'],
      }));
    }
  }
  return node(scope.builder.add({ kind: 'index', axes, over: undefined }, call.origin, number(axes, 'static')));
}

/** The axes in the brackets of a draw. */
function drawAxes(scope: Scope, call: CallExpr): readonly Axis[] | undefined {
  const axes: Axis[] = [];
  for (const own of call.indices ?? []) {
    const axis = bracketAxis(scope, own, []);
    if (axis === undefined) return undefined;
    if (!isNamed(axis) || axis.past) {
      return report(scope, diagnostic('E206', `\`${call.name.text}[${printExpr(own)}]\` names no axis of values`, own.origin,
        'tokens have draws of their own anyway', { help: [`write \`${call.name.text}()\``] }));
    }
    axes.push(axis);
  }
  return axes;
}

/** A draw in the law of a param: a node that no graph has, for the law to know by its number. */
function lawDraw(scope: Scope, call: CallExpr, law: LawNode): Found {
  if (call.indices !== undefined && !noBrackets(scope, call)) return undefined;
  const id = scope.builder.add({ kind: 'normal', draw: -1 }, call.origin, number([], 'static'));
  scope.lawDraws.set(id, law);
  return node(id);
}

export function normal(scope: Scope, call: CallExpr): Found {
  const args = argumentsOf(scope, call, [scope.inLaw ? 1 : 0]);
  if (args === undefined) return undefined;
  if (scope.inLaw) {
    const std = resolveNumber(scope, args.given[0], 'a standard deviation');
    return std === undefined ? undefined : lawDraw(scope, call, { kind: 'normal', std });
  }
  const axes = drawAxes(scope, call);
  return axes && node(scope.builder.add({ kind: 'normal', draw: scope.draws++ }, call.origin, number(axes, 'token')));
}

export function uniform(scope: Scope, call: CallExpr): Found {
  const args = argumentsOf(scope, call, [0, 2]);
  if (args === undefined) return undefined;
  const ends = args.given.map((own) => resolveNumber(scope, own, 'the end of a range'));
  const [lo, hi] = ends.length === 0 ? [0, 1] : ends;
  if (lo === undefined || hi === undefined) return undefined;
  if (lo >= hi) return report(scope, diagnostic('E213', 'the range of `uniform` is empty', call.origin, `from ${lo} to ${hi}`,
    { help: ['the smaller end comes first: `uniform(-1, 1)`'] }));
  if (scope.inLaw) return lawDraw(scope, call, { kind: 'uniform', lo, hi });
  const axes = drawAxes(scope, call);
  return axes && node(scope.builder.add({ kind: 'uniform', draw: scope.draws++, lo, hi }, call.origin, number(axes, 'token')));
}

export function orthogonal(scope: Scope, call: CallExpr): Found {
  if (!scope.inLaw) return report(scope, onlyInLaws(call.origin));
  const args = argumentsOf(scope, call, [1]);
  const gain = args && resolveNumber(scope, args.given[0], 'a gain');
  return gain === undefined ? undefined : lawDraw(scope, call, { kind: 'orthogonal', gain });
}

function onlyInLaws(origin: Span) {
  return diagnostic('E212', '`orthogonal` is a law of params', origin, 'not a value',
    { help: ['write it behind a param: `param w: [D, F] = orthogonal(1)`'] });
}

/** Nothing outside training. */
export function dropout(scope: Scope, call: CallExpr): Found {
  if (!noBrackets(scope, call)) return undefined;
  const args = argumentsOf(scope, call, [2]);
  if (args === undefined) return undefined;
  const arg = resolveNumeric(scope, args.given[0]);
  const rate = resolveNumber(scope, args.given[1], 'a probability');
  if (arg === undefined || rate === undefined) return undefined;
  if (!(rate >= 0 && rate < 1)) {
    return report(scope, diagnostic('E213', '`dropout` takes a probability from 0 to below 1', args.given[1].origin, String(rate),
      { help: ['write `dropout(x, 0.1)`'] }));
  }
  const drops = rate > 0 && isTraining(scope);
  return node(drops ? scope.builder.add({ kind: 'dropout', draw: scope.draws++, arg, rate }, call.origin) : arg);
}
