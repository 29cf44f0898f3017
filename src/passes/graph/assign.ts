import { diagnostic } from '../../diagnostics/diagnostic.js';
import type { Axes, Expr, Ident, Statement } from '../../ir/ast/ast.js';
import type { Span } from '../../ir/common/span.js';
import type { Axis } from '../../ir/graph/types.js';
import { sameAxes, without } from '../../ir/graph/typing.js';
import { declaredAxes } from './axes.js';
import { axesLabel, list, rebind, report, shape, type Binding, type Found, type Scope, type Value } from './scope.js';
import { literal, mapValues, node, typeOf, whatIs } from './values.js';

/** The value of a `let`, with the axes that it declares. */
export function checkedLet(scope: Scope, name: Ident, axes: Axes | undefined, expr: Expr): Found {
  const value = scope.resolve(expr);
  const declared = axes && declaredAxes(scope, axes);
  if (value === undefined || axes === undefined || declared === undefined) return axes === undefined ? value : undefined;
  return withAxes(scope, value, declared, expr.origin, { span: axes.origin, text: `\`${name.text}\` is declared ${shape(declared)}` });
}

/** The value of a `const`: the same for all tokens, and not trained. */
export function checkedConst(scope: Scope,
  constant: { readonly name: Ident; readonly axes: Axes | undefined; readonly value: Expr }): Found {
  const value = checkedLet(scope, constant.name, constant.axes, constant.value);
  if (value?.kind !== 'node') return value;
  const reached = new Set<number>();
  const open = [value.id];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (reached.has(id)) continue;
    reached.add(id);
    const own = scope.builder.nodes[id];
    const why = own.kind === 'param' ? (scope.params[own.param].buffer ? 'this changes with every step' : 'this is trained')
      : own.kind === 'count' || (own.kind === 'index' && own.over === undefined) ? undefined
        : own.type.level === 'static' ? undefined : 'this differs from token to token';
    if (why !== undefined && own.kind !== 'map' && own.kind !== 'fold') {
      return report(scope, diagnostic('E217', `\`const ${constant.name.text}\` is not constant`, own.origin, why, {
        secondary: [{ span: constant.name.origin, text: 'declared here' }],
        help: [`write \`let ${constant.name.text} = ...\`; a \`const\` is made of numbers, \`index[...]\` and other constants`],
      }));
    }
    if (own.kind === 'map') open.push(...own.args);
    if (own.kind === 'fold') open.push(own.arg);
  }
  return value;
}

/** The value of an assignment: of the same kind and with the same axes as what the name was declared with. */
export function reassigned(scope: Scope, statement: Statement & { readonly kind: 'assign' }, binding: Extract<Binding,
  { readonly kind: 'let' | 'output' }>): Found {
  const given = scope.resolve(statement.value);
  if (given === undefined) return undefined;
  const value = statement.add ? added(scope, statement, binding, given) : given;
  if (value === undefined) return undefined;
  const declared = { span: binding.origin, text: '' };
  if (binding.kind === 'output') {
    return withAxes(scope, value, binding.axes, statement.value.origin,
      { ...declared, text: `\`${binding.name}\` is declared ${shape(binding.axes)}` });
  }
  const { value: before } = binding;
  if (before === undefined) return statement.add ? undefined : value;
  if (before.kind === 'node') {
    const { axes, kind } = typeOf(scope, before.id);
    const text = `\`${binding.name}\` has ${axesLabel(axes)}`;
    const next = withAxes(scope, value, axes, statement.value.origin, { ...declared, text });
    if (next?.kind === 'node' && typeOf(scope, next.id).kind !== kind) return otherKind(scope, statement.value, binding, before, next);
    return next;
  }
  return value.kind === before.kind || (before.kind === 'number' && value.kind === 'node' && typeOf(scope, value.id).axes.length === 0)
    ? value
    : before.kind === 'number' && value.kind === 'node'
      ? withAxes(scope, value, [], statement.value.origin,
      { ...declared, text: `\`${binding.name}\` is a number: write \`let ${binding.name}: ${shape(typeOf(scope, value.id).axes)} = ...\`` })
      : otherKind(scope, statement.value, binding, before, value);
}

function otherKind(scope: Scope, expr: Expr, binding: Binding, before: Value, value: Value): undefined {
  const what = (own: Value): string => (own.kind === 'node'
    ? { number: 'a value', choice: 'a choice', index: 'an index' }[typeOf(scope, own.id).kind] : whatIs(own));
  return report(scope, diagnostic('E816', `\`${binding.name}\` was ${what(before)}`, expr.origin, what(value), {
    secondary: [{ span: binding.origin, text: 'declared here' }],
    help: ['a name keeps its kind: give the new value a name of its own with `let`'],
  }));
}

function added(scope: Scope, statement: Statement & { readonly kind: 'assign' }, binding: Extract<Binding,
  { readonly kind: 'let' | 'output' }>, given: Value): Found {
  const { name, value: expr, origin } = statement;
  if (binding.kind === 'output' && !binding.assigned) {
    rebind(scope, { ...binding, assigned: true });
    return report(scope, diagnostic('E209', `output \`${binding.name}\` is read before it has a value`, name.origin, 'nothing to add to', {
      secondary: [{ span: binding.origin, text: 'declared here' }],
      help: [`assign it first: \`${binding.name} = ...\``],
    }));
  }
  if (binding.value === undefined) return undefined;
  return mapValues(scope, 'add', [{ value: binding.value, expr: { kind: 'name', name, origin: name.origin } }, { value: given, expr }],
    origin);
}

/** The value with axes that are written down; a number is the same everywhere. E208 where they differ. */
export function withAxes(scope: Scope, value: Value, axes: readonly Axis[], at: Span,
  declared: { readonly span: Span; readonly text: string }): Found {
  if (value.kind === 'number') {
    const id = literal(scope, value.value, at, axes);
    return id === undefined ? undefined : node(id);
  }
  if (value.kind !== 'node') {
    return report(scope, diagnostic('E816', `${whatIs(value)} has no axes`, at, 'a value is needed here',
      { secondary: [declared], help: ['leave the axes out, or give it a value of numbers'] }));
  }
  const found = typeOf(scope, value.id).axes;
  if (sameAxes(found, axes)) return value;
  const [missing, extra] = [without(axes, found), without(found, axes)];
  const help = extra.length > 0 && missing.length === 0 ? `fold ${list(extra)} away, for example with \`sum${shape(extra)}(...)\``
    : extra.length === 0 ? `nothing in the value varies along ${list(missing)}: use a value that has it, or \`outer\``
      : `the value has ${list(extra)} where ${list(missing)} is declared: check which axis \`@\` contracts`;
  return report(scope, diagnostic('E208', `the value does not have the declared axes ${shape(axes)}`, at, axesLabel(found),
    { secondary: [declared], help: [help] }));
}
