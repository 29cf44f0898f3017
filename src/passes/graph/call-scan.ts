import { diagnostic } from '../../diagnostics/diagnostic.js';
import type { Span } from '../../ir/common/span.js';
import { number, sameAxes, union, without } from '../../ir/graph/typing.js';
import type { Axis } from '../../ir/graph/types.js';
import type { Spec } from '../../ir/spec/spec.js';
import type { CallExpr } from './arguments.js';
import { claim, isSize } from './axes.js';
import { looksBack } from './back.js';
import { fits, promise } from './call-part.js';
import { nameOf } from './part.js';
import { axesLabel, list, report, shape, type Scope, type Use, type Value } from './scope.js';
import { freeName, placeInstance } from './uses.js';
import { literal, node, numeric, typeOf } from './values.js';

/** A scan called: axes of the arguments that it does not name are its heads. */
export function callScan(scope: Scope, call: CallExpr, use: Use): readonly Value[] | undefined {
  const spec = scope.workshop.spec(use.part, use.given, use.origin);
  if (spec === undefined || looksBack(scope, call.origin, `\`${use.name}\``) === undefined) return undefined;
  const values = call.args.map(({ value: expr }) => scope.resolve(expr));
  if (values.some((value) => value === undefined)) return undefined;
  const name = (axis: string): string => use.renamed.get(axis) ?? axis;
  const signature = new Set([...spec.inputs, ...spec.outputs].flatMap((tensor) => tensor.axes));
  const sizes = new Map<string, number>();
  const args = values.map((value, i) => (value === undefined || value.kind === 'number'
    ? undefined : numeric(scope, { value, expr: call.args[i].value })));
  if (args.some((id, i) => id === undefined && values[i]?.kind !== 'number')) return undefined;
  // Sizes of the signature are those of the arguments.
  for (const [i, { axes }] of spec.inputs.entries()) {
    const id = args[i];
    for (const axis of axes) {
      const own = id === undefined ? undefined : typeOf(scope, id).axes.find((other) => other.name === name(axis));
      if (own !== undefined && !sizes.has(axis)) sizes.set(axis, own.size);
    }
  }
  for (const { name: axis, defaultSize } of spec.axes) {
    const given = use.given.get(axis);
    const size = sizes.get(axis) ?? (given?.kind === 'number' ? given.value : undefined) ?? defaultSize;
    if (size === undefined || !isSize(size)) {
      return report(scope, diagnostic('E403', `axis \`${axis}\` of \`${nameOf(use.part)}\` has no size`, call.origin, 'called here', {
        secondary: [{ span: use.part.item.name.origin, text: 'declared here' }],
        help: [`give it one: \`use memory = ${nameOf(use.part)} with ${axis} = 64\``],
      }));
    }
    sizes.set(axis, size);
  }
  const axisOf = (axis: string): Axis => ({ name: name(axis), size: sizes.get(axis) ?? 1, past: false });
  const outer = [...signature].map(axisOf);
  const ids: number[] = [];
  const heads = union(use.family, ...args.map((id) => (id === undefined ? [] : without(typeOf(scope, id).axes, outer))));
  for (const [i, input] of spec.inputs.entries()) {
    const { value: expr } = call.args[i];
    const value = values[i];
    const id = args[i] ?? (value?.kind === 'number'
      ? literal(scope, value.value, expr.origin, [...heads, ...input.axes.map(axisOf)]) : undefined);
    if (id === undefined) return undefined;
    const declared = { span: input.origin, text: `\`${input.name}\` of \`${nameOf(use.part)}\` is declared here` };
    if (!fits(scope, expr, id, input.axes.map(axisOf), { signature: outer, seen: false }, declared, nameOf(use.part))) return undefined;
    if (!headsFit(scope, call, i, id, spec, { heads, family: use.family }, outer)) return undefined;
    promise(scope, expr, id, input, nameOf(use.part));
    ids.push(id);
  }
  const instance = placed(scope, use, spec, sizes, heads, call.origin);
  if (instance === undefined) return undefined;
  const restricted = [...new Set(ids.flatMap((id) => typeOf(scope, id).restricted))].sort((a, b) => a - b);
  const made = scope.builder.add({ kind: 'call', instance, args: ids, mapped: heads, renamed: use.renamed }, call.origin,
    number(heads, 'token', restricted));
  const outputs: Value[] = [];
  for (const [i, output] of spec.outputs.entries()) {
    const axes = output.axes.map((axis) => claim(scope, axisOf(axis), call.origin));
    if (axes.some((axis) => axis === undefined)) return undefined;
    const type = number([...heads, ...axes.filter((axis) => axis !== undefined)], 'token', restricted);
    outputs.push(node(scope.builder.add({ kind: 'result', call: made, output: i }, call.origin, type)));
  }
  return outputs;
}

/** E220: inputs have all heads but those of a family; what is shared `per group` may lack the last ones. */
function headsFit(scope: Scope, call: CallExpr, i: number, id: number, spec: Spec,
  all: { readonly heads: readonly Axis[]; readonly family: readonly Axis[] }, signature: readonly Axis[]): boolean {
  const { name, scope: shared, origin } = spec.inputs[i];
  const heads = without(all.heads, all.family);
  const own = without(typeOf(scope, id).axes, [...signature, ...all.family]);
  const first = heads.slice(0, own.length);
  if (sameAxes(own, shared === 'group' ? first : heads)) return true;
  const missing = without(heads, own);
  const help = shared === 'group' ? `an input \`per group\` has the first ones, ${shape(first)}: the heads are counted row by row`
    : `give it ${list(missing)} too, or mark it \`per group\` in the scan if it is shared by them`;
  report(scope, diagnostic('E220', `\`${name}\` does not have the heads of \`${spec.name}\``, call.args[i].value.origin,
    axesLabel(typeOf(scope, id).axes), {
    secondary: [{ span: call.origin, text: `the heads are ${shape(heads)}` }, { span: origin, text: `\`${name}\` is declared here` }],
    help: [help],
  }));
  return false;
}

/** The instance of a scan with these heads. What has weights has the same heads at every call. */
function placed(scope: Scope, use: Use, spec: Spec, sizes: ReadonlyMap<string, number>, heads: readonly Axis[],
  origin: Span): number | undefined {
  const key = JSON.stringify([heads.map((axis) => axis.name), [...sizes]]);
  const known = use.places.get(key);
  if (known !== undefined) return known;
  const [other] = use.places.values();
  if (other !== undefined && spec.params.length > 0) {
    const before = scope.instances[other];
    return report(scope, diagnostic('E220', `\`${use.name}\` has weights, and other heads than before`, origin, `heads ${shape(heads)}`, {
      secondary: [{ span: before.origin, text: before.part.kind === 'scan' ? `heads ${shape(before.part.heads)}` : 'called here' }],
      help: [`make an instance for each: \`use a, b = ${nameOf(use.part)}\``],
    }));
  }
  const name = use.places.size === 0 ? use.name : freeName(scope, use.name, use.turns);
  const part = { kind: 'scan', name: spec.name, spec, sizes, heads, origin } as const;
  const at = placeInstance(scope, { name, turns: use.turns, loops: use.loops, family: use.family, part, origin: use.origin });
  if (at !== undefined) use.places.set(key, at);
  return at;
}
