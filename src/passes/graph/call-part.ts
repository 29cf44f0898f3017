import { diagnostic, type Label } from '../../diagnostics/diagnostic.js';
import type { Expr } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import { factsOf } from '../../ir/graph/facts.js';
import type { GraphInput } from '../../ir/graph/graph.js';
import type { Axis } from '../../ir/graph/types.js';
import { includes, number, union, without } from '../../ir/graph/typing.js';
import type { CallExpr } from './arguments.js';
import { claim } from './axes.js';
import { looksBack } from './back.js';
import { nameOf } from './part.js';
import { rangeOf, rangeText, within } from './ranges.js';
import { axesLabel, list, report, shape, type Scope, type Use, type Value } from './scope.js';
import { literal, node, numeric, typeOf, whatIs } from './values.js';

/** An axis of a part as its caller calls it. */
export function outside(use: Use, axis: Axis): Axis {
  return { ...axis, name: use.renamed.get(axis.name) ?? axis.name };
}

/** A layer or mixture called. */
export function callGraph(scope: Scope, call: CallExpr, use: Use): readonly Value[] | undefined {
  const instance = use.places.get('');
  const part = instance === undefined ? undefined : scope.instances[instance].part;
  if (instance === undefined || part === undefined || part.kind === 'scan') return undefined;
  const signature = union(...part.inputs.map((input) => input.type.axes),
    ...part.outputs.map((output) => output.axes)).map((axis) => outside(use, axis));
  const args: number[] = [];
  const seen = factsOf(part).tokenwise;
  for (const [i, input] of part.inputs.entries()) {
    const id = argument(scope, call.args[i].value, use, input, { signature, seen });
    if (id === undefined) return undefined;
    args.push(id);
  }
  const back = part.kind === 'layer' && scope.kind === 'moe' ? factsOf(part).back : undefined;
  if (back !== undefined && looksBack(scope, call.origin, `\`${use.name}\``) === undefined) return undefined;
  const around = union(use.family, ...args.map((id) => without(typeOf(scope, id).axes, signature)));
  const restricted = [...new Set(args.flatMap((id) => typeOf(scope, id).restricted))].sort((a, b) => a - b);
  // Tokens that are seen are tokens, not indices of their own.
  const mapped = around.filter((axis) => !axis.past);
  const made = scope.builder.add({ kind: 'call', instance, args, mapped, renamed: use.renamed }, call.origin,
    number(around, 'token', restricted));
  const outputs: Value[] = [];
  for (const [i, output] of part.outputs.entries()) {
    const axes = output.axes.map((axis) => claim(scope, outside(use, axis), call.origin));
    if (axes.some((axis) => axis === undefined)) return undefined;
    const { level } = part.nodes[output.value].type;
    const type = number([...around, ...axes.filter((axis) => axis !== undefined)], level, level === 'token' ? restricted : []);
    outputs.push(node(scope.builder.add({ kind: 'result', call: made, output: i }, call.origin, type)));
  }
  return outputs;
}

function argument(scope: Scope, expr: Expr, use: Use, input: GraphInput, part: Called): number | undefined {
  const value = scope.resolve(expr);
  if (value === undefined) return undefined;
  const declared = { span: input.origin, text: `\`${input.name}\` of \`${nameOf(use.part)}\` is declared here` };
  if (input.type.of !== undefined) {
    const of = outside(use, input.type.of);
    const type = value.kind === 'node' ? typeOf(scope, value.id) : undefined;
    if (value.kind === 'node' && type?.kind === 'index' && type.of?.name === of.name && type.of.size === of.size) return value.id;
    return report(scope, diagnostic('E816', `\`${input.name}\` is one of \`${of.name}\``, expr.origin,
      value.kind === 'node' ? 'no index below it' : whatIs(value), {
      secondary: [declared],
      help: [`hand in an input that is \`one of ${of.name}\``],
    }));
  }
  const axes = input.type.axes.map((axis) => outside(use, axis));
  if (value.kind === 'number') return literal(scope, value.value, expr.origin, axes);
  const id = numeric(scope, { value, expr });
  if (id === undefined || !fits(scope, expr, id, axes, part, declared, nameOf(use.part))) return undefined;
  promise(scope, expr, id, input, nameOf(use.part));
  return id;
}

/** What is asked of the arguments of a part. */
export interface Called {
  readonly signature: readonly Axis[];
  /** May it be called at tokens that are seen? */
  readonly seen: boolean;
}

/** E208 where an argument lacks axes of the signature, or has other sizes; E802 where it is restricted along one. */
export function fits(
  scope: Scope, expr: Expr, id: number, axes: readonly Axis[], { signature, seen: anywhere }: Called, declared: Label, part: string,
): boolean {
  const type = typeOf(scope, id);
  const missing = without(axes, type.axes);
  const taken = type.axes.filter((axis) => !includes(axes, axis) && includes(signature, axis));
  const sized = axes.find((axis) => type.axes.some((own) => own.name === axis.name && own.size !== axis.size));
  const seen = anywhere ? undefined : type.axes.find((axis) => axis.past);
  const wrong = missing.length > 0 ? `it lacks ${list(missing)}`
    : taken.length > 0
      ? `${list(taken)} ${taken.length === 1 ? 'is an axis' : 'are axes'} of other values of \`${part}\`: `
        + 'an axis that is mapped over has another name'
      : sized !== undefined
        ? `\`${sized.name}\` has size ${sized.size} in \`${part}\`, but ${type.axes.find((own) => own.name === sized.name)?.size} here`
        : seen !== undefined
          ? `\`${part}\` looks at other tokens, so it is called at this one: `
            + `call it first, and read what it gives at \`[${seen.name}]\`` : undefined;
  if (wrong !== undefined) {
    report(scope, diagnostic('E208', `the argument does not have the axes ${shape(axes)}`, expr.origin, axesLabel(type.axes),
      { secondary: [declared], help: [wrong, ...otherName(part, missing, without(type.axes, [...axes, ...signature]))] }));
    return false;
  }
  const along = type.restricted.find((choice) => typeOf(scope, choice).axes.some((axis) => includes(signature, axis)));
  if (along === undefined) return true;
  report(scope, diagnostic('E802', `\`${printExpr(expr)}\` is absent at some indices of ${shape(axes)}`, expr.origin,
    `\`${part}\` needs all of them`, {
    secondary: [{ span: scope.builder.nodes[along].origin, text: 'restricted by this' }, declared],
    help: [`write \`sum[](${printExpr(expr)})\` for 0 where it is absent`],
  }));
  return false;
}

/** What is called otherwise here is said by `with`. */
function otherName(part: string, missing: readonly Axis[], extra: readonly Axis[]): readonly string[] {
  const [axis] = missing;
  const [own] = extra.filter((other) => !other.past);
  return missing.length !== 1 || own === undefined
    ? [] : [`if \`${own.name}\` is meant, say so: \`use a = ${part} with ${axis.name} = ${own.name}\``];
}

/** W203 where the range of an input cannot be proved. */
export function promise(scope: Scope, expr: Expr, id: number, input: Pick<GraphInput, 'name' | 'range' | 'origin'>, part: string): void {
  const range = rangeOf({ ...scope, nodes: scope.builder.nodes }, id, scope.ranges);
  if (within(range, input.range)) return;
  report(scope, diagnostic('W203', `\`${input.name}\` of \`${part}\` is in ${rangeText(input.range)}, which is taken as a promise`,
    expr.origin, `known to be in ${rangeText(range)}`, {
    secondary: [{ span: input.origin, text: `\`${input.name}\` is declared here` }],
    help: [remedy(input, printExpr(expr))],
  }));
}

function remedy({ range: { lo, hi } }: Pick<GraphInput, 'range'>, text: string): string {
  if (lo === -Infinity
    && hi === 0) return `\`log_sigmoid(...)\` and \`-exp(a) * softplus(b)\` are in -inf..0; or write \`min(${text}, 0)\``;
  if (lo === 0 && hi === 1) return `\`sigmoid(...)\` is in 0..1; or write \`clamp(${text}, 0, 1)\``;
  const [low, high] = [lo, hi].map((end) => String(end).replace('Infinity', 'inf'));
  return lo === -Infinity ? `write \`min(${text}, ${high})\`` : hi === Infinity
    ? `write \`max(${text}, ${low})\`` : `write \`clamp(${text}, ${low}, ${high})\``;
}
