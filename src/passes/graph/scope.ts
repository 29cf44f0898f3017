import { sameProblem, type Diagnostic } from '../../diagnostics/diagnostic.js';
import type { Expr } from '../../ir/ast/ast.js';
import type { Range } from '../../ir/common/range.js';
import type { Span } from '../../ir/common/span.js';
import type { GraphBuilder } from '../../ir/graph/build.js';
import type {
  Graph, GraphChoice, GraphInput, GraphLoss, GraphParam, GraphUpdate, Instance, Law, LawNode,
} from '../../ir/graph/graph.js';
import type { NameEntry } from '../../ir/graph/names.js';
import type { Axis } from '../../ir/graph/types.js';
import type { Spec } from '../../ir/spec/spec.js';
import type { Part } from './part.js';

/** What a setting of `with` can be. */
export type Setting =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'part'; readonly part: Part };

/** What an expression stands for. Numbers are known when building; comparisons of them are 1 or 0. */
export type Value =
  | Setting
  | { readonly kind: 'node'; readonly id: number }
  /** `past`, or a window of it. */
  | { readonly kind: 'past'; readonly axis: Axis };

/** Nothing, where an error has been reported: whoever uses it stays silent. */
export type Found = Value | undefined;

/** What a name stands for. */
export type Binding = { readonly name: string; readonly origin: Span } & (
  | { readonly kind: 'setting'; readonly value: Setting | undefined }
  | { readonly kind: 'turn' | 'const'; readonly value: Found }
  | { readonly kind: 'input'; readonly value: Found }
  | { readonly kind: 'param' | 'buffer'; readonly index: number; readonly value: Found }
  | { readonly kind: 'let'; readonly value: Found }
  | { readonly kind: 'output'; readonly axes: readonly Axis[]; readonly value: Found; readonly assigned: boolean }
  | { readonly kind: 'instance'; readonly use: Use }
);

/** A part with weights of its own, before and while it is called. */
export interface Use {
  readonly name: string;
  readonly part: Part;
  readonly given: Given;
  /** Signature axes of the part -> axes of the caller. */
  readonly renamed: ReadonlyMap<string, string>;
  readonly family: readonly Axis[];
  readonly turns: readonly (number | string)[];
  readonly loops: Loops;
  readonly origin: Span;
  /** Place among the instances, by the heads of a scan; one for everything else. Undefined where the part has errors. */
  readonly places: Map<string, number | undefined>;
}

/** Values of loop variables, by name. */
type Loops = ReadonlyMap<string, number | string>;

/** Names of one block: those of the part, or of one turn. */
export interface Frame {
  readonly names: Map<string, Binding>;
  readonly parent: Frame | undefined;
  readonly turns: readonly (number | string)[];
  readonly loops: Loops;
  /** Parts called by their own name in this turn. */
  readonly own: Map<string, Use>;
}

/** How parts below this one are elaborated. */
export interface Workshop {
  /** The meaning of a part with what it is given; undefined where it has errors, which are reported once. `from` is where it is used. */
  graph(part: Part, given: Given, training: boolean, from: Span): Graph | undefined;
  spec(part: Part, given: Given, from: Span): Spec | undefined;
}

/** Settings of a part by name, sizes of its signature axes among them. */
export type Given = ReadonlyMap<string, Setting>;

/** What is known while one part is read, in the order of its statements. */
export interface Scope {
  readonly part: Part;
  readonly kind: 'layer' | 'moe' | 'model';
  readonly training: boolean;
  /** Has the text asked for that, here or in a part below? If not, it means the same outside. */
  readonly asked: { training: boolean };
  readonly workshop: Workshop;
  /**
   * Settings of parts below that whoever elaborates this one gives, by path: `ffn.E`, `ffn.expert.F`. They come before those of the text.
   */
  readonly beneath: Given;
  /** Names of parts that were found for them. */
  readonly reached: Set<string>;
  readonly builder: GraphBuilder;
  frame: Frame;
  readonly inputs: GraphInput[];
  readonly params: GraphParam[];
  readonly instances: Instance[];
  /** Paths of instances and losses, and where each was made. */
  readonly paths: { readonly instances: Map<string, Span>; readonly losses: Map<string, Span> };
  readonly losses: GraphLoss[];
  /** Choices that have names, by path. */
  readonly choices: Map<string, GraphChoice>;
  readonly updates: GraphUpdate[];
  readonly names: Map<string, NameEntry[]>;
  init: Law | undefined;
  /** Sizes of all axes, and where they were first met. */
  readonly axes: Map<string, { readonly size: number; readonly origin: Span }>;
  /** Where the nodes so far are known to lie. */
  readonly ranges: Range[];
  /** Draws so far. */
  draws: number;
  /** Turns of all `repeat`s so far. */
  turned: number;
  /** Is this the law of a param? */
  readonly inLaw: boolean;
  /** Draws of laws by the nodes that stand for them; these are in no graph. */
  readonly lawDraws: Map<number, LawNode>;
  readonly diagnostics: Diagnostic[];
  /** Names without a meaning of which an error was reported: it is said once, and whoever else uses them stays silent. */
  readonly said: Set<string>;
  /** The value of an expression; functions reach their arguments by it. */
  resolve(expr: Expr): Found;
  /** The same with another scope, such as that of a law. */
  resolveIn(scope: Scope, expr: Expr): Found;
}

export function report(scope: Scope, d: Diagnostic): undefined {
  if (!scope.diagnostics.some((other) => sameProblem(other, d))) scope.diagnostics.push(d);
  return undefined;
}

/** Whoever reads whether this is training asks here. */
export function isTraining({ training, asked }: Scope): boolean {
  asked.training = true;
  return training;
}

export function lookUp(scope: Scope, name: string): Binding | undefined {
  for (let frame: Frame | undefined = scope.frame; frame !== undefined; frame = frame.parent) {
    const binding = frame.names.get(name);
    if (binding !== undefined) return binding;
  }
  return undefined;
}

/** Gives a name of this block or of one around it another value. */
export function rebind(scope: Scope, binding: Binding): void {
  for (let frame: Frame | undefined = scope.frame; frame !== undefined; frame = frame.parent) {
    if (frame.names.has(binding.name)) {
      frame.names.set(binding.name, binding);
      return;
    }
  }
}

/** A name that was declared in vain: whoever uses it stays silent. */
export function spoil(scope: Scope, name: string): void {
  const binding = lookUp(scope, name);
  if (binding === undefined) scope.said.add(name);
  else rebind(scope, { kind: 'let', name, origin: binding.origin, value: undefined });
}

/** Reports that a name has no meaning, once. */
export function reportName(scope: Scope, name: string, make: () => Diagnostic): undefined {
  if (!scope.said.has(name)) report(scope, make());
  scope.said.add(name);
  return undefined;
}

export function visibleNames(scope: Scope): readonly string[] {
  const names: string[] = [];
  for (let frame: Frame | undefined = scope.frame; frame !== undefined; frame = frame.parent) names.push(...frame.names.keys());
  return names;
}

/** `axes [K, V]`, or `a scalar`. */
export function axesLabel(axes: readonly Axis[]): string {
  return axes.length === 0 ? 'a scalar' : `axes ${shape(axes)}`;
}

export function shape(axes: readonly Axis[]): string {
  return `[${axes.map((axis) => axis.name).join(', ')}]`;
}

export function list(axes: readonly Axis[]): string {
  return axes.map((axis) => `\`${axis.name}\``).join(' and ');
}

/** Parentheses that a call makes needless. */
export function bare(expr: Expr): Expr {
  return expr.kind === 'group' ? bare(expr.inner) : expr;
}
