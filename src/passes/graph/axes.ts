import { diagnostic } from '../../diagnostics/diagnostic.js';
import { didYouMean } from '../../diagnostics/suggest.js';
import type { Axes, Expr, Ident } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import type { Span } from '../../ir/common/span.js';
import type { Axis, Silent } from '../../ir/graph/types.js';
import { checkDistinct } from '../resolve/declare.js';
import { isSilent, SILENT } from './fixed.js';
import { axesLabel, lookUp, rebind, report, reportName, visibleNames, type Scope } from './scope.js';

/** Largest size of an axis. */
const LARGEST = 2 ** 31;

export type BracketAxis = Axis | { readonly silent: Silent; readonly origin: Span };

export function isNamed(axis: BracketAxis): axis is Axis {
  return 'size' in axis;
}

export const PAST: Axis = { name: 'past', size: Infinity, past: true };

/** An axis of this part, with the size that all values in it have; E205 where it has another size already. */
export function claim(scope: Scope, axis: Axis, origin: Span): Axis | undefined {
  if (axis.past) return axis;
  const known = scope.axes.get(axis.name);
  if (known === undefined) scope.axes.set(axis.name, { size: axis.size, origin });
  if (known === undefined || known.size === axis.size) return axis;
  return report(scope, diagnostic('E205', `axis \`${axis.name}\` has two sizes`, origin, `${axis.size} here`, {
    secondary: [{ span: known.origin, text: `${known.size} here` }],
    help: [`values of one part that have an axis \`${axis.name}\` have the same number of it: give one of them another name, `
      + `with \`use ... with ${axis.name} = ${axis.name}2\` where it comes from a part`],
  }));
}

/** An axis by its name: a number of the header, or an axis that a value brought in. */
export function axisNamed(scope: Scope, { text, origin }: Ident): Axis | undefined {
  const binding = lookUp(scope, text);
  const value = binding !== undefined && 'value' in binding ? binding.value : undefined;
  if (value?.kind === 'past') return value.axis;
  if (value?.kind === 'number') {
    if (isSize(value.value)) return claim(scope, { name: text, size: value.value, past: false }, origin);
    // Said once.
    if (binding !== undefined && binding.kind !== 'instance' && binding.kind !== 'output') rebind(scope, { ...binding, value: undefined });
    return report(scope, diagnostic('E402', `${value.value} is no size of an axis`, origin, `\`${text}\` is ${value.value} here`, {
      secondary: binding === undefined ? [] : [{ span: binding.origin, text: 'from here' }],
      help: ['a size is a whole number from 1; `if` leaves out what an axis of size 0 would have'],
    }));
  }
  const known = scope.axes.get(text);
  if (known !== undefined) return { name: text, size: known.size, past: false };
  // A number whose value has an error was reported where it stands.
  if (binding !== undefined && value === undefined && binding.kind !== 'instance' && binding.kind !== 'output') return undefined;
  const names = axisNames(scope);
  return reportName(scope, text, () => diagnostic('E206', `there is no axis \`${text}\``, origin,
    binding === undefined ? 'not a number of the header' : `\`${text}\` is ${binding.kind === 'input' ? 'an input' : `a ${binding.kind}`}`,
    {
    help: [...didYouMean(text, names),
      `axes are numbers of the header: \`with ${text} = 64\`${names.length > 0 ? `; there are ${names.join(', ')}` : ''}`],
  }));
}

export function isSize(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= LARGEST;
}

function axisNames(scope: Scope): readonly string[] {
  const numbers = visibleNames(scope).filter((name) => {
    const binding = lookUp(scope, name);
    return binding?.kind === 'setting' && binding.value?.kind === 'number' && isSize(binding.value.value);
  });
  return [...new Set([...scope.axes.keys(), ...numbers])];
}

/** The axes of a declaration; undefined after an error. */
export function declaredAxes(scope: Scope, axes: Axes): readonly Axis[] | undefined {
  const before = scope.diagnostics.length;
  checkDistinct(axes, (d) => report(scope, d));
  const found = axes.names.map((name) => axisNamed(scope, name));
  const all = found.filter((axis) => axis !== undefined);
  return all.length === found.length && scope.diagnostics.length === before ? all : undefined;
}

/** What stands in the brackets of a function: an axis of its value, a silent one or a view of the past. */
export function bracketAxis(scope: Scope, expr: Expr, among: readonly Axis[]): BracketAxis | undefined {
  if (expr.kind === 'name') {
    const { text, origin } = expr.name;
    const own = among.find((axis) => axis.name === text && !axis.past);
    if (own !== undefined) return own;
    if (lookUp(scope, text) === undefined) {
      if (isSilent(text)) return { silent: text, origin };
      if (text === 'past') return PAST;
    }
    return axisNamed(scope, expr.name);
  }
  if (expr.kind === 'index' && expr.name.text === 'past') {
    const value = scope.resolve(expr);
    return value?.kind === 'past' ? value.axis : undefined;
  }
  return report(scope, diagnostic('E206', `\`${printExpr(expr)}\` is no axis`, expr.origin, 'axes have names', {
    help: among.length === 0 ? [`the silent axes are ${SILENT.join(', ')}`] : [`the value has ${axesLabel(among)}`],
  }));
}
