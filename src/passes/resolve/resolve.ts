import { diagnostic, hasErrors, type Diagnostic } from '../../diagnostics/diagnostic.js';
import { didYouMean } from '../../diagnostics/suggest.js';
import type { Axes, Constant, Expr, Ident, PartItem, Statement } from '../../ir/ast/ast.js';
import { sameAxes, type Axis } from '../../ir/common/axes.js';
import type { Span } from '../../ir/common/span.js';
import { specBuilder } from '../../ir/spec/build.js';
import type { Spec, SpecOutput, SpecState } from '../../ir/spec/spec.js';
import { verifySpec } from '../../ir/spec/verify.js';
import { checkAxis, checkDistinct, declare, nameProblem, unknownAxis, type Declarations } from './declare.js';
import { resolveExpr } from './expression.js';
import { refusedLet, refusedStatement, refusedSum } from './foreign.js';
import { freeName } from '../../support/free-name.js';
import { RESERVED } from './names.js';
import { unheldNumbers } from './numbers.js';
import { axesLabel, report, shape, type Binding, type Node, type Scope } from './scope.js';

export interface Resolved {
  /** Undefined if there are errors. */
  readonly spec: Spec | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

/** Nobody reads more errors than these: the statements after them are not looked at. */
const ENOUGH = 100;

/**
 * Ast -> Spec of one scan: names resolved, axes checked, `@`, `outer` and norms written out. `given` are numbers and sizes in place of
 * those of its header.
 */
export function resolveScan(item: PartItem, given: ReadonlyMap<string, number> = new Map()): Resolved {
  const diagnostics: Diagnostic[] = [];
  const declared = declare(item, given, (d) => diagnostics.push(d));
  const { scope, pasts } = makeScope(item, declared, diagnostics);
  for (const setting of declared.settings) {
    define(
      scope, 'const', setting.name,
      typeof setting.value === 'number' ? scope.builder.literal(setting.value, setting.name.origin) : valueOf(scope, setting.value),
    );
  }
  for (const statement of item.body) {
    if (diagnostics.length >= ENOUGH) return { spec: undefined, diagnostics: inOrder(diagnostics) };
    resolveStatement(scope, statement);
  }
  for (const binding of scope.bindings.values()) {
    if ((binding.kind === 'state' || binding.kind === 'output') && !scope.assigned.has(binding.name)) report(scope, neverAssigned(binding));
  }
  const idle = hasErrors(diagnostics) ? undefined : declared.settings.find(({ name }) => !scope.used.has(name.text));
  if (idle !== undefined) report(scope, unknownAxis(idle.name, [...scope.axes.keys()]));
  if (hasErrors(diagnostics)) return { spec: undefined, diagnostics: inOrder(diagnostics) };
  const spec = makeSpec(item, declared, scope, pasts);
  const problems = verifySpec(spec);
  if (problems.length > 0) throw new Error(`resolve made a Spec that does not hold together:\n${problems.join('\n')}`);
  const unheld = unheldNumbers(spec);
  if (unheld.length > 0) return { spec: undefined, diagnostics: inOrder(unheld) };
  return { spec, diagnostics: inOrder([...diagnostics, ...unused(scope)]) };
}

function makeScope(
  item: PartItem, declared: Declarations, diagnostics: Diagnostic[],
): { readonly scope: Scope; readonly pasts: Map<number, number> } {
  const builder = specBuilder();
  const pasts = new Map<number, number>();
  const below = new Map<string, Span>();
  for (const statement of item.body) {
    for (const name of namesGiven(statement)) if (!below.has(name.text)) below.set(name.text, statement.origin);
  }
  const scope: Scope = {
    builder,
    axes: declared.axisOrigins,
    bindings: declared.bindings,
    assigned: new Map(),
    below,
    used: new Set(),
    said: new Set(),
    diagnostics,
    resolve: (expr) => resolveExpr(scope, expr),
    pastOf(input) {
      const known = pasts.get(input);
      if (known !== undefined) return known;
      const state = declared.states.length + pasts.size;
      pasts.set(input, state);
      return state;
    },
  };
  return { scope, pasts };
}

/** Names that get a value. */
function namesGiven(statement: Statement): readonly Ident[] {
  switch (statement.kind) {
    case 'const': return statement.constants.map(({ name }) => name);
    case 'let': return statement.names;
    case 'assign': return [statement.name];
    default: return [];
  }
}

/** A name for a value, unless it has one already. */
function define(scope: Scope, kind: 'let' | 'const', { text: name, origin }: Ident, value: Node): void {
  const problem = nameProblem(name, origin, scope.bindings.get(name)?.origin ?? scope.axes.get(name));
  if (problem) report(scope, problem);
  const known = scope.bindings.get(name);
  if (problem === undefined || RESERVED.has(name)) scope.bindings.set(name, { kind, name, origin, value });
  // Which of the two is meant is not known.
  else if (known?.kind === 'let' || known?.kind === 'const') scope.bindings.set(name, { ...known, value: undefined });
}

function resolveStatement(scope: Scope, statement: Statement): void {
  switch (statement.kind) {
    case 'param': case 'state': return;
    case 'const':
      for (const constant of statement.constants) {
        const value = declaredValue(scope, constant);
        define(scope, 'const', constant.name, value === undefined ? undefined : constantOnly(scope, statement, constant, value));
      }
      return;
    case 'let': {
      const [name] = statement.names;
      if (statement.names.length > 1) report(scope, refusedLet(statement));
      else define(scope, 'let', name, declaredValue(scope, { name, axes: statement.axes, value: statement.value }));
      return;
    }
    case 'assign': {
      const { text: name, origin } = statement.name;
      const binding = scope.bindings.get(name);
      const first = scope.assigned.get(name);
      if (statement.add && (binding?.kind === 'state' || binding?.kind === 'output')) {
        report(scope, refusedSum(statement));
        scope.assigned.set(name, { value: undefined, origin });
      } else if (binding?.kind !== 'state' && binding?.kind !== 'output') {
        if (!scope.said.has(name)) report(scope, notAssignable(scope, statement, binding));
        scope.said.add(name);
      } else if (first !== undefined) report(scope, twice(name, origin, first.origin));
      else {
        const value = withAxes(
          scope, binding.axes, binding.origin, `\`${name}\` is declared`, statement.value.origin, valueOf(scope, statement.value),
        );
        scope.assigned.set(name, { value, origin });
      }
      return;
    }
    case 'buffer': case 'use': case 'if': case 'repeat': case 'loss': case 'update': case 'init':
    case 'names': report(scope, refusedStatement(statement));
  }
}

/** Operations that a value may lie above what it is made of. Gradients are several times as deep, and passes follow them to the ground. */
const DEEPEST = 256;

/** The value of a statement's formula; E106 where it is deeper than passes can follow. */
function valueOf(scope: Scope, formula: Expr): Node {
  const value = resolveExpr(scope, formula);
  if (value === undefined || scope.builder.depthOf(value) <= DEEPEST) return value;
  const label = `${scope.builder.depthOf(value)} operations, each of the result of another`;
  return report(scope, diagnostic('E106', `this value is more than ${DEEPEST} operations deep`, formula.origin, label, {
    help: ['write it with fewer: add up or multiply in pairs, or hand in as an input what does not depend on a state'],
  }));
}

/** The value of a `let` or `const`, which has the axes of its declaration if that names some. */
function declaredValue(scope: Scope, { name, axes, value: formula }: Constant): Node {
  const value = valueOf(scope, formula);
  if (value === undefined || axes === undefined) return value;
  if (!axesKnown(scope, axes)) return undefined;
  return withAxes(scope, axes.names.map((a) => a.text), axes.origin, `\`${name.text}\` is declared`, formula.origin, value);
}

function axesKnown(scope: Scope, axes: Axes): boolean {
  const before = scope.diagnostics.length;
  checkDistinct(axes, (d) => report(scope, d));
  for (const axis of axes.names) if (scope.diagnostics.length === before) checkAxis(axis, scope.axes.keys(), (d) => report(scope, d));
  return scope.diagnostics.length === before;
}

function withAxes(scope: Scope, axes: readonly Axis[], declaredAt: Span, subject: string, valueAt: Span, value: Node): Node {
  if (value === undefined) return undefined;
  const found = scope.builder.axesOf(value);
  if (sameAxes(found, axes)) return value;
  const missing = axes.filter((axis) => !found.includes(axis));
  const extra = found.filter((axis) => !axes.includes(axis));
  const help = extra.length > 0 && missing.length === 0 ? [`fold ${list(extra)} away, for example with \`sum${shape(extra)}(...)\``]
    : extra.length === 0 ? [`nothing in the value varies along ${list(missing)}: use a tensor that has it, or \`outer\``]
    : [`the value has ${list(extra)} where ${list(missing)} is declared: check which axis \`@\` contracts`];
  return report(scope, diagnostic(
    'E208', `the value does not have the declared axes ${shape(axes)}`, valueAt, axesLabel(found),
    { secondary: [{ span: declaredAt, text: `${subject} ${shape(axes)}` }], help },
  ));
}

function list(axes: readonly Axis[]): string {
  return axes.map((axis) => `\`${axis}\``).join(' and ');
}

/** E217 at the first thing that changes from token to token, or is trained. */
function constantOnly(scope: Scope, statement: Statement & { kind: 'const' }, { name }: Constant, value: number): Node {
  const reached = new Set<number>();
  const visit = (id: number): void => {
    if (reached.has(id)) return;
    reached.add(id);
    const node = scope.builder.nodes[id];
    if (node.kind === 'map') node.args.forEach(visit);
    if (node.kind === 'reduce') visit(node.arg);
  };
  visit(value);
  for (const id of reached) {
    const node = scope.builder.nodes[id];
    if (node.kind !== 'input' && node.kind !== 'param' && node.kind !== 'prev') continue;
    const why = node.kind === 'param'
      ? 'this is trained'
      : node.kind === 'input'
      ? 'this is another value at every token'
      : 'this changes with every token';
    return report(scope, diagnostic('E217', `\`const ${name.text}\` is not constant`, node.origin, why, {
      help: [`write \`let ${name.text} = ...\`; a \`const\` is made of numbers, axis sizes, \`head\` and \`heads\``],
      ...(statement.constants.length > 1 ? {} : { fix: {
        title: 'make it a `let`', edits: [{ span: { ...statement.origin, end: statement.origin.start + 'const'.length }, text: 'let' }],
      } }),
    }));
  }
  return value;
}

function notAssignable(scope: Scope, statement: Statement & { kind: 'assign' }, binding: Binding | undefined): Diagnostic {
  const { text: name, origin } = statement.name;
  if (binding === undefined) {
    const targets = [...scope.bindings.values()].filter((b) => b.kind === 'state' || b.kind === 'output').map((b) => b.name);
    return diagnostic('E201', `unknown name \`${name}\``, origin, 'not declared', {
      help: [
        ...didYouMean(name, targets), `a new name is made with \`let ${name} = ...\`; a state is declared with \`state ${name}: [...]\``,
      ],
    });
  }
  const what = {
    input: 'an input', param: 'a param', let: 'a `let`', const: 'a constant', state: 'a state', output: 'an output',
  }[binding.kind];
  return diagnostic('E216', `\`${name}\` cannot be assigned`, origin, `\`${name}\` is ${what}`, {
    secondary: [{ span: binding.origin, text: 'declared here' }],
    help: ['only states and outputs are assigned; give the new value a name of its own with `let`'],
  });
}

function twice(name: string, origin: Span, first: Span): Diagnostic {
  return diagnostic('E216', `\`${name}\` is assigned twice`, origin, 'assigned again here', {
    secondary: [{ span: first, text: 'first assigned here' }],
    help: [`one step gives \`${name}\` one value: name the value in between with \`let\``],
  });
}

function neverAssigned(binding: Binding): Diagnostic {
  const { name, kind, origin } = binding;
  const example = kind === 'state' ? `${name} = ${name}[t-1] + ...` : `${name} = ...`;
  return diagnostic('E215', `${kind} \`${name}\` is never assigned`, origin, 'declared here', { help: [`say what it is: \`${example}\``] });
}

/** W201 for whatever nothing reads. Names that begin with `_` ask for it. */
function unused(scope: Scope): Diagnostic[] {
  return [...scope.bindings.values()].filter(({ name, kind }) => kind !== 'output' && !scope.used.has(name) && !name.startsWith('_'))
    .filter((binding) => binding.kind !== 'state' || binding.output === undefined)
    .map(({ name, kind, origin }) => {
      const what = kind === 'let' || kind === 'const' ? `\`${name}\`` : `${kind} \`${name}\``;
      return diagnostic('W201', `${what} is never used`, origin, 'nothing reads it', { help: [`remove it, or call it \`_${name}\``] });
    });
}

function makeSpec(item: PartItem, declared: Declarations, scope: Scope, pasts: ReadonlyMap<number, number>): Spec {
  const assigned = (name: string): number => {
    const value = scope.assigned.get(name)?.value;
    if (value === undefined) throw new Error(`\`${name}\` has no value although nothing was reported`);
    return value;
  };
  const states: SpecState[] = declared.states.map((state) => ({ ...state, next: assigned(state.name), hidden: false }));
  for (const input of pasts.keys()) {
    const { name, axes, range, origin } = declared.inputs[input];
    states.push({
      name: freeName(`${name}_prev`, (one) => isTaken(one, scope)),
      axes, next: scope.builder.input(input, axes, origin), range, hidden: true, origin,
    });
  }
  const outputs: SpecOutput[] = declared.outputs.map(({ name, axes, origin }) => ({ name, axes, value: assigned(name), origin }));
  return {
    name: item.name.text, doc: docOf(item), mode: item.sequential ? 'sequential' : 'chunked', axes: declared.axes,
    inputs: declared.inputs, params: declared.params, states, outputs, nodes: scope.builder.nodes, lets: letsOf(scope), origin: item.origin,
  };
}

const isTaken = (name: string, { bindings, axes }: Scope): boolean => bindings.has(name) || bindings.has(`d_${name}`) || axes.has(name);

function docOf(item: PartItem): string {
  return item.leading.filter(({ text }) => text.startsWith('///')).map(({ text }) => text.slice(3).trim()).join('\n').trim();
}

function inOrder(diagnostics: readonly Diagnostic[]): readonly Diagnostic[] {
  return [...diagnostics].sort((a, b) => a.primary.span.start - b.primary.span.start);
}

function letsOf({ bindings }: Scope): NonNullable<Spec['lets']> {
  return [...bindings.values()].flatMap((binding) => (
    binding.kind === 'let' && binding.value !== undefined ? [{ name: binding.name, value: binding.value }] : []
  ));
}
