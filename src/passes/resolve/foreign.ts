import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import type { CallExpr, Expr, Input, Parameter, Statement } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import { report, type Scope } from './scope.js';

/** What layers, mixtures and models have and a scan has not: E107 with where it belongs. */

type ForeignStatement = Exclude<Statement, { readonly kind: 'const' | 'let' | 'param' | 'state' | 'assign' }>;

const INSTEAD: Readonly<Record<ForeignStatement['kind'], string>> = {
  buffer: 'what a scan remembers is a `state`; a `buffer` stands in the layer around it',
  use: 'a scan is one step of one formula: parts are used by the layer that calls it',
  if: 'a scan is one formula for every step: choose by a number, as `max(x, 0)` does; an `if` stands in the layer around it',
  repeat: 'a scan is one step: time is not looped over, `[t-1]` is the step before; a `repeat` stands in the layer around it',
  loss: 'give what is wanted as an output, and write the `loss` in the layer that calls the scan',
  update: 'a state is assigned, `S = S[t-1] + ...`; an `update` of a buffer stands in the layer around it',
  init: 'a state begins at zero, or at what the caller gives; how params begin stands in the layer or the model',
  names: 'tensors of a checkpoint are named by the layer that has the params',
};

export function refusedStatement(statement: ForeignStatement): Diagnostic {
  const { kind, origin } = statement;
  const word = { ...origin, end: origin.start + kind.length };
  return diagnostic('E107', `a scan has no \`${kind}\``, word, 'a statement of layers, mixtures and models', { help: [INSTEAD[kind]] });
}

/** `S += x`. */
export function refusedSum({ name, origin, value }: Statement & { readonly kind: 'assign' }): Diagnostic {
  return diagnostic('E107', 'a scan has no `+=`', { ...origin, end: value.origin.start }, 'a step gives one value', {
    help: [`a statement gives the whole new value: \`${name.text} = ${name.text}[t-1] + ...\` for a state`],
  });
}

export function refusedLet({ names }: Statement & { readonly kind: 'let' }): Diagnostic {
  return diagnostic('E107', 'a scan gives one name to a value', names[1].origin, 'a second name', {
    help: ['only calls of parts have several outputs, and a scan calls none: write a `let` for each'],
  });
}

export function refusedInput({ of, names, axes }: Input, report: (d: Diagnostic) => void): void {
  if (of === undefined) return;
  report(diagnostic('E107', 'a scan has no inputs `one of`', axes.origin, 'an index', {
    help: [`indices are picked with by the layer around it: \`x[${names[0].text}]\`; the scan takes what is found there`],
  }));
}

export function refusedParameter({ law, modifiers, names }: Parameter, report: (d: Diagnostic) => void): void {
  const origin = law?.origin ?? modifiers[0]?.origin;
  if (origin === undefined) return;
  const what = law === undefined ? `\`${modifiers[0].kind}\`` : 'law at its start';
  report(diagnostic('E107', `a param of a scan has no ${what}`, origin, 'said by layers', {
    help: [`make \`${names[0].text}\` an input, and say this of a \`param\` in the layer that calls the scan`],
  }));
}

export function refusedExpr(scope: Scope, expr: Expr): undefined {
  const [what, instead] = foreignExpr(expr);
  const origin = expr.kind === 'binary' ? expr.opOrigin : expr.origin;
  return report(scope, diagnostic('E107', `a scan has no ${what}`, origin, 'of layers, mixtures and models', { help: [instead] }));
}

function foreignExpr(expr: Expr): readonly [string, string] {
  if (expr.kind === 'text') return ['texts', 'a scan is made of numbers'];
  const remainder = expr.kind === 'binary' && expr.op === '%';
  if (remainder) return ['remainders', 'a `%` stands where a model is built: give the scan the number by `with`'];
  const order = expr.kind === 'binary' && /^[<>]/.test(expr.op);
  const less = order ? ` such as \`relu(${printExpr(expr.left)} - ${printExpr(expr.right)})\`` : '';
  return ['comparisons', `every step computes the same: write a formula that is large or small${less}, or choose in the layer around it`];
}

/** `softmax[K](x, sink: s)`: true once reported. */
export function refusedName(scope: Scope, call: CallExpr): true {
  const named = call.args.find(({ name }) => name !== undefined);
  const { text, origin } = named?.name ?? { text: '', origin: call.origin };
  report(scope, diagnostic('E213', `\`${call.name.text}\` takes no \`${text}:\` in a scan`, origin, 'an argument of layers', {
    help: ['leave it out, or write the formula of the function'],
  }));
  return true;
}
