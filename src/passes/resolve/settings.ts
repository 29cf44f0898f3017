import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import type { Binding, Expr, Ident, PartItem } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import type { Axis } from '../../ir/common/axes.js';
import type { Span } from '../../ir/common/span.js';
import { constant } from './constant.js';

/** A number of the header that is no size: its formula, or what the caller gives. */
export interface Setting {
  readonly name: Ident;
  readonly value: Expr | number;
}

interface Settings {
  readonly sizes: ReadonlyMap<Axis, number>;
  readonly settings: readonly Setting[];
}

type Numbers = ReadonlyMap<string, number>;
type Report = (d: Diagnostic) => void;

const LARGEST_AXIS = 2 ** 20;

/** What `with` says: sizes of axes by default, and other numbers. Each may be a formula of those before it. */
export function resolveSettings({ bindings }: PartItem, axes: ReadonlyMap<Axis, Span>, given: Numbers, report: Report): Settings {
  const sizes = new Map<Axis, number>();
  const settings: Setting[] = [];
  const first = new Map<string, Span>();
  // An axis without a size may still stand in the formula of a number.
  const known = new Map<string, number>([...axes.keys()].map((axis) => [axis, NaN]));
  for (const binding of bindings) {
    const { text: name, origin } = binding.name;
    const before = first.get(name);
    if (before !== undefined) {
      const what = axes.has(name) ? `the size of \`${name}\`` : `\`${name}\``;
      const secondary = [{ span: before, text: 'first given here' }];
      report(diagnostic('E205', `${what} is given twice`, origin, 'given again here', { secondary, help: ['keep one of them'] }));
      continue;
    }
    first.set(name, origin);
    const value = given.get(name) ?? numberOf(binding, axes.has(name), known, report);
    if (value === undefined) continue;
    known.set(name, value);
    if (!axes.has(name)) settings.push({ name: binding.name, value: given.get(name) ?? binding.value ?? value });
    else if (isSize(value)) sizes.set(name, value);
    else report(noSize(binding, value));
  }
  return { sizes, settings };
}

function isSize(value: number): boolean {
  return Number.isInteger(value) && value > 0 && value <= LARGEST_AXIS;
}

function noSize({ name, value: formula }: Binding, value: number): Diagnostic {
  const written = formula === undefined || formula.kind !== 'number' ? String(value) : formula.text;
  const title = Number.isNaN(value) ? `the size of \`${name.text}\` depends on an axis without one` : `${written} is no size of an axis`;
  const help = ['a size is a whole number from 1, such as 64'];
  return diagnostic('E402', title, formula?.origin ?? name.origin, `the size of \`${name.text}\``, { help });
}

/** The number that the text gives; nothing where it gives none, which is then reported. */
function numberOf({ name, value }: Binding, isAxis: boolean, known: Numbers, report: Report): number | undefined {
  const what = isAxis ? `the size of \`${name.text}\`` : `the number \`${name.text}\``;
  if (value === undefined) {
    const help = [`write \`with ${name.text} = 64\``];
    report(diagnostic('E402', `\`${name.text}\` has no value`, name.origin, 'nothing is given', { help }));
    return undefined;
  }
  const found = constant(value, known);
  if (typeof found === 'number') return found;
  const text = value.kind === 'text' ? printExpr(value) : `\`${printExpr(value)}\``;
  const help = ['the header of a scan gives numbers, or formulas of numbers before them and of axes'];
  report(diagnostic('E402', `${text} is no number`, found, what, { help }));
  return undefined;
}
