import { diagnostic } from '../../diagnostics/diagnostic.js';
import { printExpr } from '../../ir/ast/print.js';
import { factsOf } from '../../ir/graph/facts.js';
import { instancePath } from '../../ir/graph/paths.js';
import { argumentsOf, noBrackets, type CallExpr } from './arguments.js';
import { callGraph } from './call-part.js';
import { callScan } from './call-scan.js';
import { resolveFunction } from './functions.js';
import type { Part } from './part.js';
import { lookUp, report, type Found, type Scope, type Use, type Value } from './scope.js';
import { freeName, makeUse } from './uses.js';

/** A function, or a part with one output. */
export function resolveCall(scope: Scope, call: CallExpr): Found {
  const called = partCall(scope, call);
  if (called === undefined) return resolveFunction(scope, call);
  const { outputs } = called;
  if (outputs === undefined || outputs.length === 1) return outputs?.[0];
  const name = call.name.text;
  return report(scope, diagnostic('E816', `\`${name}\` gives ${outputs.length} values`, call.origin, 'one is needed here', {
    help: [`name them: \`let ${outputs.map((_, i) => 'abcdefgh'[i] ?? `v${i}`).join(', ')} = ${printExpr(call)}\``],
  }));
}

/** The outputs of a part that is called, `{ outputs: undefined }` after an error; undefined where a function is called. */
export function partCall(scope: Scope, call: CallExpr): { readonly outputs: readonly Value[] | undefined } | undefined {
  const name = call.name.text;
  const binding = lookUp(scope, name);
  if (binding === undefined) {
    // Why it is none was reported.
    if (scope.said.has(name)) return { outputs: undefined };
    const part = scope.part.visible.get(name);
    return part && { outputs: callOwn(scope, call, part) };
  }
  if (binding.kind === 'instance') return { outputs: callUse(scope, call, binding.use) };
  if ('value' in binding && binding.value?.kind === 'part') return { outputs: callOwn(scope, call, binding.value.part) };
  if ('value' in binding && binding.value === undefined && binding.kind !== 'output') return { outputs: undefined };
  const arg = call.args.length === 1 ? printExpr(call.args[0].value) : undefined;
  const text = arg !== undefined && call.args[0].value.kind === 'binary' ? `(${arg})` : arg;
  report(scope, diagnostic('E212', `\`${name}\` is not a function`, call.origin, 'called like one', {
    secondary: [{ span: binding.origin, text: 'declared here' }],
    help: [text === undefined ? 'parts are made by `use NAME = PART`' : `for a product write \`${name} * ${text}\``],
  }));
  return { outputs: undefined };
}

function callUse(scope: Scope, call: CallExpr, use: Use): readonly Value[] | undefined {
  if (!noBrackets(scope, call) || argumentsOf(scope, call,
    [use.part.item.inputs.reduce((n, input) => n + input.names.length, 0)]) === undefined) return undefined;
  return use.part.item.kind === 'scan' ? callScan(scope, call, use) : callGraph(scope, call, use);
}

/** A part called by its own name: an instance of the same name, with weights once. */
function callOwn(scope: Scope, call: CallExpr, part: Part): readonly Value[] | undefined {
  const name = call.name.text;
  const known = scope.frame.own.get(name);
  const free = freeName(scope, name, scope.frame.turns);
  const first = known !== undefined && hasWeights(scope, known) ? known.origin : undefined;
  const use = first === undefined ? makeUse(scope, free, part, [], [], call.name.origin) : undefined;
  const elsewhere = use !== undefined && free !== name && known === undefined && hasWeights(scope, use)
    ? scope.paths.instances.get(instancePath({ name, turns: scope.frame.turns })) : undefined;
  const before = first ?? elsewhere;
  if (before !== undefined) {
    return report(scope, diagnostic('E811', `\`${name}\` has weights and is called twice by its own name`, call.origin, 'again', {
      secondary: [{ span: before, text: 'called here' }],
      help: [`for two instances write \`use a, b = ${name}\`, for one that is shared \`use a = ${name}\`, and call these`],
    }));
  }
  if (use === undefined) return undefined;
  // A part without weights is another one at every call: its draws and states have paths of their own.
  scope.frame.own.set(name, use);
  return callUse(scope, call, use);
}

function hasWeights(scope: Scope, { part, places }: Use): boolean {
  if (part.item.kind === 'scan') return part.item.body.some((statement) => statement.kind === 'param');
  return [...places.values()].some((at) => at !== undefined && factsOf(scope.instances[at].part).weights);
}
