import { diagnostic, hasErrors, type Diagnostic } from '../../diagnostics/diagnostic.js';
import type { Span } from '../../ir/common/span.js';
import type { Graph } from '../../ir/graph/graph.js';
import { paramsOf, type PathParam } from '../../ir/graph/paths.js';
import type { NameMap, Piece, StoredTensor } from '../../ir/graph/stored.js';
import type { Axis } from '../../ir/graph/types.js';
import { briefList } from '../../support/brief.js';
import { groupBy } from '../../support/group.js';
import { collect, type Claim, type Collected, type Ignored } from './collect.js';
import { layOut, type Laid, type Layout, type LayoutFault } from './layout.js';
import { wholeOf } from './places.js';
import { namesIn, parseTemplate, settle, writeTemplate, type Known, type Template } from './template.js';

export interface Named {
  /** Undefined where there are errors. */
  readonly map: NameMap | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

/** Families of names that a graph has: `hf`, `original`. */
export function familiesOf(graph: Graph): readonly string[] {
  return graph.names.map(({ family }) => family);
}

/** What `names FAMILY` says of a graph at its sizes: which tensors there are, and which elements of which params each has. */
export function nameMap(graph: Graph, family: string): Named {
  return new Mapping(paramsOf(graph), Infinity).read(graph, family);
}

/** Tensors of one entry and turn that are looked at where nobody wants all of them. */
const SOME = 4;

/** What is wrong with the names of a graph. A part may leave to others what it does not name; a model has nobody around it. */
export function nameFaults(graph: Graph): readonly Diagnostic[] {
  const params = graph.names.length === 0 ? [] : paramsOf(graph);
  const found = familiesOf(graph).flatMap((family) => new Mapping(params, SOME).read(graph, family).diagnostics);
  return graph.kind === 'model' ? found : found.filter(({ code }) => code !== 'E821');
}

interface NamedTensor {
  readonly tensor: StoredTensor;
  readonly claim: Claim;
}

class Mapping {
  private readonly diagnostics: Diagnostic[] = [];
  private readonly said = new Set<string>();
  private readonly templates = new Map<string, Template | undefined>();
  /** Turns of one entry have one layout, where their params have the same axes. */
  private readonly layouts = new Map<Claim['entry'], Map<string, Layout | LayoutFault>>();

  /** `most`: tensors of an entry in one turn. */
  constructor(private readonly params: readonly PathParam[], private readonly most: number) {}

  read(graph: Graph, family: string): Named {
    const collected = collect(wholeOf(graph), family, new Map(this.params.map(({ path }, i) => [path, i])));
    const owner = new Map<number, Claim>();
    for (const claim of collected.claims) for (const param of claim.params) if (param !== undefined) owner.set(param, claim);
    const tensors = new Map<string, NamedTensor>();
    for (const claim of collected.claims) {
      // What a later entry names is not here any more.
      const params = claim.params.map((param) => (param !== undefined && owner.get(param) === claim ? param : undefined));
      if (params.some((param) => param !== undefined)) this.tensorsOf({ ...claim, params }, tensors);
    }
    this.unnamed(graph, family, this.params.filter((_, i) => !owner.has(i)), collected.unlike);
    const ignored = [...new Set(collected.ignored.flatMap((entry) => this.pattern(entry)))];
    if (hasErrors(this.diagnostics)) return { map: undefined, diagnostics: this.diagnostics };
    return {
      map: { params: this.params, tensors: [...tensors.values()].map(({ tensor }) => tensor), ignored }, diagnostics: this.diagnostics,
    };
  }

  /** Says something once of a place, not in every turn. */
  private report(d: Diagnostic): void {
    const key = JSON.stringify([d.code, d.primary.span]);
    if (!this.said.has(key)) this.diagnostics.push(d);
    this.said.add(key);
  }

  private tensorsOf(claim: Claim, tensors: Map<string, NamedTensor>): void {
    const { entry, params } = claim;
    const template = this.template(claim.texts, entry.origin);
    if (template === undefined) return;
    const laid = params.map((param) => (param === undefined ? undefined : this.params[param]));
    const first = laid.find((param) => param !== undefined);
    if (first === undefined) return;
    const free = namesIn(template).filter((name) => !claim.turns.has(name));
    const axes = free.map((name) => first.axes.find((axis) => axis.name === name));
    const stranger = free.find((_, i) => axes[i] === undefined);
    if (stranger !== undefined) {
      const title = `\`{${stranger}}\` in a tensor's name is neither a turn nor an axis`;
      const turns = claim.turns.size === 0 ? 'stands in no `repeat`' : `the turns ${[...claim.turns.keys()].join(', ')}`;
      this.report(diagnostic('E201', title, entry.origin, `of \`${first.path}\``, {
        help: [`\`${first.path}\` has the axes [${first.axes.map(({ name }) => name).join(', ')}] and ${turns}`],
      }));
      return;
    }
    const indexed = axes.filter((axis) => axis !== undefined);
    const layout = this.layout(entry, laid, indexed);
    if ('fault' in layout) {
      this.report(
        diagnostic(
          'E822', `a layout that does not hold each axis once: ${layout.fault}`, entry.origin, 'stored like this', { help: [layout.help] },
        ),
      );
      return;
    }
    const settled = settle(template, claim.turns);
    const found = params.flatMap(
      (param, i) => (param === undefined || laid[i] === undefined ? [] : [{ param, steps: stepsOf(laid[i].axes, indexed) }]),
    );
    const at = indexed.map(() => 0);
    const known: Known = {
      value: (name) => at[free.indexOf(name)] ?? claim.turns.get(name) ?? NaN,
      size: (name) => indexed[free.indexOf(name)]?.size ?? NaN,
    };
    const total = indexed.reduce((n, { size }) => n * size, 1);
    for (let index = 0; index < Math.min(total, this.most); index++) {
      const name = settled === undefined ? undefined : writeTemplate(settled, known);
      if (name === undefined) {
        this.report(
          diagnostic(
            'E102',
            'a formula in a tensor\'s name that gives no whole number',
            entry.origin,
            `for \`${first.path}\``,
            { help: ['letters of a `repeat` stand alone: `{kind}`; quotients must be whole'] },
          ),
        );
        return;
      }
      const other = tensors.get(name);
      if (other !== undefined) {
        this.twice(name, other.claim, claim);
        return;
      }
      const pieces = found.map(({ param, steps }, i): Piece => {
        const { at: stored, axes: inside } = layout.places[i];
        return { param, from: steps.reduce((sum, step, j) => sum + step * at[j], 0), at: stored, axes: inside };
      });
      tensors.set(name, { tensor: { name, dims: layout.dims, pieces, origin: entry.origin }, claim });
      advance(at, indexed);
    }
  }

  private layout(entry: Claim['entry'], params: readonly (PathParam | undefined)[], indexed: readonly Axis[]): Layout | LayoutFault {
    const sizes = params.map((param) => param?.axes.map(({ name, size }) => `${name} ${size}`).join());
    const key = [...sizes, ...indexed.map(({ name }) => name)].join(';');
    const known = this.layouts.get(entry) ?? new Map<string, Layout | LayoutFault>();
    this.layouts.set(entry, known);
    const before = known.get(key);
    if (before !== undefined) return before;
    const laid = params.map((param): Laid | undefined => {
      if (param === undefined) return undefined;
      const native = nativeSteps(param.axes);
      const inside = param.axes.filter(({ name }) => !indexed.some((axis) => axis.name === name));
      return { path: param.path, axes: inside.map((axis) => ({ ...axis, native: native.get(axis.name) ?? NaN })) };
    });
    const present = laid.find((one) => one !== undefined);
    const written = entry.layout ?? present?.axes.map(({ name }) => [{ kind: 'axis', name, origin: entry.origin } as const]) ?? [];
    const found = this.unequal(params, indexed) ?? layOut(written, laid);
    known.set(key, found);
    return found;
  }

  /** Params that have one tensor per index share these indices. */
  private unequal(params: readonly (PathParam | undefined)[], indexed: readonly Axis[]): LayoutFault | undefined {
    for (const { name, size } of indexed) {
      const other = params.find((param) => param !== undefined && param.axes.find((axis) => axis.name === name)?.size !== size);
      if (other !== undefined) return {
        fault: `\`{${name}}\` is no axis of size ${size} in \`${other.path}\``,
        help: 'params in one tensor share the axes in the braces of its name',
      };
    }
    return undefined;
  }

  private template(texts: readonly string[], origin: Span): Template | undefined {
    const parts: (Template[number])[] = [];
    for (const text of texts) {
      const parsed = this.templates.has(text) ? this.templates.get(text) : parseTemplate(text);
      this.templates.set(text, parsed);
      if (parsed === undefined) {
        this.report(
          diagnostic(
            'E102',
            `\`${text}\` has braces without a formula`,
            origin,
            'in this name',
            { help: ['write `{i}`, `{i + 1}`, `{E}` or `{G M}`'] },
          ),
        );
        return undefined;
      }
      parts.push(...parsed);
    }
    return parts;
  }

  /** A pattern: turns are known, any other braces stand for every index. */
  private pattern({ texts, entry, turns }: Ignored): readonly string[] {
    const template = this.template(texts, entry.origin);
    if (template === undefined) return [];
    return [template.map((part) => {
      const settled = settle([part], turns)?.[0];
      return typeof settled === 'string' ? settled : '*';
    }).join('')];
  }

  private twice(name: string, first: Claim, second: Claim): void {
    const path = ({ params }: Claim): string => params.flatMap(
      (param) => (param === undefined ? [] : [`\`${this.params[param].path}\``]),
    ).join(' and ');
    const same = first.entry === second.entry;
    // A prefix that lacks the turn lacks it for all params behind it.
    const prefix = `E823 ${second.texts.slice(0, -1).join('')}`;
    const turned = same && first !== second && second.texts.length > 1;
    if (turned && this.said.has(prefix)) return;
    if (turned) this.said.add(prefix);
    const title = `two params in one tensor: \`${name}\` has ${path(second)} and ${path(first)}`;
    const missing = 'what differs between them belongs into the name: the turn as `{i}`, the index of a family as `{E}`';
    const joined = 'give one of them another name, or join them in one entry: `a, b = "tensor" [(H | H), D]`';
    this.report(diagnostic('E823', title, second.entry.origin, same ? 'both named here' : `names ${path(second)}`, {
      secondary: same ? [] : [{ span: first.entry.origin, text: `names ${path(first)}` }],
      help: [same ? missing : joined],
    }));
  }

  /** Params that no entry mentions, those of one declaration together. */
  private unnamed(graph: Graph, family: string, params: readonly PathParam[], unlike: Collected['unlike']): void {
    for (const { entry, part, has } of unlike) {
      this.report(diagnostic('E201', `\`${part}\` has no names \`${entry.like ?? ''}\``, entry.origin, 'asked for here', {
        help: [has.length > 0 ? `it has ${has.join(', ')}` : `it has none: write the names of its params in braces behind the prefix`],
      }));
    }
    if (params.length === 0) return;
    const [[origin, [{ path }, ...turns]], ...others] = groupBy(params, (param) => param.origin);
    // One of every declaration comes before its other turns.
    const all = [path, ...others.map(([, [param]]) => param.path), ...turns.map((param) => param.path),
      ...others.flatMap(([, [, ...more]]) => more.map((param) => param.path))];
    const paths = briefList(all.map((one) => `\`${one}\``), 4);
    const often = turns.length > 0 ? ', once for all turns' : '';
    const below = familiesBelow(graph);
    const title = `a param without name: \`names ${family}\` of \`${graph.name}\` says nothing of ${paths}`;
    this.report(diagnostic('E821', title, origin, 'not in the checkpoint', {
      secondary: others.slice(0, 3).map(([span]) => ({ span, text: 'nor is this' })),
      help: [`add it to the names of its part, \`names ${family} { ${nameOf(path)} = "tensor" }\`, or of one around it${often}`,
        ...(below.size === 0 || below.has(family) ? [] : [`its parts have the names ${[...below].join(', ')}`])],
    }));
  }
}

/** Families of names that parts below a graph have. */
function familiesBelow(graph: Graph, found = new Set<string>(), seen = new Set<Graph>()): ReadonlySet<string> {
  for (const { part } of graph.instances) {
    if (part.kind === 'scan' || seen.has(part)) continue;
    seen.add(part);
    for (const family of familiesOf(part)) found.add(family);
    familiesBelow(part, found, seen);
  }
  return found;
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}

/** How far one step along each axis is in a param, row by row. */
function nativeSteps(axes: readonly Axis[]): ReadonlyMap<string, number> {
  const steps = new Map<string, number>();
  let step = 1;
  for (const { name, size } of [...axes].reverse()) {
    steps.set(name, step);
    step *= size;
  }
  return steps;
}

/** The steps of some of the axes, in their order. */
function stepsOf(axes: readonly Axis[], some: readonly Axis[]): readonly number[] {
  if (some.length === 0) return [];
  const steps = nativeSteps(axes);
  return some.map(({ name }) => steps.get(name) ?? NaN);
}

/** To the next index, the last axis turning fastest. */
function advance(at: number[], axes: readonly Axis[]): void {
  for (let i = at.length - 1; i >= 0; i--) {
    if (++at[i] < axes[i].size) return;
    at[i] = 0;
  }
}
