import { diagnostic } from '../../diagnostics/diagnostic.js';
import { didYouMean } from '../../diagnostics/suggest.js';
import type { Expr, Ident, Statement } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import { lossPath } from '../../ir/graph/paths.js';
import { withAxes } from './assign.js';
import { axesLabel, list, lookUp, report, shape, type Frame, type Scope, type Value } from './scope.js';
import { mapValues, resolveNumeric, typeOf } from './values.js';

/** `loss n = e`: one number. */
export function addLoss(scope: Scope, name: Ident, expr: Expr): void {
  const path = lossPath({ name: name.text, turns: scope.frame.turns });
  const first = scope.paths.losses.get(path);
  if (first !== undefined) {
    report(scope, diagnostic('E205', `loss \`${path}\` is declared twice`, name.origin, 'declared again here',
      { secondary: [{ span: first, text: 'first declared here' }], help: ['add them up, or rename one of them'] }));
    return;
  }
  scope.paths.losses.set(path, name.origin);
  const value = resolveNumeric(scope, expr);
  if (value === undefined) return;
  const { axes, level, restricted } = typeOf(scope, value);
  const text = printExpr(expr);
  const wrong = axes.length > 0 ? `it has ${list(axes)}: fold with \`sum${shape(axes)}(...)\` or \`mean${shape(axes)}(...)\``
    : level === 'token' ? `it has a value per token: write \`mean[tokens](${text})\``
      : level === 'sequence' ? `it has a value per sequence: write \`mean[batch](${text})\``
        : level === 'step' ? 'it is folded over `calls`, which only an `update` can: fold over `tokens`'
          : restricted.length > 0 ? `it is absent at times: write \`sum[](${text})\` for 0 then` : undefined;
  if (wrong !== undefined) {
    report(scope, diagnostic(level === 'step' && axes.length === 0 ? 'E805' : 'E806', `loss \`${name.text}\` is not one number`,
      expr.origin, axes.length > 0 ? axesLabel(axes) : `a value per ${level}`, { help: [wrong] }));
    return;
  }
  scope.losses.push({ name: name.text, turns: scope.frame.turns, value, origin: name.origin });
}

/** `update b = e`, `update b += e`. */
export function addUpdate(scope: Scope, statement: Statement & { readonly kind: 'update' }): void {
  const { text: name, origin } = statement.name;
  const binding = lookUp(scope, name);
  if (binding?.kind !== 'buffer') {
    const buffers = scope.params.filter((param) => param.buffer).map((param) => param.name);
    const what = binding === undefined ? 'not declared' : `a ${binding.kind}`;
    report(scope, diagnostic('E807', `\`${name}\` is no buffer`, origin, what, {
      secondary: binding === undefined ? [] : [{ span: binding.origin, text: 'declared here' }],
      help: [...didYouMean(name, buffers), binding?.kind === 'param'
        ? `the optimiser changes it: for a rule of its own declare \`buffer ${name}\`` : binding?.kind === 'let'
        || binding?.kind === 'output' ? `for a value at this token write \`${name} = ...\`` : `declare \`buffer ${name}: [...] = 0\``],
    }));
    return;
  }
  const known = scope.updates.find((update) => update.param === binding.index);
  if (known !== undefined) {
    report(scope, diagnostic('E216', `\`${name}\` is updated twice`, origin, 'again',
      { secondary: [{ span: known.origin, text: 'first updated here' }],
      help: ['a step gives a buffer one value: name the value in between with `let`'] }));
    return;
  }
  const { axes } = scope.params[binding.index];
  const given = scope.resolve(statement.value);
  if (given === undefined || binding.value === undefined) return;
  const value = statement.add ? mapValues(scope, 'add',
    [{ value: binding.value, expr: { kind: 'name', name: statement.name, origin } }, { value: given, expr: statement.value }],
    statement.origin) : given;
  const checked = value && withAxes(scope, value, axes, statement.value.origin,
    { span: binding.origin, text: `\`${name}\` is declared ${shape(axes)}` });
  if (checked?.kind !== 'node') return;
  const { level, restricted } = typeOf(scope, checked.id);
  const text = printExpr(statement.value);
  if (level === 'token' || level === 'sequence') {
    report(scope, diagnostic('E807', `\`${name}\` would differ per ${level}`, statement.value.origin, `a value per ${level}`, {
      secondary: [{ span: binding.origin, text: 'a buffer has one value for all' }],
      help: [`fold it over what it differs among: \`mean[tokens, calls](${text})\``],
    }));
    return;
  }
  if (restricted.length > 0 && level !== 'step') {
    report(scope, diagnostic('E802', `\`${name}\` would be absent at times`, statement.value.origin, 'restricted', {
      secondary: [{ span: scope.builder.nodes[restricted[0]].origin, text: 'by this' }],
      help: ['write `sum[](x)` for 0 where x is absent, or fold over `calls`'],
    }));
    return;
  }
  scope.updates.push({ param: binding.index, value: checked.id, origin });
}

/** Remembers a choice by the name that it has in the text; what is assigned to the name later takes its place. */
export function nameChoice(scope: Scope, name: string, value: Value | undefined): void {
  if (value?.kind !== 'node') return;
  const { kind, axes, level } = typeOf(scope, value.id);
  if (kind !== 'choice' || level === 'static' || axes.some(({ past }) => past)) return;
  let frame: Frame | undefined = scope.frame;
  while (frame?.names.has(name) === false) frame = frame.parent;
  const turns = frame?.turns ?? [];
  scope.choices.set(lossPath({ name, turns }), { name, turns, value: value.id });
}
