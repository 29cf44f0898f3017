import { diagnostic } from '../../diagnostics/diagnostic.js';
import type { Expr } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import type { Axis, Silent } from '../../ir/graph/types.js';
import { includes, without } from '../../ir/graph/typing.js';
import { bracketAxis, isNamed } from './axes.js';
import { axesLabel, report, type Scope } from './scope.js';

export type CallExpr = Expr & { readonly kind: 'call' };

/** How functions are written, for messages. */
const USAGE: ReadonlyMap<string, string> = new Map([
  ['clamp', 'clamp(x, low, high)'], ['outer', 'outer(a, b)'], ['min', 'min(a, b)` or `min[E](x)'], ['max', 'max(a, b)` or `max[E](x)'],
    ['top', 'top[E, 8](s)'],
  ['rope', 'rope[K](x, f, pairs: halves)` or `rope[K](x, f, pairs: adjacent)'], ['conv', 'conv[T](x, w)'],
    ['sinkhorn', 'sinkhorn[tokens, E](z, tol: 1e-4)'],
  ['normal', 'normal[E]()` for a value, `normal(0.02)` for the law of a param'], ['uniform', 'uniform[E](0, 1)` or `uniform()'],
  ['orthogonal', 'orthogonal(1)'], ['dropout', 'dropout(x, 0.1)'], ['index', 'index[E]'],
  ['rmsnorm', 'rmsnorm(x, eps: 1e-6)'], ['layernorm', 'layernorm(x, eps: 1e-5)'], ['l2norm', 'l2norm[K](x)'],
  ['softmax', 'softmax[E](x)'], ['log_softmax', 'log_softmax[E](x)'], ['mask', 'mask(c)'],
]);

function usage(name: string, folds: boolean): string {
  return `write \`${USAGE.get(name) ?? (folds ? `${name}[E](x)` : `${name}(x)`)}\``;
}

export interface Arguments {
  readonly given: readonly Expr[];
  readonly named: ReadonlyMap<string, Expr>;
}

/** The arguments if there are as many as there have to be, and the named ones are known; E213 else. */
export function argumentsOf(scope: Scope, call: CallExpr, counts: readonly number[], names: readonly string[] = []): Arguments | undefined {
  const name = call.name.text;
  const given: Expr[] = [];
  const named = new Map<string, Expr>();
  for (const arg of call.args) {
    if (arg.name === undefined) {
      given.push(arg.value);
      continue;
    }
    const { text, origin } = arg.name;
    if (named.has(text)) return report(scope,
      diagnostic('E213', `\`${text}:\` is given twice`, origin, 'again', { help: ['keep one of them'] }));
    if (!names.includes(text)) {
      const known = names.length === 0
        ? `\`${name}\` has no named arguments` : `\`${name}\` knows ${names.map((own) => `\`${own}:\``).join(' and ')}`;
      return report(scope, diagnostic('E213', `\`${name}\` has no argument \`${text}:\``, origin, 'not known', { help: [known] }));
    }
    named.set(text, arg.value);
  }
  if (counts.includes(given.length)) return { given, named };
  const plural = (n: number): string => (n === 0 ? 'no arguments' : n === 1 ? '1 argument' : `${n} arguments`);
  return report(scope, diagnostic('E213', `\`${name}\` takes ${counts.map(plural).join(' or ')}`, call.origin, `${given.length} given`, {
    help: [usage(name, call.indices !== undefined)],
  }));
}

/** E213 where a function that runs along no axis has brackets. */
export function noBrackets(scope: Scope, call: CallExpr): boolean {
  if (call.indices === undefined) return true;
  report(scope, diagnostic('E213', `\`${call.name.text}\` takes no axis`, call.brackets ?? call.origin,
    'only functions along axes have brackets', {
    help: [`write \`${call.name.text}(${call.args.map((arg) => printExpr(arg.value)).join(', ')})\``],
  }));
  return false;
}

export interface Along {
  readonly axes: readonly Axis[];
  readonly silent: readonly Silent[];
}

/**
 * The axes in the brackets of a function, each of which the value has; `silent` ones where it takes them. `several`: of brackets without a
 * count at their end.
 */
export function along(scope: Scope, call: CallExpr, indices: readonly Expr[], arg: Expr, has: readonly Axis[],
  silentToo: boolean): Along | undefined {
  const name = call.name.text;
  const axes: Axis[] = [];
  const silent: Silent[] = [];
  for (const index of indices) {
    const found = bracketAxis(scope, index, has);
    if (found === undefined) return undefined;
    if (!isNamed(found)) {
      if (!silentToo) {
        return report(scope, diagnostic('E206', `\`${name}\` runs along named axes only`, index.origin,
          `\`${found.silent}\` is a silent one`, {
          help: has.length === 0 ? ['the value has no axis'] : [`the value has ${axesLabel(has)}`],
        }));
      }
      if (silent.includes(found.silent)) return twice(scope, index);
      silent.push(found.silent);
      continue;
    }
    if (includes(axes, found)) return twice(scope, index);
    if (!includes(has, found)) {
      return report(scope, diagnostic('E206', `the argument of \`${name}[${printExpr(index)}]\` has no axis \`${found.name}\``,
        index.origin, `\`${found.name}\` is not among them`, {
        secondary: [{ span: arg.origin, text: axesLabel(has) }],
        help: [has.length === 0
          ? 'a scalar has only silent axes: `tokens`, `time`, `batch`' : `it has ${has.map((own) => `\`${own.name}\``).join(', ')}`],
      }));
    }
    axes.push(found);
  }
  const text = `\`${name}[${silent.join(', ')}]\``;
  return silent.length > 0 && !pastFolded(scope, text, arg, without(has, axes)) ? undefined : { axes, silent };
}

/** E214 for what is folded or chosen among tokens and is left with the past of each. */
export function pastFolded(scope: Scope, what: string, arg: Expr, left: readonly Axis[]): boolean {
  const seen = left.find((axis) => axis.past);
  if (seen === undefined) return true;
  report(scope, diagnostic('E214', `${what} of what has the past of each token`, arg.origin, axesLabel(left), {
    help: [`fold \`${seen.name}\` first, for example \`sum[${seen.name}](${printExpr(arg)})\``],
  }));
  return false;
}

function twice(scope: Scope, index: Expr): undefined {
  return report(scope, diagnostic('E207', `axis \`${printExpr(index)}\` is named twice`, index.origin, 'again',
    { help: ['name every axis once'] }));
}

/** E214 for a function along axes that names none. */
export function needsAxis(scope: Scope, call: CallExpr, arg: Expr, has: readonly Axis[]): undefined {
  const text = call.args.map((own) => printExpr(own.value)).join(', ');
  const choices = has.map((axis) => `\`${call.name.text}[${axis.name}](${text})\``);
  return report(scope, diagnostic('E214', `\`${call.name.text}\` needs an axis`, arg.origin, axesLabel(has), {
    help: [choices.length === 0
      ? `a scalar has only silent axes to fold: \`${call.name.text}[tokens](${text})\`` : `write ${choices.join(' or ')}`],
  }));
}
