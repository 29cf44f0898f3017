import { diagnostic } from '../../diagnostics/diagnostic.js';
import { printExpr } from '../../ir/ast/print.js';
import type { Axis } from '../../ir/graph/types.js';
import { includes, without } from '../../ir/graph/typing.js';
import { along, argumentsOf, type CallExpr } from './arguments.js';
import { bracketAxis, isNamed } from './axes.js';
import { looksBack, shifted } from './back.js';
import { axesLabel, list, report, type Found, type Scope } from './scope.js';
import { node, resolveNumeric, typeOf } from './values.js';

/** The one axis in brackets. */
function oneAxis(scope: Scope, call: CallExpr, among: readonly Axis[]): Axis | undefined {
  const { name, indices } = call;
  if (indices?.length !== 1) {
    return report(scope, diagnostic('E214', `\`${name.text}\` needs one axis`, call.brackets ?? call.origin,
      indices === undefined ? 'no brackets' : `${indices.length} given`, {
      help: [name.text === 'conv'
        ? 'write the axis of its taps: `conv[T](x, w)`' : 'write the axis that turns: `rope[K](x, f, pairs: halves)`'],
    }));
  }
  const found = bracketAxis(scope, indices[0], among);
  if (found === undefined) return undefined;
  if (isNamed(found) && !found.past) return found;
  return report(scope, diagnostic('E206', `\`${printExpr(indices[0])}\` is no axis of the argument`, indices[0].origin, axesLabel(among),
    { help: ['name one of them'] }));
}

/** `conv[T](x, w)`: the last T tokens, weighed. */
export function conv(scope: Scope, call: CallExpr): Found {
  const args = argumentsOf(scope, call, [2]);
  if (args === undefined) return undefined;
  const [arg, weight] = args.given.map((expr) => resolveNumeric(scope, expr));
  if (arg === undefined || weight === undefined) return undefined;
  const [x, w] = [typeOf(scope, arg).axes, typeOf(scope, weight).axes];
  const taps = oneAxis(scope, call, w);
  if (taps === undefined || looksBack(scope, call.origin, '`conv`') === undefined) return undefined;
  if (shifted(scope, x, args.given[0].origin, '`conv`') === undefined) return undefined;
  if (!includes(w, taps)) {
    return report(scope, diagnostic('E206', `the weight of \`conv\` has no axis \`${taps.name}\``, args.given[1].origin, axesLabel(w),
      { help: [`declare it with its taps: \`param w: [${[taps, ...x].map((axis) => axis.name).join(', ')}]\``] }));
  }
  const odd = without(w, [taps, ...x]);
  if (odd.length === 0 && !includes(x, taps)) return node(scope.builder.add({ kind: 'conv', arg, weight, taps }, call.origin));
  const what = odd.length > 0 ? `the weight has ${list(odd)}, which the value lacks` : `the value has \`${taps.name}\` itself`;
  return report(scope, diagnostic('E202', 'the axes of `conv` do not line up', args.given[0].origin, axesLabel(x), {
    secondary: [{ span: args.given[1].origin, text: axesLabel(w) }],
    help: [`${what}: a weight has the taps and axes of the value`],
  }));
}

/** `rope[K](x, f, pairs: halves)`. */
export function rope(scope: Scope, call: CallExpr): Found {
  const args = argumentsOf(scope, call, [2], ['pairs']);
  if (args === undefined) return undefined;
  const [arg, frequency] = args.given.map((expr) => resolveNumeric(scope, expr));
  if (arg === undefined || frequency === undefined) return undefined;
  const [has, turns] = [typeOf(scope, arg).axes, typeOf(scope, frequency)];
  const axis = oneAxis(scope, call, has);
  if (axis === undefined || along(scope, call, call.indices ?? [], args.given[0], has, false) === undefined) return undefined;
  const written = args.named.get('pairs');
  const pairs = written?.kind === 'name' ? written.name.text : undefined;
  if (pairs !== 'halves' && pairs !== 'adjacent') {
    return report(scope, diagnostic('E213', '`rope` needs `pairs:`', written?.origin ?? call.origin, 'which entries turn together', {
      help: ['write `pairs: halves` for (i, i + I), `pairs: adjacent` for (2i, 2i + 1)'],
    }));
  }
  const [turn] = turns.axes;
  if (turns.axes.length !== 1 || turns.restricted.length > 0) {
    return report(scope, diagnostic('E808', 'frequencies have one axis', args.given[1].origin, axesLabel(turns.axes),
      { help: ['one frequency per pair: `const f = theta^(-index[I] / I)`'] }));
  }
  if (2 * turn.size > axis.size) {
    return report(scope, diagnostic('E808', `\`rope\` turns ${turn.size} pairs of an axis of ${axis.size}`, args.given[1].origin,
      `axis \`${turn.name}\` has ${turn.size}`, {
      secondary: [{ span: args.given[0].origin, text: `axis \`${axis.name}\` has ${axis.size}` }],
      help: [`\`${turn.name}\` is at most half of \`${axis.name}\`: ${Math.floor(axis.size / 2)}`],
    }));
  }
  return node(scope.builder.add({ kind: 'rope', arg, axis, frequency, turn, pairs }, call.origin));
}
