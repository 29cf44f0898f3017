import { diagnostic } from '../../diagnostics/diagnostic.js';
import { didYouMean } from '../../diagnostics/suggest.js';
import type { Binding as Written, Expr } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import type { Span } from '../../ir/common/span.js';
import type { Graph } from '../../ir/graph/graph.js';
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
  if (scope.diagnostics.length > before) return undefined;
  for (const axis of signature) {
    if (given.has(axis)) continue;
    const size = sizeHere(scope, axis);
    if (size !== undefined) given.set(axis, { kind: 'number', value: size });
  }
  for (const [path, setting] of settingsBeneath(scope, name, part, origin)) given.set(path, setting);
  if (scope.diagnostics.length > before) return undefined;
  const use: Use = {
    name, part, given, renamed, family, turns: scope.frame.turns, loops: scope.frame.loops, origin, calls: 0, places: new Map(),
  };
  if (part.item.kind !== 'scan') {
    const graph = scope.workshop.graph(part, given, scope.training, origin);
    use.places.set('', graph === undefined ? undefined : place(scope, use, graph));
    if (graph === undefined) return undefined;
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

/** Adds the instance of a part. */
function place(scope: Scope, { name, turns, loops, family, origin }: Use, part: Graph): number {
  return scope.instances.push({ name, turns, loops, family, part, origin }) - 1;
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
    report(scope, diagnostic('E217', `\`${text}\` of \`${nameOf(part)}\` is known when building`, expr.origin, value.kind === 'node' ? 'this is known when tokens are' : whatIs(value), {
      help: ['settings are numbers, texts and parts; values are handed in as arguments of the call'],
    }));
    return;
  }
  if (isAxis && (value.kind !== 'number' || !isSize(value.value))) {
    report(scope, diagnostic('E402', `\`${printExpr(expr)}\` is no size of axis \`${text}\``, expr.origin, value.kind === 'number' ? String(value.value) : whatIs(value), {
      help: ['a size is a whole number from 1'],
    }));
    return;
  }
  if (isAxis && expr.kind === 'name' && expr.name.text !== text) renamed.set(text, expr.name.text);
  given.set(text, value);
}
