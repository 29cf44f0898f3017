import type { MathName } from '../common/dag.js';
import type { Range } from '../common/range.js';
import type { Span } from '../common/span.js';
import type { Spec } from '../spec/spec.js';
import type { NameSection } from './names.js';
import type { Axis, Silent, ValueType } from './types.js';

/**
 * What one `layer`, `moe` or `model` means at given sizes, in training or outside: names resolved, axes and restrictions checked, `if` and
 * `repeat` gone. Still mathematics: no dtype, no batch. A graph is evaluated over a set of tokens, those of a call or, for a part that is
 * called with restricted arguments, those present. Parts stay calls, so 61 like layers are one graph that is called 61 times.
 *
 * Example: `layer f(x: [D]) -> y: [D] { param w: [D] = 1   y = w * rmsnorm(x) }` has one input, one param, nodes for the norm and the
 * product, one output.
 */
export interface Graph {
  readonly kind: 'layer' | 'moe' | 'model';
  readonly name: string;
  /** Text of the `///` comment, without the slashes. */
  readonly doc: string;
  /** Was it made for the program `train`? `eval` and `step` have graphs of their own, since `if training` is resolved. */
  readonly training: boolean;
  /** What it was made with, in the order of its header: sizes, other numbers, texts, names of parts. */
  readonly settings: ReadonlyMap<string, number | string>;
  readonly inputs: readonly GraphInput[];
  readonly params: readonly GraphParam[];
  readonly instances: readonly Instance[];
  /** In topological order, which is the order of the text. */
  readonly nodes: readonly GraphNode[];
  readonly outputs: readonly GraphOutput[];
  readonly losses: readonly GraphLoss[];
  readonly choices: readonly GraphChoice[];
  readonly updates: readonly GraphUpdate[];
  /** Of params without a law, here and in all parts below: node of the law. Undefined: of whoever calls, `normal(0.02)` for nobody. */
  readonly init: Law | undefined;
  /** How checkpoints store the params, one section a family. */
  readonly names: readonly NameSection[];
  readonly origin: Span;
}

export interface GraphInput {
  readonly name: string;
  readonly type: ValueType;
  /** Of the values; [0, size - 1] of the axis for `one of`. */
  readonly range: Range;
  readonly origin: Span;
}

/** `param` or `buffer`: its path in the part is its name. */
export interface GraphParam {
  readonly name: string;
  readonly axes: readonly Axis[];
  /** A buffer has no gradient and no decay. */
  readonly buffer: boolean;
  /** How it starts; undefined for the `init` of the model. */
  readonly law: Law | undefined;
  readonly range: Range;
  /** Stored and read in f32. */
  readonly f32: boolean;
  readonly decay: boolean;
  readonly origin: Span;
}

/**
 * The start of a param: nodes of their own, evaluated once. `normal`, `uniform`, `orthogonal` are draws keyed by the path of the param; a
 * law without axes is repeated for every element, each with a draw of its own.
 */
export interface Law {
  readonly nodes: readonly LawNode[];
  readonly value: number;
  readonly origin: Span;
}

export type LawNode =
  | { readonly kind: 'literal'; readonly value: number }
  /** Counts the axes row by row from 0. */
  | { readonly kind: 'index'; readonly axes: readonly Axis[] }
  | { readonly kind: 'map'; readonly fn: MathName; readonly args: readonly number[] }
  | { readonly kind: 'normal'; readonly std: number }
  | { readonly kind: 'uniform'; readonly lo: number; readonly hi: number }
  /** The first axis against the rest, times `gain`. */
  | { readonly kind: 'orthogonal'; readonly gain: number };

/** A part with weights and states of its own (`use`, or a part called by its name). Its path follows that of the part that has it. */
export interface Instance {
  /** `la`; the name of the part where it is called without `use`. */
  readonly name: string;
  /** Values of the loop variables around it, from outside to inside: `la.3`. */
  readonly turns: readonly (number | string)[];
  /** Values of all loop variables around it by name, letters of a text included: `{i}` in names of tensors. */
  readonly loops: ReadonlyMap<string, number | string>;
  /** `expert[E]`: one of each per index; its params have these axes in front. */
  readonly family: readonly Axis[];
  readonly part: Graph | ScanPart;
  readonly origin: Span;
}

/** A scan at given sizes; its params have the axes over which its calls are mapped (heads) in front. */
export interface ScanPart {
  readonly kind: 'scan';
  readonly name: string;
  readonly spec: Spec;
  readonly sizes: ReadonlyMap<string, number>;
  /** Axes of the heads, outermost first: those that its arguments have beyond the signature. */
  readonly heads: readonly Axis[];
  readonly origin: Span;
}

export interface GraphOutput {
  readonly name: string;
  /** In the order of the signature, in which files hold it; the value has the same axes in any order. */
  readonly axes: readonly Axis[];
  readonly value: number;
  readonly origin: Span;
}

/** One number, added to what is minimised. Losses of turns and of parts have paths: `ffn.3.balance`. */
/** A choice that has a name in the text: how often each index is chosen is worth knowing. */
export interface GraphChoice {
  readonly name: string;
  /** As of a loss. */
  readonly turns: readonly (number | string)[];
  readonly value: number;
}

export interface GraphLoss {
  readonly name: string;
  /** Of a loss that stands in a `repeat`. */
  readonly turns: readonly (number | string)[];
  readonly value: number;
  readonly origin: Span;
}

/** The value of a buffer after an optimiser step. All updates of a step read what was before it. */
export interface GraphUpdate {
  readonly param: number;
  readonly value: number;
  readonly origin: Span;
}

/** Rounds after which a plan that has not settled never will. */
export const MOST_ROUNDS = 100_000;

export type Comparison = '<' | '<=' | '>' | '>=' | '==' | '!=';

/** `args` and friends are indices of earlier nodes. Every node has the type of its value. */
export type GraphNode = { readonly type: ValueType; readonly origin: Span } & NodeBody;

export type NodeBody =
  /** The same at all axes that its type has. */
  | { readonly kind: 'literal'; readonly value: number }
  | { readonly kind: 'input'; readonly input: number }
  | { readonly kind: 'param'; readonly param: number }
  /** Number of tokens of the call, of sequences, of tokens of this sequence, of ranks, of calls in a step. */
  | { readonly kind: 'count'; readonly of: Silent }
  /**
   * Counts axes row by row, from 0; with `over`, tokens: of the sequence (`time`), of the call (`tokens`), or as the caller counts them
   * (`position`: by `time` where it says nothing).
   */
  | { readonly kind: 'index'; readonly axes: readonly Axis[]; readonly over: 'time' | 'tokens' | 'position' | undefined }
  /** Elementwise; axes broadcast by name. What is absent in one argument is absent in the result. */
  | { readonly kind: 'map'; readonly fn: MathName | '%'; readonly args: readonly number[] }
  /** Sums the product over `axes`, which both have; other shared axes stay. */
  | { readonly kind: 'contract'; readonly left: number; readonly right: number; readonly axes: readonly Axis[] }
  /**
   * Folds named axes and silent ones. What is absent is skipped; the sum and the mean of nothing are 0, the product is 1, `max`, `min` and
   * `logsumexp` are absent.
   */
  | { readonly kind: 'fold'; readonly op: FoldOp; readonly arg: number; readonly axes: readonly Axis[]; readonly silent: readonly Silent[] }
  /** Over `axes` (one of them may be the past). `sink`: its exponential is in the denominator as well. */
  | { readonly kind: 'softmax'; readonly arg: number; readonly axes: readonly Axis[]; readonly sink: number | undefined }
  /**
   * A choice: the `count` largest along the axes or silent axes; ties go to the lower index. What is absent is never chosen; the result is
   * false there.
   */
  | {
    readonly kind: 'top'; readonly arg: number; readonly axes: readonly Axis[]; readonly silent: readonly Silent[];
    readonly count: number;
  }
  /** A choice; absent where one of the two is. */
  | { readonly kind: 'compare'; readonly op: Comparison; readonly left: number; readonly right: number }
  /** Of choices; `and` and `or` read what is absent as false, `not` of absent is absent. */
  | { readonly kind: 'logic'; readonly op: 'and' | 'or' | 'not'; readonly args: readonly number[] }
  /** 1 where the choice holds, else 0; 0 where it is absent. */
  | { readonly kind: 'mask'; readonly choice: number }
  /** `x[c]`: absent where c does not hold. */
  | { readonly kind: 'restrict'; readonly arg: number; readonly choice: number }
  /** `sum[](x)`: 0 where absent, no restriction left. */
  | { readonly kind: 'lift'; readonly arg: number }
  /** `x[i]`: the axis goes; a negative index picks 0 without a gradient, and folds over tokens leave the token out. */
  | { readonly kind: 'pick'; readonly arg: number; readonly axis: Axis; readonly index: number }
  /** `labels[t]` and other uses of an index as a number. */
  | { readonly kind: 'number'; readonly arg: number }
  /** `x[t-1]`; 0 at the first token of a sequence. */
  | { readonly kind: 'before'; readonly arg: number }
  /** Sum over j of weight[j] * x[t - (taps - 1) + j], the weight having `taps` and axes of x. */
  | { readonly kind: 'conv'; readonly arg: number; readonly weight: number; readonly taps: Axis }
  /** `x[past]`: x at the tokens of this sequence up to this one, along a new axis. */
  | { readonly kind: 'past'; readonly arg: number; readonly axis: Axis }
  /** Turns the first 2 I values of `axis` by `position * frequency[i]`. `halves`: (i, i + I) are a pair; `adjacent`: (2 i, 2 i + 1). */
  | {
    readonly kind: 'rope'; readonly arg: number; readonly axis: Axis; readonly frequency: number; readonly turn: Axis;
    readonly pairs: 'halves' | 'adjacent';
  }
  /**
   * exp(arg), rows and columns scaled in turn to even sums until the mean change of the column factors is below `tolerance`. Without a
   * gradient.
   */
  | { readonly kind: 'sinkhorn'; readonly arg: number; readonly axis: Axis; readonly tolerance: number }
  /** One draw per token and index of `axes`, a function of seed, step, path, token and index. `draw` numbers the draws of this part. */
  | { readonly kind: 'normal'; readonly draw: number }
  | { readonly kind: 'uniform'; readonly draw: number; readonly lo: number; readonly hi: number }
  /** 0 with probability `rate`, else arg / (1 - rate). Not in graphs outside training. */
  | { readonly kind: 'dropout'; readonly draw: number; readonly arg: number; readonly rate: number }
  /** The value without its gradient. */
  | { readonly kind: 'stop'; readonly arg: number }
  /** Kept in f32, products with it too. */
  | { readonly kind: 'f32'; readonly arg: number }
  /**
   * A part called. `mapped`: axes of its family, and those of the arguments that its signature lacks; each index of them is a call of its
   * own (for a family, with weights of its own). A part that looks at one token at a time may be called at the past too, which is not
   * among them. Arguments that are restricted are called on the tokens present only. Its values are read by `result`.
   */
  | {
    readonly kind: 'call'; readonly instance: number; readonly args: readonly number[]; readonly mapped: readonly Axis[];
    readonly renamed: Renaming;
  }
  | { readonly kind: 'result'; readonly call: number; readonly output: number };

/** Signature axes of the part -> axes of the caller (`use shared = ffn with D = Z`); those that are missing have the same name. */
export type Renaming = ReadonlyMap<string, string>;

export type FoldOp = 'sum' | 'mean' | 'max' | 'min' | 'prod' | 'logsumexp';
