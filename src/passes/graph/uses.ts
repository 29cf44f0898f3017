import { diagnostic } from '../../diagnostics/diagnostic.js';
import { didYouMean } from '../../diagnostics/suggest.js';
import type { Binding as Written, Expr } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import type { Span } from '../../ir/common/span.js';
import type { Instance } from '../../ir/graph/graph.js';
import { instancePath } from '../../ir/graph/paths.js';
import type { Axis } from '../../ir/graph/types.js';
import { isSize } from './axes.js';
import { nameOf, signatureAxes, type Part } from './part.js';
import { lookUp, report, type Given, type Scope, type Setting, type Use } from './scope.js';
import { whatIs } from './values.js';

/**
 * What `use NAME[family] = part with ...` says; undefined after an error. Parts other than scans are instances from here on, called or
 * not.
 */
export function makeUse(
  scope: Scope, name: string, part: Part, bindings: readonly Written[], family: readonly Axis[], origin: Span,
): Use | undefined {
  if (part.item.kind === 'model') {
    return report(
      scope,
      diagnostic('E816', `\`${nameOf(part)}\` is a model`, origin, 'used as a part', { help: ['parts are layers, mixtures and scans'] }),
    );
  }
  const given = new Map<string, Setting>();
  const renamed = new Map<string, string>();
  const signature = signatureAxes(part.item);
  const before = scope.diagnostics.length;
  for (const binding of bindings) bindSetting(scope, part, binding, signature, given, renamed);
  if (scope.diagnostics.length > before || axesMeet(scope, part, signature, renamed, family, origin)) return undefined;
  for (const axis of signature) {
    if (given.has(axis)) continue;
    const size = sizeHere(scope, axis);
    if (size !== undefined) given.set(axis, { kind: 'number', value: size });
  }
  for (const [path, setting] of settingsBeneath(scope, name, part, origin)) given.set(path, setting);
  if (scope.diagnostics.length > before) return undefined;
  const use: Use = { name, part, given, renamed, family, turns: scope.frame.turns, loops: scope.frame.loops, origin, places: new Map() };
  if (part.item.kind !== 'scan') {
    const graph = scope.workshop.graph(part, given, scope.training, origin);
    const place = graph && placeInstance(scope, { name, turns: use.turns, loops: use.loops, family, part: graph, origin });
    if (place === undefined) return undefined;
    use.places.set('', place);
  }
  return use;
}

/** What whoever elaborates this part says of one below it: `E` and `expert.F` for `ffn.E` and `ffn.expert.F`. */
function settingsBeneath(scope: Scope, name: string, part: Part, origin: Span): Given {
  const own = [...scope.beneath].filter(([path]) => path.startsWith(`${name}.`)).map(
    ([path, setting]) => [path.slice(name.length + 1), setting] as const,
  );
  scope.reached.add(name);
  const known = [...new Set([...part.item.bindings.map((binding) => binding.name.text), ...signatureAxes(part.item)])];
  for (const [path] of own) {
    if (path.includes('.') || known.includes(path)) continue;
    report(
      scope,
      diagnostic(
        'E201',
        `\`${nameOf(part)}\` has no \`${path}\` to set`,
        origin,
        `\`${name}.${path}\` is given`,
        { help: [...didYouMean(path, known), known.length === 0 ? 'it has no settings' : `it has ${known.join(', ')}`] },
      ),
    );
  }
  return new Map(own);
}

/** Settings of parts that are not there. */
export function unreached(scope: Scope): void {
  for (const [path] of scope.beneath) {
    const name = path.slice(0, path.indexOf('.'));
    if (scope.reached.has(name)) continue;
    const known = [...scope.reached];
    const { origin } = scope.part.item.name;
    report(
      scope,
      diagnostic(
        'E201',
        `\`${nameOf(scope.part)}\` has no part \`${name}\` at these settings`,
        origin,
        `\`${path}\` is given`,
        { help: [...didYouMean(name, known), known.length === 0 ? 'it has no parts' : `it has ${known.join(', ')}`] },
      ),
    );
  }
}

/** Adds an instance, E205 where another has its path: turns of two `repeat`s may have the same numbers. */
export function placeInstance(scope: Scope, instance: Instance): number | undefined {
  const path = instancePath(instance);
  const taken = scope.paths.instances.get(path);
  if (taken === undefined) {
    scope.paths.instances.set(path, instance.origin);
    return scope.instances.push(instance) - 1;
  }
  return report(scope, diagnostic('E205', `two instances have the path \`${path}\``, instance.origin, 'again here', {
    secondary: [{ span: taken, text: 'first here' }],
    help: ['weights are stored by path: give one of them another name, or let the turns of the second `repeat` count on'],
  }));
}

/** `memory`, `memory_2`, ...: the first that no instance of these turns has. */
export function freeName(scope: Scope, name: string, turns: Instance['turns']): string {
  const taken = (own: string): boolean => scope.paths.instances.has(instancePath({ name: own, turns }));
  if (!taken(name)) return name;
  let n = 2;
  while (taken(`${name}_${n}`)) n++;
  return `${name}_${n}`;
}

/** E207 where axes of a family or of the caller's would meet in one shape. */
function axesMeet(scope: Scope, part: Part, signature: readonly string[], renamed: ReadonlyMap<string, string>, family: readonly Axis[],
  origin: Span): boolean {
  const outside = signature.map((axis) => renamed.get(axis) ?? axis);
  const twice = outside.find((axis, i) => outside.indexOf(axis) < i || family.some((own) => own.name === axis));
  if (twice === undefined) return false;
  const help = family.some((own) => own.name === twice)
    ? `a family counts along an axis that \`${nameOf(part)}\` does not have itself` : 'two axes may have equal sizes but not equal names';
  report(scope, diagnostic('E207', `values of \`${nameOf(part)}\` would have axis \`${twice}\` twice`, origin, 'with these axes', {
    secondary: [{ span: part.item.name.origin, text: `its axes are ${signature.join(', ')}` }],
    help: [help],
  }));
  return true;
}

/** The size of an axis of the caller. */
function sizeHere(scope: Scope, axis: string): number | undefined {
  const binding = lookUp(scope, axis);
  if (
    (binding?.kind === 'setting' || binding?.kind === 'const') && binding.value?.kind === 'number'
  ) return isSize(binding.value.value) ? binding.value.value : undefined;
  return binding === undefined ? scope.axes.get(axis)?.size : undefined;
}

function bindSetting(
  scope: Scope, part: Part, binding: Written, signature: readonly string[], given: Map<string, Setting>, renamed: Map<string, string>,
): void {
  const { text, origin } = binding.name;
  if (given.has(text)) {
    report(scope, diagnostic('E205', `\`${text}\` is given twice`, origin, 'again', { help: ['keep one of them'] }));
    return;
  }
  const own = part.item.bindings.map((setting) => setting.name.text);
  const isAxis = signature.includes(text);
  if (!isAxis && !own.includes(text)) {
    const known = [...new Set([...own, ...signature])];
    report(scope, diagnostic('E201', `\`${nameOf(part)}\` has no \`${text}\` to set`, origin, 'not in its header', {
      secondary: [{ span: part.item.name.origin, text: 'declared here' }],
      help: [...didYouMean(text, known), known.length === 0 ? 'it has no settings' : `it has ${known.join(', ')}`],
    }));
    return;
  }
  const expr: Expr = binding.value ?? { kind: 'name', name: binding.name, origin };
  const value = scope.resolve(expr);
  if (value === undefined) return;
  if (value.kind === 'node' || value.kind === 'past') {
    report(scope, diagnostic('E217', `\`${text}\` of \`${nameOf(part)}\` is known when building`, expr.origin,
      value.kind === 'node' ? 'this is known when tokens are' : whatIs(value), {
      help: ['settings are numbers, texts and parts; values are handed in as arguments of the call'],
    }));
    return;
  }
  if (isAxis && (value.kind !== 'number' || !isSize(value.value))) {
    report(scope, diagnostic('E402', `\`${printExpr(expr)}\` is no size of axis \`${text}\``, expr.origin,
      value.kind === 'number' ? String(value.value) : whatIs(value), {
      help: ['a size is a whole number from 1'],
    }));
    return;
  }
  if (isAxis && expr.kind === 'name' && expr.name.text !== text) renamed.set(text, expr.name.text);
  given.set(text, value);
}
