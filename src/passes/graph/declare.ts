import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import type { Ident, Parameter, Statement } from '../../ir/ast/ast.js';
import type { Span } from '../../ir/common/span.js';
import { number, without } from '../../ir/graph/typing.js';
import { ANY } from '../../ir/common/range.js';
import { resolveRange } from '../resolve/constant.js';
import { RESERVED } from '../resolve/names.js';
import { declaredAxes } from './axes.js';
import { FIXED } from './fixed.js';
import { lawOf } from './law.js';
import { axesLabel, list, lookUp, report, shape, spoil, type Binding, type Scope } from './scope.js';
import { node } from './values.js';

/** A name that means something already, or is taken in this block or one around it. */
export function nameProblem(scope: Scope, { text, origin }: Ident): Diagnostic | undefined {
  const fixed = FIXED.get(text) ?? RESERVED.get(text);
  if (fixed !== undefined) return diagnostic('E211', `\`${text}\` has a fixed meaning`, origin, 'cannot be declared',
    { help: [`${fixed}; choose another name, such as \`${text}_\``] });
  const taken = lookUp(scope, text);
  if (taken === undefined) return undefined;
  const again = taken.kind === 'let' || taken.kind === 'output';
  return diagnostic('E205', `\`${text}\` is declared twice`, origin, 'declared again here', {
    secondary: [{ span: taken.origin, text: 'first declared here' }],
    help: [again
      ? `to give it another value write \`${text} = ...\`, without \`let\`; else rename one of them`
      : 'a name stands for one thing: rename one of them'],
  });
}

/** A name that cannot be declared stands for nothing from here on. */
export function refuseName(scope: Scope, { text }: Ident, problem: Diagnostic): void {
  report(scope, problem);
  spoil(scope, text);
}

/** Gives a name its meaning, unless it has one. */
export function bind(scope: Scope, ident: Ident, binding: Binding): boolean {
  const problem = nameProblem(scope, ident);
  if (problem !== undefined) refuseName(scope, ident, problem);
  else scope.frame.names.set(ident.text, binding);
  return problem === undefined;
}

type ParamStatement = Extract<Statement, { readonly kind: 'param' | 'buffer' }>;

export function declareParams(scope: Scope, statement: ParamStatement): void {
  if (scope.frame.parent !== undefined) {
    const first = statement.groups[0]?.names[0];
    report(scope, diagnostic('E811', `a \`${statement.kind}\` in a \`repeat\``, first?.origin ?? statement.origin, 'one for every turn?', {
      help: [`one that all turns share stands above the \`repeat\`; one for each belongs into a layer, with \`use\` in the \`repeat\``],
    }));
    return;
  }
  for (const group of statement.groups) {
    for (const name of group.names) declareParam(scope, statement.kind, group, name);
  }
}

function declareParam(scope: Scope, kind: 'param' | 'buffer', group: Parameter, name: Ident): void {
  const axes = declaredAxes(scope, group.axes);
  const law = axes && group.law && lawOf(scope, group.law);
  if (axes !== undefined && law !== undefined && law.type.axes.length > 0) {
    const odd = without(law.type.axes, axes);
    if (odd.length > 0) {
      report(scope, diagnostic('E208', `the law has axes that \`${name.text}\` lacks`, law.law.origin, axesLabel(law.type.axes), {
        secondary: [{ span: group.axes.origin, text: `\`${name.text}\` is declared ${shape(axes)}` }],
        help: [`${list(odd)} is not among them: count axes of the param by \`index[...]\``],
      }));
    }
  }
  const has = (modifier: string): boolean => group.modifiers.some((own) => own.kind === modifier);
  for (const { kind: modifier, origin } of group.modifiers) {
    if (kind === 'buffer' && modifier !== 'f32') report(scope, noDecay(name, origin));
  }
  const index = scope.params.length;
  const id = axes && scope.builder.add({ kind: 'param', param: index }, name.origin, number(axes, 'static'));
  const bound = bind(scope, name, { kind, name: name.text, origin: name.origin, index, value: id === undefined ? undefined : node(id) });
  if (!bound || axes === undefined || (group.law !== undefined && law === undefined)) {
    // Its place is taken, so that later ones keep theirs; there is no graph after an error.
    scope.params.push({ name: name.text, axes: axes ?? [], buffer: kind === 'buffer', law: undefined, range: ANY, f32: false, decay: false,
      origin: name.origin });
    return;
  }
  const range = resolveRange(group.range, (d) => report(scope, d));
  const decay = kind === 'param' && (has('decay') || (!has('no decay') && axes.length > 1));
  const start = law?.law ?? (kind === 'buffer'
    ? { nodes: [{ kind: 'literal', value: 0 } as const], value: 0, origin: name.origin } : undefined);
  scope.params.push({ name: name.text, axes, buffer: kind === 'buffer', law: start, range, f32: has('f32'), decay, origin: name.origin });
}

function noDecay({ text }: Ident, origin: Span): Diagnostic {
  return diagnostic('E107', `buffer \`${text}\` has no decay`, origin, 'said of params',
    { help: ['leave it out: no optimiser touches a buffer'] });
}

/** E205 for tensors whose name is that of another's gradient. */
export function gradientProblems(scope: Scope): void {
  for (const [name, { origin }] of scope.frame.names) {
    const of = name.startsWith('d_') ? scope.frame.names.get(name.slice(2)) : undefined;
    const tensor = (kind: Binding['kind'] | undefined): boolean => kind === 'input' || kind === 'param' || kind === 'output';
    if (of === undefined || !tensor(of.kind) || !tensor(scope.frame.names.get(name)?.kind)) continue;
    report(scope, diagnostic('E205', `\`${name}\` is the gradient of \`${of.name}\``, origin, 'declared as a tensor of its own', {
      secondary: [{ span: of.origin, text: `its gradient is called \`${name}\` in files and bindings` }],
      help: ['rename one of them'],
    }));
  }
}

