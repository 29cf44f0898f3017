import type { Span } from '../../ir/common/span.js';
import type { FlowBuilder } from '../../ir/flow/build.js';
import type { DomainId, FlowResult, FlowTake, ValueId } from '../../ir/flow/flow.js';
import type { Graph, GraphNode } from '../../ir/graph/graph.js';
import type { Axis } from '../../ir/graph/types.js';

/** What a Graph cannot be expressed for, and where that stands. */
export interface Refusal {
  readonly reason: string;
  readonly origin: Span;
  /** What it is for: what looks back at tokens, or what chooses among other tokens or at some of them. */
  readonly form?: 'past' | 'choice';
}

/** Everything of one Flow while it is made. */
export interface Making {
  readonly b: FlowBuilder;
  /** The value of a node on its own domain, and at slots of the tokens of its part. */
  value(scope: Scope, node: number): Low;
  at(scope: Scope, node: number, domain: DomainId): Low;
  readonly refusals: Refusal[];
  /** By path; several of one path add up. */
  readonly losses: FlowResult[];
  readonly counts: FlowResult[];
  /** Where the rows of a call stand among them, by its place, and the scope that called. */
  readonly counted: Map<string, { readonly at: number; readonly scope: Scope }>;
  readonly takes: FlowTake[];
  /** Scopes of parts that have updates. */
  readonly updated: Scope[];
}

/** One part on one domain. */
export interface Scope {
  readonly making: Making;
  readonly graph: Graph;
  readonly path: string;
  /** The calls through which it was reached. */
  readonly place: string;
  /** Its tokens: those of the call, or slots. */
  readonly domain: DomainId;
  /** Families around it, whose axes its params have in front. */
  readonly family: readonly Axis[];
  /** Axes over which the calls around it are mapped, families included, from outside to inside. */
  readonly lanes: readonly Axis[];
  /** Is it called at some of the tokens only? */
  readonly some: boolean;
  /** A choice of its rows, where not all are tokens of the part; it is asked for by whoever counts them. */
  there(): ValueId | undefined;
  /** Of the update after a step: the scope of its calls. */
  readonly before: Scope | undefined;
  /** The name that an axis of the part has in the Flow. */
  readonly named: (axis: Axis) => Axis;
  input(index: number): Low;
  /** What is made already, by node and domain; and scopes of calls, by node and domain. */
  readonly made: Map<string, Low>;
  readonly calls: Map<string, Scope>;
}

/** A value, and picks that may have picked nothing: folds over tokens leave those tokens out. */
export interface Low {
  readonly id: ValueId;
  readonly picked: readonly ValueId[];
}

export function low(id: ValueId, ...from: readonly Low[]): Low {
  return { id, picked: [...new Set(from.flatMap(({ picked }) => picked))] };
}

/** Notes why there is no Flow, and gives a value to go on with, so that all reasons are found at once. */
export function refuse({ making }: Scope, reason: string, { origin }: GraphNode, form?: Refusal['form']): Low {
  making.refusals.push({ reason, origin, ...(form && { form }) });
  return { id: making.b.add({ kind: 'literal', value: 0, axes: [] }, origin), picked: [] };
}

/** The domain of what has an axis over the past: tokens with those that they see. Undefined: it has none. */
export function pastDomain({ making: { b } }: Scope, axes: readonly Axis[]): DomainId | undefined {
  const window = axes.find((axis) => axis.past);
  return window === undefined ? undefined : b.domain({ kind: 'pair', window });
}

export function plainAxes({ named }: Scope, axes: readonly Axis[]): readonly Axis[] {
  return axes.filter((axis) => !axis.past).map(named);
}

/** Axes of a node as the Flow names them. Those over which the part is called come with its arguments. */
export function axesOf(scope: Scope, node: number): readonly Axis[] {
  return scope.graph.nodes[node].type.axes.map(scope.named);
}
