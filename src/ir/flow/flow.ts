import type { MathName } from '../common/dag.js';
import type { Span } from '../common/span.js';
import type { Comparison, FoldOp, ScanPart } from '../graph/graph.js';
import type { Axis } from '../graph/types.js';

/**
 * A Graph with its calls inlined, as one list of values of which each says what its rows are: its domain. Choices have become domains of
 * their own where work stands under them: a row for each token and index that the choice holds for, those of one index one behind the
 * other. What is computed for an expert is then plain arithmetic over such rows. Still mathematics: no dtype, no kernel; kernels are made
 * by putting values together (docs/architecture.md).
 */
export interface Flow {
  readonly name: string;
  readonly training: boolean;
  readonly domains: readonly Domain[];
  readonly inputs: readonly FlowInput[];
  readonly params: readonly FlowParam[];
  readonly scans: readonly FlowScan[];
  /** In topological order. */
  readonly values: readonly FlowValue[];
  /** Axes in the order in which files hold them. */
  readonly outputs: readonly FlowResult[];
  /** One number each, by path; several of one path add up. */
  readonly losses: readonly FlowResult[];
  /** Rows of each index of a family, by its path; several of one path add up. */
  readonly counts: readonly FlowResult[];
  /** Of choices, by what they choose along: not 0 where a score is no number, by token or once. For kernels: interpreters stop there. */
  readonly checks: readonly FlowResult[];
  readonly update: FlowUpdate;
  readonly backward: Backward | undefined;
}

/** Index into the list of domains: 0 is `once`, 1 sequences, 2 tokens. */
export type DomainId = number;
export type ValueId = number;

export const ONCE: DomainId = 0;
export const SEQUENCE: DomainId = 1;
export const TOKEN: DomainId = 2;

/** What the rows of a value are. */
export type Domain =
  | { readonly kind: 'once' }
  /** Sequences (documents) of the call. */
  | { readonly kind: 'sequence' }
  /** Tokens, sequence by sequence. */
  | { readonly kind: 'token' }
  /** Tokens and indices of `groups` at which a choice holds: index by index, row by row, and by token in each. */
  | {
    readonly kind: 'slot'; readonly choice: ValueId; readonly groups: readonly Axis[];
    /** No token has more. */
    readonly perToken: number;
    readonly origin: Span;
  }
  /** Tokens with the tokens of their past, as far as `window` reaches: by token, the oldest first. Too many to be stored. */
  | { readonly kind: 'pair'; readonly window: Axis };

export interface FlowInput {
  readonly name: string;
  readonly domain: DomainId;
  readonly axes: readonly Axis[];
  /** The axis of an index; negative ones are none. */
  readonly of: Axis | undefined;
}

export interface FlowParam {
  /** The axes of the families around it are in front. */
  readonly path: string;
  readonly axes: readonly Axis[];
  /** It has no gradient. */
  readonly buffer: boolean;
}

/** A scan that is called, and the axes of its arguments and outputs besides heads. */
export interface FlowScan {
  readonly path: string;
  readonly part: ScanPart;
  readonly args: readonly (readonly Axis[])[];
  readonly outputs: readonly (readonly Axis[])[];
}

export interface FlowResult {
  readonly name: string;
  readonly axes: readonly Axis[];
  readonly value: ValueId;
}

/** New values of buffers, once a step of the optimiser, from what its calls give and from values before the step. */
export interface FlowUpdate {
  readonly takes: readonly FlowTake[];
  /** By path. */
  readonly results: readonly FlowResult[];
}

/** What a call gives to the update: its input `name`. */
export interface FlowTake extends FlowResult {
  /** The sum of all calls, on all ranks, or what the last one gave. */
  readonly over: 'sum' | 'last';
}

/** Gradients, made of inputs, params, cotangents (inputs named `d_...`) and what `forward` kept. */
export interface Backward {
  /** Values that forward stores, choices of slots among them; whatever else backward needs it computes again. */
  readonly kept: readonly ValueId[];
  /** `d_` and the name of an input or the path of a param. */
  readonly gradients: readonly FlowResult[];
}

export interface FlowType {
  readonly kind: 'number' | 'choice' | 'index';
  readonly domain: DomainId;
  readonly axes: readonly Axis[];
  /**
   * Choices, once or of the same domain, with axes that the value has: elements where one of them does not hold are absent. They may be
   * anything; folds skip them.
   */
  readonly where: readonly ValueId[];
}

/**
 * Which elements of a value belong together: those along `axes` and of all rows that lie in one row of the domain `to`. `kept`: groups of
 * slots that are told apart.
 */
export interface Along {
  readonly axes: readonly Axis[];
  readonly to: DomainId;
  readonly kept: readonly Axis[];
  /** Of pairs: the token that looks back, or the one that it sees. */
  readonly by: End;
  /** Over all data-parallel ranks too. */
  readonly ranks: boolean;
}

export type End = 'row' | 'source';

export type FlowValue = { readonly type: FlowType; readonly origin: Span } & FlowBody;

/**
 * Operands are of one domain, or `once`; axes broadcast by name. What is absent in one operand is absent in the result, unless it says
 * otherwise.
 */
export type FlowBody =
  | { readonly kind: 'literal'; readonly value: number; readonly axes: readonly Axis[] }
  | { readonly kind: 'input'; readonly input: number }
  | { readonly kind: 'param'; readonly param: number }
  /** Number of tokens, of sequences, of tokens of this sequence, of ranks. */
  | { readonly kind: 'count'; readonly of: 'tokens' | 'batch' | 'time' | 'ranks' }
  /** Counts axes row by row; with `over`, tokens of the sequence or of the call before them. */
  | { readonly kind: 'index'; readonly axes: readonly Axis[]; readonly over: 'time' | 'tokens' | undefined; readonly domain: DomainId }
  /**
   * A number between 0 and 1, or of a normal law: a function of seed, step, path, `number`, the token, the number of the element in `axes`
   * and that of the call in `lanes`. Groups of slots are among both as axes are.
   */
  | {
    readonly kind: 'draw'; readonly law: 'normal' | 'uniform'; readonly path: string; readonly number: number;
    readonly axes: readonly Axis[]; readonly lanes: readonly Axis[]; readonly domain: DomainId;
  }
  | { readonly kind: 'map'; readonly fn: MathName | '%'; readonly args: readonly ValueId[] }
  /** Sums the product, over axes that one side or both have. */
  | { readonly kind: 'contract'; readonly left: ValueId; readonly right: ValueId; readonly along: Along }
  /** Sum and mean of nothing are 0, the product 1; other folds of nothing are absent. */
  | { readonly kind: 'fold'; readonly op: Exclude<FoldOp, 'mean'>; readonly arg: ValueId; readonly along: Along }
  /** `sink`: its exponential is in the denominator as well; it has what is left when the elements are folded. */
  | { readonly kind: 'softmax'; readonly arg: ValueId; readonly along: Along; readonly sink: ValueId | undefined }
  /** The `count` largest; the first of equals. False where absent. */
  | { readonly kind: 'top'; readonly arg: ValueId; readonly count: ValueId; readonly along: Along }
  /** The first of the largest or least: of which a `max` or `min` has its value. False where absent. */
  | { readonly kind: 'first'; readonly op: 'max' | 'min'; readonly arg: ValueId; readonly along: Along }
  /** The product of all elements but this one. */
  | { readonly kind: 'others'; readonly arg: ValueId; readonly along: Along }
  /**
   * The value of a coarser domain at every row of `to`. Slots take their own index of `groups`, where the value has such axes. Where it was
   * present is lost: whoever needs that restricts it again.
   */
  | { readonly kind: 'gather'; readonly arg: ValueId; readonly to: DomainId; readonly by: End }
  /** Absent where the choice does not hold. */
  | { readonly kind: 'restrict'; readonly arg: ValueId; readonly choice: ValueId }
  /** 0 or false where it was absent, and present everywhere. */
  | { readonly kind: 'lift'; readonly arg: ValueId }
  | { readonly kind: 'compare'; readonly op: Comparison; readonly left: ValueId; readonly right: ValueId }
  /** `and` and `or` read what is absent as false, and are present everywhere. */
  | { readonly kind: 'logic'; readonly op: 'and' | 'or' | 'not'; readonly args: readonly ValueId[] }
  /** 1 where the choice holds, else or where it is absent 0. */
  | { readonly kind: 'mask'; readonly choice: ValueId }
  /** The element of that index; 0 for a negative one. Choices along the axis are lost, as `gather` loses its. */
  | { readonly kind: 'pick'; readonly arg: ValueId; readonly axis: Axis; readonly index: ValueId }
  /** The other way: 0 but at the index. */
  | { readonly kind: 'place'; readonly arg: ValueId; readonly axis: Axis; readonly index: ValueId }
  | { readonly kind: 'stop' | 'f32'; readonly arg: ValueId }
  /** As the dtype of the build holds it: what a product of 16-bit operands sees. */
  | { readonly kind: 'rounded'; readonly arg: ValueId }
  /** x at its `axis` rows, this one last, of the same sequence and group; 0 before the first. */
  | { readonly kind: 'taps'; readonly arg: ValueId; readonly axis: Axis }
  /** The other way: sum over j of the element j of the row that has this one as its tap j. */
  | { readonly kind: 'untap'; readonly arg: ValueId; readonly axis: Axis }
  /** Turns pairs of `axis` by the angle position * frequency, `back` by minus that. */
  | {
    readonly kind: 'rope'; readonly arg: ValueId; readonly axis: Axis; readonly frequency: ValueId; readonly turn: Axis;
    readonly pairs: 'halves' | 'adjacent'; readonly back: boolean;
  }
  /**
   * A scan on the rows of a domain, along sequences (and groups of slots): one of its outputs, from zeros. `args`: inputs, then params;
   * they may lack heads.
   */
  | {
    readonly kind: 'scan'; readonly scan: number; readonly args: readonly ValueId[]; readonly output: number;
    readonly heads: readonly Axis[]; readonly axes: readonly Axis[]; readonly domain: DomainId;
  }
  /** The cotangent of one of its arguments, from that of an output. */
  | {
    readonly kind: 'unscan'; readonly scan: number; readonly args: readonly ValueId[]; readonly output: number;
    readonly cotangent: ValueId; readonly of: number; readonly heads: readonly Axis[]; readonly axes: readonly Axis[];
    readonly domain: DomainId; readonly to: DomainId;
  }
  | { readonly kind: 'sinkhorn'; readonly arg: ValueId; readonly axis: Axis; readonly tolerance: number };
