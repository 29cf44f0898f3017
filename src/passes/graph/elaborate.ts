import { diagnostic, hasErrors, sameProblem, type Diagnostic } from '../../diagnostics/diagnostic.js';
import type { Span } from '../../ir/common/span.js';
import { graphBuilder } from '../../ir/graph/build.js';
import type { Graph, Instance } from '../../ir/graph/graph.js';
import type { Spec } from '../../ir/spec/spec.js';
import { resolveScan, type Resolved } from '../resolve/resolve.js';
import { resolve } from './expression.js';
import { finish } from './finish.js';
import { readHeader } from './header.js';
import { nameOf, signatureAxes, type Part } from './part.js';
import type { Given, Scope, Setting, Workshop } from './scope.js';
import { runAll } from './statements.js';
import { unreached } from './uses.js';

/** A part with what it was given. */
export interface Elaborated {
  /** Undefined if there are errors. */
  readonly graph: Graph | undefined;
  /** Of the part and of those that it uses. */
  readonly diagnostics: readonly Diagnostic[];
}

export interface Elaborator {
  /** What is elaborated from now on counts for another file. */
  nextFile(): void;
  elaborate(part: Part, given: Given, training: boolean): Elaborated;
  /** A part by itself, at the settings of its header. */
  alone(part: Part, training: boolean): Elaborated;
  /** What stands in for sizes that its header leaves to callers where it is right by itself, or 64. */
  standIn(part: Part): number;
  /** A scan with numbers and sizes in place of those of its header. */
  scan(part: Part, given: Given): Resolved;
}

interface Made<T> {
  readonly made: T | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

interface MadeGraph extends Made<Graph> {
  /** Does it mean something else outside of training? */
  readonly asks: boolean;
}

/** Parts that may lie in each other. */
const DEEPEST = 64;
/** Parts with settings of their own: each of two that uses two others of different numbers doubles them. */
const MOST_PARTS = 4096;

/** Elaborates parts, each once for the same settings. */
export function elaborator(): Elaborator {
  const graphs = new Map<string, MadeGraph>();
  const outsides = new Map<Graph, Graph>();
  const specs = new Map<string, Made<Spec>>();
  const open: string[] = [];
  /** Parts of the files before. */
  let earlier = 0;

  const graphOf = (part: Part, given: Given, training: boolean): MadeGraph => {
    const key = keyOf(part, given, training);
    const known = graphs.get(key) ?? (training ? undefined : likeTraining(graphs.get(keyOf(part, given, true)), outsides));
    if (known !== undefined) {
      graphs.set(key, known);
      return known;
    }
    open.push(partKey(part));
    const made = elaborateOnce(part, given, training, workshop);
    open.pop();
    graphs.set(key, made);
    return made;
  };

  const alone = (part: Part, training: boolean): Made<Graph> => graphOf(part, standIns(part, standIn(part, training)), training);

  const standIn = (part: Part, training: boolean): number => {
    const right = (size: number) => !hasErrors(graphOf(part, standIns(part, size), training).diagnostics);
    return (unsized(part).length === 0 ? undefined : STAND_INS.find(right)) ?? STAND_INS[0];
  };

  const specOf = (part: Part, given: Given): Made<Spec> => {
    const numbers = numbersOf(part, given);
    const key = `${partKey(part)} ${JSON.stringify([...numbers].sort())}`;
    const known = specs.get(key);
    if (known !== undefined) return known;
    const { spec, diagnostics } = resolveScan(part.item, numbers);
    const made = { made: spec, diagnostics };
    specs.set(key, made);
    return made;
  };

  /** Diagnostics of a part below, with the place that uses it where it is right by itself. */
  const below = (scope: Diagnostic[], made: Made<unknown>, own: () => readonly Diagnostic[], part: Part, given: Given,
    from: Span): void => {
    if (made.diagnostics.length === 0) return;
    const standard = hasErrors(made.diagnostics) ? own() : made.diagnostics;
    for (const d of made.diagnostics) {
      if (scope.some((other) => sameProblem(other, d))) continue;
      const alone = standard.some((other) => sameProblem(other, d));
      scope.push(alone || d.secondary.some(({ text }) => text.startsWith(USED))
        ? d : { ...d, secondary: [...d.secondary, { span: from, text: `${USED}${settingsText(part, given)}` }] });
    }
  };

  const workshop = (scope: Diagnostic[], asked: Scope['asked']): Workshop => ({
    graph(part, given, training, from) {
      if (open.includes(partKey(part))) {
        scope.push(diagnostic('E814', `\`${nameOf(part)}\` contains itself`, from, 'used here', {
          secondary: [{ span: part.item.name.origin, text: 'declared here' }],
          help: ['a part is made of others: for one of many turns write a `repeat`'],
        }));
        return undefined;
      }
      const why = open.length >= DEEPEST ? `parts are used more than ${DEEPEST} deep` : graphs.size - earlier >= MOST_PARTS
        ? `more than ${MOST_PARTS} parts of different settings` : undefined;
      if (why !== undefined) {
        scope.push(diagnostic('E106', why, from, 'one more',
          { help: ['use parts side by side, and give like ones the same numbers: a part is read once for each set of them'] }));
        return undefined;
      }
      const made = graphOf(part, given, training);
      if (made.asks) asked.training = true;
      below(scope, made, () => alone(part, training).diagnostics, part, given, from);
      return made.made;
    },
    spec(part, given, from) {
      const made = specOf(part, given);
      below(scope, made, () => specOf(part, new Map()).diagnostics, part, given, from);
      return made.made;
    },
  });

  return {
    nextFile() {
      earlier = graphs.size;
    },
    elaborate: (part, given, training) => elaborated(graphOf(part, given, training)),
    alone: (part, training) => elaborated(alone(part, training)),
    standIn: (part) => standIn(part, true),
    scan(part, given) {
      const { made, diagnostics } = specOf(part, given);
      return { spec: made, diagnostics };
    },
  };
}

function elaborated({ made, diagnostics }: Made<Graph>): Elaborated {
  return { graph: made, diagnostics };
}

const USED = 'used here with ';

function settingsText(part: Part, given: Given): string {
  const text = (setting: Setting): string => (setting.kind === 'number' ? String(setting.value) : setting.kind === 'text'
    ? `"${setting.text}"` : nameOf(setting.part));
  const all = [...given].map(([name, setting]) => `${name} = ${text(setting)}`);
  return all.length === 0 ? `the settings of \`${nameOf(part)}\`` : all.join(', ');
}

function partKey(part: Part): string {
  return `${part.file}#${nameOf(part)}`;
}

function keyOf(part: Part, given: Given, training: boolean): string {
  const settings = [...given].map(([name, setting]) => [name,
    setting.kind === 'number' ? setting.value : setting.kind === 'text' ? `"${setting.text}` : partKey(setting.part)]);
  return `${partKey(part)} ${training} ${JSON.stringify(settings.sort())}`;
}

/** Numbers of a scan's header that are given. */
function numbersOf(part: Part, given: Given): ReadonlyMap<string, number> {
  const own = part.item.bindings.map((binding) => binding.name.text);
  return new Map([...given].flatMap(([name, setting]): [string,
    number][] => (setting.kind === 'number' && own.includes(name) ? [[name, setting.value]] : [])));
}

/** Axes of a signature that a header leaves to its callers. */
export function unsized(part: Part): readonly string[] {
  const own = part.item.bindings.map((binding) => binding.name.text);
  return signatureAxes(part.item).filter((axis) => !own.includes(axis));
}

/** Sizes that stand in for those that callers give: the first with which a part is right, if there is one. */
const STAND_INS = [64, 48, 6, 2, 1];

function standIns(part: Part, size: number): Given {
  return new Map(unsized(part).map((axis) => [axis, { kind: 'number', value: size }]));
}

/** What is right in training and never asks for it is the same outside. */
function likeTraining(made: MadeGraph | undefined, known: Map<Graph, Graph>): MadeGraph | undefined {
  if (made?.made === undefined || made.asks || made.diagnostics.length > 0) return undefined;
  return { ...made, made: outsideOf(made.made, known) };
}

function outsideOf(graph: Graph, known: Map<Graph, Graph>): Graph {
  const before = known.get(graph);
  if (before !== undefined) return before;
  const instances = graph.instances.map((instance): Instance => (
    instance.part.kind === 'scan' ? instance : { ...instance, part: outsideOf(instance.part, known) }
  ));
  const made: Graph = { ...graph, training: false, instances };
  known.set(graph, made);
  return made;
}

function elaborateOnce(
  part: Part, given: Given, training: boolean, workshop: (diagnostics: Diagnostic[], asked: Scope['asked']) => Workshop,
): MadeGraph {
  const { kind } = part.item;
  if (kind === 'scan') throw new Error(`${nameOf(part)} is a scan`);
  const diagnostics: Diagnostic[] = [];
  const asked = { training: false };
  const scope: Scope = {
    part, kind, training, asked, workshop: workshop(diagnostics, asked), builder: graphBuilder(),
    beneath: new Map([...given].filter(([name]) => name.includes('.'))), reached: new Set(),
    frame: { names: new Map(), parent: undefined, turns: [], loops: new Map(), own: new Map() },
    inputs: [], params: [], instances: [], paths: { instances: new Map(), losses: new Map() }, losses: [], choices: new Map(), updates: [],
    names: new Map(), init: undefined,
    axes: new Map(), ranges: [], draws: 0, turned: 0, inLaw: false, lawDraws: new Map(), diagnostics, said: new Set(part.missing),
    resolve: (expr) => resolve(scope, expr),
    resolveIn: resolve,
  };
  readHeader(scope, given);
  runAll(scope, part.item.body);
  unreached(scope);
  const graph = finish(scope, given);
  return { made: graph, diagnostics, asks: asked.training };
}
