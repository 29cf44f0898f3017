import type { Span } from '../../ir/common/span.js';
import type { Graph, ScanPart } from '../../ir/graph/graph.js';
import { operandsOf } from '../../ir/graph/operands.js';
import type { GraphState, Kept } from './state.js';
import type { Tokens } from './tokens.js';
import type { Tape, Value } from './value.js';

export type GraphProgram = 'train' | 'eval' | 'step';

/** How many tokens a mean over tokens had: one number for each of its results. */
export interface MeanCount {
  readonly path: string;
  readonly node: number;
  readonly origin: Span;
  readonly counts: Float64Array;
}

/** One evaluation of a program, with all parts in it. */
export interface Run {
  readonly program: GraphProgram;
  readonly seed: number;
  readonly step: number;
  readonly tape: Tape | undefined;
  /** A param or buffer with the axes of the families around it in front, as one row. */
  param(path: string, size: number): Value;
  /** Values of losses, by path: turns and lanes add up. */
  readonly losses: Map<string, Value[]>;
  /** Tokens of each index of a family, by path. */
  readonly counts: Map<string, Float64Array>;
  /** Evaluations of parts that have choices with names. */
  readonly choosing: Scope[];
  readonly means: MeanCount[];
  readonly before: GraphState | undefined;
  readonly after: {
    readonly seen: Map<string, Int32Array>;
    readonly kept: Map<string, Kept>;
    readonly scans: Map<string, ReadonlyMap<string, Float64Array>>;
  };
  /** Evaluations of parts that have updates, by path and number of the family's index. */
  readonly updated: Map<string, Scope[]>;
  readonly facts: Map<Graph, Facts>;
  /** The value of a node, computed when it is first asked for. */
  valueOf(scope: Scope, node: number): Value;
}

/** One evaluation of a graph. */
export interface Scope {
  readonly run: Run;
  readonly graph: Graph;
  /** Of its weights: `ffn.3.expert`. */
  readonly path: string;
  /** Of what it keeps: the calls and indices through which it was reached. */
  readonly place: string;
  /** Which index of the families around it, of how many. */
  readonly lane: Lane;
  readonly tokens: Tokens;
  /** Undefined: not given, and only a loss may ask for it. */
  readonly inputs: readonly (Value | undefined)[];
  readonly values: (Value | undefined)[];
  readonly calls: Map<number, CallOutputs>;
}

export interface Lane {
  readonly index: number;
  readonly count: number;
}

/** Outputs of a call, computed when they are first asked for. */
export type CallOutputs = (output: number) => Value;

/** What evaluating a graph needs of its text, besides what `ir/graph/facts` has. */
export interface Facts {
  /** Calls of parts that have losses or updates, themselves or in parts of theirs: they count whether or not their outputs are read. */
  readonly counted: readonly number[];
}

export function openScope(run: Run, graph: Graph, at: Omit<Scope, 'run' | 'graph' | 'values' | 'calls'>): Scope {
  const scope: Scope = {
    ...at, run, graph, values: new Array<Value | undefined>(graph.nodes.length).fill(undefined), calls: new Map(),
  };
  if (graph.choices.length > 0) run.choosing.push(scope);
  return scope;
}

export function factsOf(run: Run, graph: Graph): Facts {
  const known = run.facts.get(graph);
  if (known !== undefined) return known;
  const counted = graph.nodes.flatMap((node, id) => {
    return node.kind === 'call' && settles(run, graph.instances[node.instance].part) ? [id] : [];
  });
  const facts = { counted };
  run.facts.set(graph, facts);
  return facts;
}

function settles(run: Run, part: Graph | ScanPart): boolean {
  return part.kind !== 'scan' && (part.losses.length > 0 || part.updates.length > 0 || factsOf(run, part).counted.length > 0);
}

/** All nodes that some need, themselves included, in order. */
export function coneOf(graph: Graph, roots: readonly number[]): readonly number[] {
  const wanted = graph.nodes.map(() => false);
  for (const root of roots) wanted[root] = true;
  for (let id = wanted.length - 1; id >= 0; id--) if (wanted[id]) for (const arg of operandsOf(graph.nodes[id])) wanted[arg] = true;
  return wanted.flatMap((yes, id) => (yes ? [id] : []));
}

/** Values of some nodes. What they need comes first, in order, so that nothing is reached through a long chain. */
export function valuesOf(scope: Scope, roots: readonly number[]): Value[] {
  for (const id of coneOf(scope.graph, roots)) scope.run.valueOf(scope, id);
  return roots.map((root) => scope.run.valueOf(scope, root));
}
