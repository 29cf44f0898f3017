import { diagnostic } from '../../diagnostics/diagnostic.js';
import { didYouMean, suggest } from '../../diagnostics/suggest.js';
import type { Body, Expr, Ident, IfStatement, Statement } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import { partCall } from './call.js';
import { bind, declareParams, nameProblem, refuseName } from './declare.js';
import { declaredAxes } from './axes.js';
import { checkedConst, checkedLet, reassigned } from './assign.js';
import { lawOf } from './law.js';
import { nameOf } from './part.js';
import { addLoss, addUpdate, nameChoice } from './ends.js';
import { addNames } from './names.js';
import { lookUp, rebind, report, reportName, visibleNames, type Frame, type Scope, type Value } from './scope.js';
import { makeUse } from './uses.js';
import { numberValue, whatIs } from './values.js';

/** Nobody reads more errors than these. */
const ENOUGH = 100;
/** Turns of one `repeat`. */
const MOST_TURNS = 4096;
/** Nodes of one graph, and turns of all that is repeated in it: those of a `repeat` in another multiply. */
const MOST_NODES = 50_000;

export function runAll(scope: Scope, statements: readonly Statement[]): void {
  for (const statement of statements) {
    if (scope.diagnostics.length >= ENOUGH) return;
    run(scope, statement);
  }
}

function run(scope: Scope, statement: Statement): void {
  switch (statement.kind) {
    case 'const':
      for (const constant of statement.constants) {
        const value = checkedConst(scope, constant);
        bind(scope, constant.name, { kind: 'const', name: constant.name.text, origin: constant.name.origin, value });
      }
      return;
    case 'let': return runLet(scope, statement);
    case 'param': case 'buffer': return declareParams(scope, statement);
    case 'state': {
      report(scope, diagnostic('E107', `a ${scope.kind} has no \`state\``,
        { ...statement.origin, end: statement.origin.start + 'state'.length }, 'a statement of scans', {
        help: ['what is remembered from token to token stands in a `scan` that is called here; `x[t-1]` is the token before'],
      }));
      return;
    }
    case 'use': return runUse(scope, statement);
    case 'if': return runIf(scope, statement);
    case 'repeat': return runRepeat(scope, statement);
    case 'loss': return addLoss(scope, statement.name, statement.value);
    case 'update': return addUpdate(scope, statement);
    case 'init': {
      const law = lawOf(scope, statement.value);
      if (scope.init !== undefined) {
        report(scope, diagnostic('E216', '`init` is said twice', statement.origin, 'again',
          { secondary: [{ span: scope.init.origin, text: 'first said here' }], help: ['keep one of them'] }));
      }
      if (law !== undefined) scope.init = law.law;
      return;
    }
    case 'names': return addNames(scope, statement);
    case 'assign': return runAssign(scope, statement);
  }
}

function runLet(scope: Scope, statement: Statement & { readonly kind: 'let' }): void {
  const { names, value: expr } = statement;
  const define = (name: Ident, value: Value | undefined): void => {
    bind(scope, name, { kind: 'let', name: name.text, origin: name.origin, value });
    nameChoice(scope, name.text, value);
  };
  if (names.length === 1) {
    define(names[0], checkedLet(scope, names[0], statement.axes, expr));
    return;
  }
  const called = expr.kind === 'call' ? partCall(scope, expr) : undefined;
  // What is wrong by itself is told alone.
  if (called === undefined && scope.resolve(expr) !== undefined) {
    report(scope, diagnostic('E816', `${names.length} names for one value`, names[1].origin, 'a second name', {
      secondary: [{ span: expr.origin, text: 'no call of a part' }],
      help: ['only calls of parts have several outputs: write a `let` for each'],
    }));
  }
  const outputs = called?.outputs;
  if (outputs !== undefined && outputs.length !== names.length) {
    report(scope, diagnostic('E816', `\`${printExpr(expr)}\` gives ${outputs.length === 1 ? 'one value' : `${outputs.length} values`}`,
      names[Math.min(outputs.length, names.length - 1)].origin, `${names.length} names`, {
      help: [outputs.length < names.length
        ? 'leave out the names that are too many' : 'name all of them; one that is not needed begins with `_`'],
    }));
  }
  const fitting = outputs?.length === names.length ? outputs : undefined;
  names.forEach((name, i) => define(name, fitting?.[i]));
}

function runUse(scope: Scope, statement: Statement & { readonly kind: 'use' }): void {
  const { text, origin } = statement.part;
  const binding = lookUp(scope, text);
  const value = binding !== undefined && 'value' in binding ? binding.value : undefined;
  const part = value?.kind === 'part' ? value.part : binding === undefined ? scope.part.visible.get(text) : undefined;
  const family = statement.family === undefined ? [] : declaredAxes(scope, statement.family);
  if (part === undefined) {
    const parts = [...scope.part.visible.keys()].filter((own) => own !== scope.part.item.name.text);
    // A setting whose value has an error was reported where it stands.
    if (binding?.kind === 'instance') {
      report(scope, diagnostic('E201', `\`${text}\` is an instance, not a part`, origin, 'used as a part', {
        secondary: [{ span: binding.origin, text: 'made here' }],
        help: [scope.part.visible.has(text) ? `give the instance another name: it hides the part \`${text}\``
          : `write the part that it is made of, \`${nameOf(binding.use.part)}\``],
      }));
    } else if (binding === undefined || value !== undefined) {
      reportName(scope, text, () => diagnostic('E201', value === undefined ? `unknown part \`${text}\`` : `\`${text}\` is no part`, origin,
        value === undefined ? 'neither declared in this file nor imported' : whatIs(value), {
        help: [...didYouMean(text, parts), parts.length === 0
          ? 'this file declares no other part' : `parts are ${parts.slice(0, 12).join(', ')}${parts.length > 12 ? ', ...' : ''}`],
      }));
    }
    for (const name of statement.names) bind(scope, name, { kind: 'let', name: name.text, origin: name.origin, value: undefined });
    return;
  }
  for (const name of statement.names) {
    const problem = nameProblem(scope, name);
    if (problem !== undefined) {
      refuseName(scope, name, problem);
      continue;
    }
    const use = family && makeUse(scope, name.text, part, statement.bindings, family, name.origin);
    if (use === undefined) bind(scope, name, { kind: 'let', name: name.text, origin: name.origin, value: undefined });
    else bind(scope, name, { kind: 'instance', name: name.text, origin: name.origin, use });
  }
}

function runIf(scope: Scope, { condition, then, otherwise }: IfStatement): void {
  const value = scope.resolve(condition);
  if (value === undefined || value.kind !== 'number') {
    for (const branch of [then, otherwise]) if (branch !== undefined) give(scope, 'condition' in branch ? [branch] : branch.statements);
  }
  if (value === undefined) return;
  if (value.kind !== 'number') {
    const why = value.kind === 'node' ? 'this is known when tokens are' : whatIs(value);
    report(scope, diagnostic('E810', '`if` is decided when building', condition.origin, why, {
      help: [value.kind === 'node'
        ? 'for a value that depends on tokens write `x[c]`, or `x * mask(c) + y * (1 - mask(c))`'
        : 'compare it: `if kind == "L"`, `if i % 4 == 3`'],
    }));
    return;
  }
  if (value.value !== 0) runAll(scope, then.statements);
  else if (otherwise !== undefined) {
    if ('condition' in otherwise) runIf(scope, otherwise);
    else runAll(scope, otherwise.statements);
  }
}

/** Names of statements that cannot be read get a value that nobody asks about. */
function give(scope: Scope, statements: readonly Statement[]): void {
  for (const statement of statements) {
    switch (statement.kind) {
      case 'assign': {
        const binding = lookUp(scope, statement.name.text);
        if (binding?.kind === 'let') rebind(scope, { ...binding, value: undefined });
        if (binding?.kind === 'output') rebind(scope, { ...binding, value: undefined, assigned: true });
        break;
      }
      case 'let': case 'use':
        for (const name of statement.names) {
          if (lookUp(scope, name.text) === undefined) scope.frame.names.set(name.text,
            { kind: 'let', name: name.text, origin: name.origin, value: undefined });
        }
        break;
      case 'if':
        give(scope, statement.then.statements);
        if (statement.otherwise !== undefined) give(scope,
          'condition' in statement.otherwise ? [statement.otherwise] : statement.otherwise.statements);
        break;
      case 'repeat': give(scope, assignments(statement.body.statements)); break;
      case 'const': case 'param': case 'buffer': case 'state': case 'loss': case 'update': case 'init': case 'names': break;
    }
  }
}

/** What a turn changes outside itself. */
function assignments(statements: readonly Statement[]): readonly Statement[] {
  return statements.filter((statement) => statement.kind === 'assign' || statement.kind === 'if' || statement.kind === 'repeat');
}

interface Turn {
  /** In paths. */
  readonly name: number | string;
  readonly values: readonly Value[];
}

function runRepeat(scope: Scope, statement: Statement & { readonly kind: 'repeat' }): void {
  const turns = turnsOf(scope, statement);
  if (turns === undefined) return give(scope, assignments(statement.body.statements));
  for (const name of statement.names) {
    const problem = nameProblem(scope, name);
    if (problem !== undefined) report(scope, problem);
  }
  const around = scope.frame;
  for (const turn of turns) {
    if (scope.diagnostics.length >= ENOUGH || tooLarge(scope, statement.body)) break;
    scope.turned += 1;
    const loops = new Map([...around.loops, ...statement.names.map((name, i) => [name.text, turnText(turn.values[i])] as const)]);
    const frame: Frame = { names: new Map(), parent: around, turns: [...around.turns, turn.name], loops, own: new Map() };
    statement.names.forEach((name, i) => frame.names.set(name.text,
      { kind: 'turn', name: name.text, origin: name.origin, value: turn.values[i] }));
    scope.frame = frame;
    runAll(scope, statement.body.statements);
  }
  scope.frame = around;
}

function turnText(value: Value | undefined): number | string {
  return value?.kind === 'number' ? value.value : value?.kind === 'text' ? value.text : '';
}

function tooLarge(scope: Scope, body: Body): boolean {
  if (Math.max(scope.builder.nodes.length, scope.turned) <= MOST_NODES) return false;
  // Said of the innermost one.
  if (scope.diagnostics.some(({ code }) => code === 'E106')) return true;
  report(scope, diagnostic('E106', `this part is larger than ${MOST_NODES} operations or turns`, body.origin, 'repeated too often', {
    help: ['put what repeats into a layer: parts are read once'],
  }));
  return true;
}

/** `0..L - 1`, or the letters of a text. */
function turnsOf(scope: Scope, { names, from, to }: Statement & { readonly kind: 'repeat' }): readonly Turn[] | undefined {
  const first = scope.resolve(from);
  const last = to === undefined ? undefined : scope.resolve(to);
  if (first === undefined || (to !== undefined && last === undefined)) return undefined;
  const most = to === undefined ? 2 : 1;
  if (names.length > most) {
    return report(scope, diagnostic('E816', to === undefined
      ? 'a turn of a text has a number and a letter' : 'a turn of a range has one number', names[most].origin, 'one name too many', {
      help: [to === undefined ? 'write `repeat i, kind in "LLLN"`' : 'write `repeat i in 0..9`'],
    }));
  }
  if (to === undefined) {
    if (first.kind === 'text') {
      return [...first.text].map((letter, i) => ({ name: i,
        values: names.length === 1 ? [{ kind: 'text', text: letter }] : [numberValue(i), { kind: 'text', text: letter }] }));
    }
    return report(scope, diagnostic('E816', 'a `repeat` runs through a range or a text', from.origin, whatIs(first),
      { help: [`write \`repeat ${names[0].text} in 0..${printExpr(from)} - 1\``] }));
  }
  const ends: readonly (readonly [Value, Expr])[] = [[first, from], ...(last === undefined ? [] : [[last, to] as const])];
  for (const [value, expr] of ends) {
    if (value.kind === 'node') {
      return report(scope, diagnostic('E810', '`repeat` is unrolled when building', expr.origin, 'this is known when tokens are',
        { help: ['its ends are numbers of the header: `0..L - 1`'] }));
    }
    if (value.kind === 'number' && Number.isInteger(value.value)) continue;
    return report(scope, diagnostic('E816', 'the ends of a range are whole numbers', expr.origin,
      value.kind === 'number' ? String(value.value) : whatIs(value), { help: ['write `0..L - 1`'] }));
  }
  if (first.kind !== 'number' || last?.kind !== 'number') return undefined;
  const count = last.value - first.value + 1;
  if (count > MOST_TURNS) {
    return report(scope, diagnostic('E106', `a \`repeat\` of ${count} turns`, from.origin, `more than ${MOST_TURNS}`,
      { help: ['nest it in a layer that is repeated itself'] }));
  }
  const start = first.value;
  return Array.from({ length: Math.max(0, count) }, (_, i) => ({ name: start + i, values: [numberValue(start + i)] }));
}

function runAssign(scope: Scope, statement: Statement & { readonly kind: 'assign' }): void {
  const { text: name, origin } = statement.name;
  const binding = lookUp(scope, name);
  if (binding === undefined) {
    const targets = visibleNames(scope).filter((own) => ['let', 'output'].includes(lookUp(scope, own)?.kind ?? ''));
    // What was meant has a value then.
    const meant = lookUp(scope, suggest(name, targets) ?? '');
    if (meant?.kind === 'output') rebind(scope, { ...meant, value: undefined, assigned: true });
    return reportName(scope, name, () => diagnostic('E201', `unknown name \`${name}\``, origin, 'not declared',
      { help: [...didYouMean(name, targets), `a new name is made with \`let ${name} = ...\``] }));
  }
  if (binding.kind !== 'let' && binding.kind !== 'output') {
    const what: Readonly<Record<Exclude<typeof binding.kind, never>, string>> = {
      setting: 'a number of the header', turn: 'counted by `repeat`', const: 'a constant', input: 'an input',
        param: 'a param, which training changes', buffer: 'a buffer', instance: 'a part',
    };
    report(scope, diagnostic('E216', `\`${name}\` cannot be assigned`, origin, `\`${name}\` is ${what[binding.kind]}`, {
      secondary: [{ span: binding.origin, text: 'declared here' }],
      help: [binding.kind === 'buffer'
        ? `write \`update ${name} = ...\`: its value after the step` : 'give the new value a name of its own with `let`'],
    }));
    return;
  }
  const value = reassigned(scope, statement, binding);
  rebind(scope, binding.kind === 'let' ? { ...binding, value } : { ...binding, value, assigned: true });
  nameChoice(scope, name, value);
}

