import { diagnostic, type Diagnostic, type DiagnosticDetails } from '../../diagnostics/diagnostic.js';
import { didYouMean, suggest } from '../../diagnostics/suggest.js';
import type { Axes, Declared, Ident, Input, PartItem } from '../../ir/ast/ast.js';
import { sameAxes, type Axis } from '../../ir/common/axes.js';
import type { Range } from '../../ir/common/range.js';
import type { Span } from '../../ir/common/span.js';
import type { SpecAxis, SpecInput, SpecParam } from '../../ir/spec/spec.js';
import { resolveRange } from './constant.js';
import { refusedInput, refusedParameter } from './foreign.js';
import { FIXED, RESERVED } from './names.js';
import { shape, type Binding } from './scope.js';
import { resolveSettings, type Setting } from './settings.js';

/** What the header and the declarations of a scan say, before any value is read. */
export interface Declarations {
  readonly axes: readonly SpecAxis[];
  readonly axisOrigins: ReadonlyMap<Axis, Span>;
  readonly inputs: readonly SpecInput[];
  readonly params: readonly SpecParam[];
  readonly states: readonly DeclaredState[];
  readonly outputs: readonly Named[];
  readonly bindings: Map<string, Binding>;
  /** Numbers of the header that are no sizes. */
  readonly settings: readonly Setting[];
}

export interface Named {
  readonly name: string;
  readonly axes: readonly Axis[];
  readonly origin: Span;
}

export interface DeclaredState extends Named {
  readonly range: Range;
}

/** Names and axes of a scan. Inputs, params and states bring axes in; outputs and `with` use them. */
export function declare(item: PartItem, given: ReadonlyMap<string, number>, report: (d: Diagnostic) => void): Declarations {
  const axisOrigins = new Map<Axis, Span>();
  const bindings = new Map<string, Binding>();
  const inputs: SpecInput[] = [];
  const params: SpecParam[] = [];
  const states: DeclaredState[] = [];
  const outputs: Named[] = [];

  const bind = (binding: Binding): boolean => {
    const known = bindings.get(binding.name);
    const problem = nameProblem(binding.name, binding.origin, known?.origin ?? axisOrigins.get(binding.name));
    if (problem) report(problem);
    // A reserved name is reported once, here.
    const stands = problem === undefined || (known === undefined && RESERVED.has(binding.name));
    if (stands) bindings.set(binding.name, binding);
    return stands;
  };

  const newAxes = (axes: Axes): Axis[] => axes.names.map(({ text, origin }) => {
    if (!axisOrigins.has(text)) {
      const problem = nameProblem(text, origin, bindings.get(text)?.origin);
      if (problem) report(problem);
      axisOrigins.set(text, origin);
    }
    return text;
  });

  const each = <G extends Declared>(
    groups: readonly G[], add: (name: Ident, axes: readonly Axis[], range: Range, group: G) => void,
  ): void => {
    for (const group of groups) {
      const distinct = checkDistinct(group.axes, report);
      const axes = [...new Set(newAxes(group.axes))];
      const range = resolveRange(group.range, report);
      for (const name of group.names) {
        add(name, axes, range, group);
        const added = bindings.get(name.text);
        if (added !== undefined && !distinct) bindings.set(name.text, { ...added, broken: true });
      }
    }
  };

  for (const group of item.inputs) refusedInput(group, report);
  each<Input>(item.inputs, ({ text: name, origin }, axes, range, group) => {
    if (bind({ kind: 'input', name, origin, index: inputs.length, axes })) inputs.push({
      name, axes, scope: group.perGroup ? 'group' : 'head', rounded: group.rounded, range, origin,
    });
  });
  for (const statement of item.body) {
    if (statement.kind === 'param') {
      for (const group of statement.groups) refusedParameter(group, report);
      each(statement.groups, ({ text: name, origin }, axes, range) => {
        if (bind({ kind: 'param', name, origin, index: params.length, axes })) params.push({ name, axes, range, origin });
      });
    } else if (statement.kind === 'state') {
      each(statement.groups, ({ text: name, origin }, axes, range) => {
        const bound = bind({ kind: 'state', name, origin, index: states.length, axes, output: undefined });
        if (bound) states.push({ name, axes, range, origin });
      });
    }
  }
  for (const group of item.outputs) {
    checkDistinct(group.axes, report);
    for (const axis of group.axes.names) checkAxis(axis, axisOrigins.keys(), report);
    const axes = [...new Set(group.axes.names.map((axis) => axis.text))].filter((axis) => axisOrigins.has(axis));
    for (const { text: name, origin } of group.names) {
      const known = bindings.get(name);
      if (known?.kind === 'state' && known.output === undefined) {
        bindings.set(name, { ...known, output: outputs.length });
        if (!sameAxes(known.axes, axes)) report(differs(name, origin, axes, known));
        outputs.push({ name, axes: known.axes, origin });
      } else if (bind({ kind: 'output', name, origin, index: outputs.length, axes })) outputs.push({ name, axes, origin });
    }
  }
  for (const tensor of [...inputs, ...params, ...states, ...outputs]) {
    const problem = gradientProblem(tensor, bindings);
    if (problem) report(problem);
  }
  checkHeads(item, inputs, report);
  const { sizes, settings } = resolveSettings(item, axisOrigins, given, report);
  return {
    axes: [...axisOrigins.keys()].map((name) => ({ name, defaultSize: sizes.get(name) })), axisOrigins, inputs, params, states, outputs,
    bindings, settings,
  };
}

/** A name that means something already, or is taken. */
export function nameProblem(name: string, origin: Span, taken: Span | undefined, meanings = FIXED): Diagnostic | undefined {
  const fixed = meanings.get(name) ?? RESERVED.get(name);
  if (fixed !== undefined) return diagnostic(
    'E211', `\`${name}\` has a fixed meaning`, origin, 'cannot be declared',
    { help: [`${fixed}; choose another name, such as \`${name}_\``] },
  );
  if (taken === undefined) return undefined;
  return diagnostic('E205', `\`${name}\` is declared twice`, origin, 'declared again here', {
    secondary: [{ span: taken, text: 'first declared here' }],
    help: ['a name stands for one thing, that of an axis too: rename one of them'],
  });
}

/** Files and bindings call the gradient or cotangent of every tensor `x` `d_x`: no tensor may have that name. */
function gradientProblem({ name, origin }: Named, bindings: ReadonlyMap<string, Binding>): Diagnostic | undefined {
  const of = name.startsWith('d_') ? bindings.get(name.slice(2)) : undefined;
  if (of === undefined || of.kind === 'let' || of.kind === 'const') return undefined;
  return diagnostic('E205', `\`${name}\` is the gradient of \`${of.name}\``, origin, 'declared as a tensor of its own', {
    secondary: [{ span: of.origin, text: `its gradient is called \`${name}\` in files and bindings` }],
    help: ['rename one of them'],
  });
}

export function checkDistinct(axes: Axes, report: (d: Diagnostic) => void): boolean {
  const seen = new Map<string, Span>();
  for (const { text, origin } of axes.names) {
    const first = seen.get(text);
    if (first !== undefined) {
      report(diagnostic('E207', `axis \`${text}\` is named twice in one shape`, origin, 'again', {
        secondary: [{ span: first, text: 'first' }],
        help: [`two axes may have equal sizes but not equal names: call one of them \`${text}2\``],
      }));
      return false;
    }
    seen.set(text, origin);
  }
  return true;
}

/** Does the scan have this axis? */
export function checkAxis(axis: Ident, known: Iterable<Axis>, report: (d: Diagnostic) => void): boolean {
  const names = [...known];
  if (names.includes(axis.text)) return true;
  report(unknownAxis(axis, names));
  return false;
}

export function unknownAxis({ text, origin }: Ident, names: readonly Axis[]): Diagnostic {
  const nearest = suggest(text, names);
  const details: DiagnosticDetails = {
    help: [
      ...didYouMean(text, names),
      names.length === 0
        ? 'this scan has no axes: its inputs, params and states bring them in'
        : `the axes of this scan are ${names.join(', ')}; its inputs, params and states bring them in`,
    ],
    ...(nearest === undefined ? {} : { fix: { title: `write \`${nearest}\``, edits: [{ span: origin, text: nearest }] } }),
  };
  return diagnostic('E206', `there is no axis \`${text}\``, origin, 'no input, param or state has it', details);
}

function differs(name: string, origin: Span, axes: readonly Axis[], state: Named): Diagnostic {
  return diagnostic('E208', `output \`${name}\` and state \`${name}\` have different axes`, origin, `the output has ${shape(axes)}`, {
    secondary: [{ span: state.origin, text: `the state has ${shape(state.axes)}` }],
    help: [`an output with the name of a state is that state: declare it \`${name}: ${shape(state.axes)}\`, or rename one of them`],
  });
}

function checkHeads(item: PartItem, inputs: readonly SpecInput[], report: (d: Diagnostic) => void): void {
  if (inputs.some((input) => input.scope === 'head')) return;
  const [first] = inputs;
  if (first === undefined) {
    report(diagnostic(
      'E220', `\`${item.name.text}\` has no inputs`, item.name.origin, 'nothing says how many tokens and heads there are',
      { help: ['give it an input: `scan f(x: [K]) -> ...`'] },
    ));
    return;
  }
  const title = `every input of \`${item.name.text}\` is shared per group`;
  report(diagnostic('E220', title, first.origin, 'nothing says how many heads there are', {
    help: ['give one input a value for every head: leave its `per group` out'],
  }));
}
