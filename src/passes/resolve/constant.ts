import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import type { Expr, RangeText } from '../../ir/ast/ast.js';
import { ANY, type Range } from '../../ir/common/range.js';
import type { Span } from '../../ir/common/span.js';
import { math } from '../../math/index.js';
import { isUnary } from './names.js';

const NONE: ReadonlyMap<string, number> = new Map();

/** `lo..hi` as numbers; ANY where an error was reported. */
export function resolveRange(text: RangeText | undefined, report: (d: Diagnostic) => void): Range {
  if (text === undefined) return ANY;
  const help = ['a range is two numbers, the smaller one first: `-inf..0`, `0..1`, `-5..0`'];
  const ends = [text.lo, text.hi].map((end) => constant(end));
  for (const end of ends) {
    if (typeof end === 'number') continue;
    report(diagnostic('E401', 'the end of a range is a number', end, 'not known before the scan runs', { help }));
    return ANY;
  }
  const [lo, hi] = ends;
  if (typeof lo !== 'number' || typeof hi !== 'number') return ANY;
  if (lo < hi) return { lo, hi };
  const title = Number.isNaN(lo) || Number.isNaN(hi)
    ? 'the end of this range is not a number'
    : lo === hi
    ? 'this range holds a single number'
    : 'the ends of this range are swapped';
  report(diagnostic('E401', title, text.origin, `from ${named(lo)} to ${named(hi)}`, { help }));
  return ANY;
}

function named(value: number): string {
  return String(value).replace('Infinity', 'inf');
}

/** The value of an expression of numbers, some of them by name, or the place of what is none. */
export function constant(expr: Expr, numbers: ReadonlyMap<string, number> = NONE): number | Span {
  switch (expr.kind) {
    case 'number': return expr.value;
    case 'name': return numbers.get(expr.name.text) ?? (expr.name.text === 'inf' ? Infinity : expr.origin);
    case 'group': return constant(expr.inner, numbers);
    case 'negate': {
      const value = constant(expr.arg, numbers);
      return typeof value === 'number' ? -value : value;
    }
    case 'binary': {
      const [x, y] = [constant(expr.left, numbers), constant(expr.right, numbers)];
      if (typeof x !== 'number') return x;
      if (typeof y !== 'number') return y;
      switch (expr.op) {
        case '+': return x + y;
        case '-': return x - y;
        case '*': return x * y;
        case '/': return x / y;
        case '^': return x ** y;
        case '@': case '%': case '<': case '<=': case '>': case '>=': case '==': case '!=': case 'and': case 'or': return expr.opOrigin;
      }
      return expr.op satisfies never;
    }
    case 'call': {
      const { text } = expr.name;
      if (!isUnary(text) || expr.indices !== undefined || expr.args.length !== 1) return expr.origin;
      const value = constant(expr.args[0].value, numbers);
      return typeof value === 'number' ? math[text].f64(value, NaN) : value;
    }
    case 'index': case 'text': case 'not': return expr.origin;
  }
}
