import { diagnostic } from '../../diagnostics/diagnostic.js';
import type { Declared, Ident, Input } from '../../ir/ast/ast.js';
import type { Axis, ValueType } from '../../ir/graph/types.js';
import { number } from '../../ir/graph/typing.js';
import { ANY } from '../../ir/common/range.js';
import { resolveRange } from '../resolve/constant.js';
import { axisNamed, declaredAxes } from './axes.js';
import { bind } from './declare.js';
import { nameOf, signatureAxes } from './part.js';
import { report, type Given, type Scope, type Setting } from './scope.js';
import { node, whatIs } from './values.js';

/** Numbers, texts and parts of the header, inputs and outputs. */
export function readHeader(scope: Scope, given: Given): void {
  const { item } = scope.part;
  settings(scope, given);
  if (item.sequential) {
    report(scope, diagnostic('E107', `a ${item.kind} is not \`sequential\``, item.name.origin, 'said of scans',
      { help: ['leave `sequential` out'] }));
  }
  for (const group of item.inputs) readInputs(scope, group);
  for (const group of item.outputs) readOutputs(scope, group);
}

function settings(scope: Scope, given: Given): void {
  const { item } = scope.part;
  const own = item.bindings.map((binding) => binding.name.text);
  const idents = [...item.inputs.flatMap((input) => [...input.axes.names, ...(input.of === undefined ? [] : [input.of])]),
    ...item.outputs.flatMap((output) => output.axes.names)];
  for (const axis of signatureAxes(item)) {
    if (own.includes(axis)) continue;
    const ident = idents.find(({ text }) => text === axis);
    const value = given.get(axis);
    if (ident === undefined) continue;
    if (value === undefined) {
      report(scope, diagnostic('E403', `axis \`${axis}\` of \`${nameOf(scope.part)}\` has no size`, ident.origin, 'not given',
        { help: [`write \`with ${axis} = 64\` in the header, or give it where it is used`] }));
    }
    bind(scope, ident, { kind: 'setting', name: axis, origin: ident.origin, value });
  }
  for (const { name, value: expr } of item.bindings) {
    const override = given.get(name.text);
    const standard = expr === undefined ? undefined : standardOf(scope, expr, override !== undefined);
    if (expr === undefined && override === undefined) {
      report(scope, diagnostic('E403', `\`${name.text}\` of \`${nameOf(scope.part)}\` has no value`, name.origin, 'not given',
        { help: [`write \`${name.text} = 64\` in the header, or give it where it is used`] }));
    }
    const other = override !== undefined && standard !== undefined && override.kind !== standard.kind;
    if (other) {
      report(scope, diagnostic('E816', `\`${name.text}\` of \`${nameOf(scope.part)}\` is ${whatIs(standard)}`, name.origin,
        `${whatIs(override)} is given`, { help: [`give it ${whatIs(standard)}`] }));
    }
    bind(scope, name, { kind: 'setting', name: name.text, origin: name.origin, value: other ? undefined : override ?? standard });
  }
}

/** What a setting is unless the caller says something else; mistakes in it count only then. */
function standardOf(scope: Scope, expr: Parameters<Scope['resolve']>[0], overridden: boolean): Setting | undefined {
  const within: Scope = overridden ? { ...scope, diagnostics: [], resolve: (own) => scope.resolveIn(within, own) } : scope;
  const value = within.resolve(expr);
  if (value === undefined || value.kind === 'number' || value.kind === 'text' || value.kind === 'part') return value;
  return report(within, diagnostic('E217', 'a header has numbers, texts and parts', expr.origin,
    value.kind === 'node' ? 'this has axes, or depends on tokens' : whatIs(value), {
    help: ['values are made in the body, with `const` or `let`'],
  }));
}

function readInputs(scope: Scope, group: Input): void {
  if (group.perGroup) {
    report(scope, diagnostic('E107', `a ${scope.kind} has no inputs \`per group\``, group.origin, 'said of scans',
      { help: ['say it by axes: an input that is shared lacks the axis of what shares it'] }));
  }
  if (group.rounded) {
    report(scope, diagnostic('E107', `inputs of a ${scope.kind} are not said to be rounded`, group.origin, 'said of scans',
      { help: ['what a layer takes has the dtype of the build; `f32(x)` keeps it in f32'] }));
  }
  const of = group.of && axisNamed(scope, group.of);
  const axes = group.of === undefined ? declaredAxes(scope, group.axes) : [];
  const range = resolveRange(group.range, (d) => report(scope, d));
  for (const name of group.names) {
    const input = scope.inputs.length;
    const failed = axes === undefined || (group.of !== undefined && of === undefined);
    const type: ValueType = of === undefined ? number(axes ?? [], 'token') : { kind: 'index', axes: [], level: 'token', restricted: [],
      of };
    scope.inputs.push({ name: name.text, type, range: of === undefined ? range : { lo: ANY.lo, hi: of.size - 1 }, origin: name.origin });
    const id = scope.builder.add({ kind: 'input', input }, name.origin, type);
    bind(scope, name, { kind: 'input', name: name.text, origin: name.origin, value: failed ? undefined : node(id) });
  }
}

function readOutputs(scope: Scope, group: Declared): void {
  const axes = declaredAxes(scope, group.axes);
  for (const name of group.names) bindOutput(scope, name, axes);
}

function bindOutput(scope: Scope, name: Ident, axes: readonly Axis[] | undefined): void {
  if (axes === undefined) bind(scope, name, { kind: 'let', name: name.text, origin: name.origin, value: undefined });
  else bind(scope, name, { kind: 'output', name: name.text, origin: name.origin, axes, value: undefined, assigned: false });
}

