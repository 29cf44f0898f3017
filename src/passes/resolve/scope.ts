import type { Diagnostic } from '../../diagnostics/diagnostic.js';
import type { Expr } from '../../ir/ast/ast.js';
import type { Axis } from '../../ir/common/axes.js';
import type { Span } from '../../ir/common/span.js';
import type { SpecBuilder } from '../../ir/spec/build.js';

/** A node, or nothing where an error has been reported: whoever uses it stays silent. */
export type Node = number | undefined;

/**
 * What a name of a scan stands for. `broken`: its shape has an error, which has been reported; so nothing that reads it is looked at.
 */
export type Binding = { readonly name: string; readonly origin: Span; readonly broken?: true } & (
  | { readonly kind: 'input'; readonly index: number; readonly axes: readonly Axis[] }
  | { readonly kind: 'param'; readonly index: number; readonly axes: readonly Axis[] }
  /** `output` is its place among the outputs, if it is one too. */
  | { readonly kind: 'state'; readonly index: number; readonly axes: readonly Axis[]; readonly output: number | undefined }
  | { readonly kind: 'output'; readonly index: number; readonly axes: readonly Axis[] }
  | { readonly kind: 'let' | 'const'; readonly value: Node }
);

/** What is known while the statements of one scan are read, in their order. */
export interface Scope {
  readonly builder: SpecBuilder;
  /** Axes with the place where each was first named. */
  readonly axes: ReadonlyMap<Axis, Span>;
  readonly bindings: Map<string, Binding>;
  /** Values of states and outputs that have been assigned. */
  readonly assigned: Map<string, { readonly value: Node; readonly origin: Span }>;
  /** Where the statements below give a name its value. */
  readonly below: Map<string, Span>;
  readonly used: Set<string>;
  /** Names that nothing declares, of which an error was reported: whoever else uses them stays silent. */
  readonly said: Set<string>;
  readonly diagnostics: Diagnostic[];
  /** The value of an expression; functions reach their arguments by it. */
  resolve(expr: Expr): Node;
  /** The state that holds `x[t-1]` of an input. */
  pastOf(input: number): number;
}

/** Records an error; the value is then missing. */
export function report(scope: Scope, d: Diagnostic): undefined {
  scope.diagnostics.push(d);
  return undefined;
}

/** `axes [K, V]`, or `a scalar`. */
export function axesLabel(axes: readonly Axis[]): string {
  return axes.length === 0 ? 'a scalar' : `axes ${shape(axes)}`;
}

export function shape(axes: readonly Axis[]): string {
  return `[${axes.join(', ')}]`;
}
