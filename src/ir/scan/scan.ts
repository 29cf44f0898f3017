import type { Axis } from '../common/axes.js';
import type { DagNode } from '../common/dag.js';
import type { Span } from '../common/span.js';

/**
 * Normal form of a chunked scan: per-token values (a DAG) and the recurrences between them, one stage per state (or several, `walk`), in an
 * order in which every stage reads only inputs and earlier stages (`verifyScan`). Backward scans have the same shape, so one scheduler and
 * one emitter serve both.
 */
export interface ScanProgram {
  readonly nodes: readonly ScanNode[];
  readonly stages: readonly Stage[];
  /** What the program must leave behind. */
  readonly roots: readonly Root[];
}

/** A value per token and head; leaves that change with neither are static. */
export type ScanNode =
  | DagNode
  | { readonly kind: 'input'; readonly input: number; readonly axes: readonly Axis[]; readonly origin: Span }
  | { readonly kind: 'param'; readonly param: number; readonly axes: readonly Axis[]; readonly origin: Span }
  /** Backward: the cotangent of output `output`. */
  | { readonly kind: 'cotangent'; readonly output: number; readonly axes: readonly Axis[]; readonly origin: Span }
  /**
   * `arg`, which is made of inputs and params alone, as many tokens before as there are `states`. The sequence's first tokens find there
   * what the states were: in place of the last token before the sequence the first of them, of the one before that the second, and so on.
   */
  | {
    readonly kind: 'past'; readonly arg: NodeId; readonly states: readonly number[]; readonly axes: readonly Axis[];
    readonly origin: Span;
  }
  /**
   * Backward: value `of`, which a root of kind `kept` has left in memory, or a cotangent in memory, `ahead` tokens later; 0 beyond the
   * sequence. Not an argument.
   */
  | { readonly kind: 'ahead'; readonly of: NodeId; readonly ahead: number; readonly axes: readonly Axis[]; readonly origin: Span }
  /** Backward: the cotangent of a state's last value, at the token `back` before the sequence's last; 0 at others. */
  | { readonly kind: 'last'; readonly state: number; readonly back: number; readonly axes: readonly Axis[]; readonly origin: Span }
  /** What stage `stage` yields per token; `slot` counts its results (stageResults lists them). */
  | { readonly kind: 'result'; readonly stage: number; readonly slot: number; readonly axes: readonly Axis[]; readonly origin: Span };

export type NodeId = number;

export type Stage = MatrixStage | ElementStage | MatrixAdjoint | ElementAdjoint;

/**
 * S_t = Lambda_t S_{t-1} + sum_i source_i.col (x) w_i,   w_i = source_i.value + sum over `rowAxis` of erase_i.row * S(at its time).
 * One chunk program serves all such recurrences (docs/algorithms.md: the chunk).
 */
export interface MatrixStage {
  readonly kind: 'matrix';
  readonly state: number;
  /**
   * Walks over the same state that come before: reads along a vector made from another read of the state need one more. The first one gives
   * the last state.
   */
  readonly walk: number;
  /** The axis that reads fold away (K). */
  readonly rowAxis: Axis;
  /** The others (V); may be empty. */
  readonly valueAxes: readonly Axis[];
  readonly gate: Gate;
  readonly sources: readonly Source[];
  /** Their results, in this order. */
  readonly reads: readonly Reader[];
  readonly origin: Span;
}

/**
 * Lambda, always in log form: `log` <= 0 is not required. `factor`: e^log itself, where it may be 0 or was written without a logarithm.
 * Then its gradient is what a backward program makes, in the place of that of `log`, from which only a division by the factor would give
 * it.
 */
export type Gate =
  | { readonly kind: 'none' }
  /** One factor for the whole state. `constant`: the same at every token. */
  | { readonly kind: 'scalar'; readonly log: NodeId; readonly factor: NodeId | undefined; readonly constant: boolean }
  /** One factor per channel of `axis`: the row axis (Diag on the key side) or a value axis. */
  | { readonly kind: 'channel'; readonly log: NodeId; readonly factor: NodeId | undefined; readonly axis: Axis };

/** One rank-1 write. */
export interface Source {
  /** [rowAxis] */
  readonly col: NodeId;
  /** [valueAxes], undefined = 0 (pure erase). */
  readonly value: NodeId | undefined;
  readonly erase: Reader | undefined;
}

/** sum over rowAxis of row * S, at some point of the step. */
export interface Reader {
  /** [rowAxis] */
  readonly row: NodeId;
  /** Reads S_{t-1}, before the token's own decay; else after it. */
  readonly before: boolean;
  /** Which sources of the same token it sees (prefixes of the write order); never any if `before` and there is a gate. */
  readonly sees: readonly boolean[];
}

/** h_t = decay_t * h_{t-1} + write_t, elementwise. Result 0: h_t; result 1: h_{t-1}. */
export interface ElementStage {
  readonly kind: 'element';
  readonly state: number;
  readonly axes: readonly Axis[];
  /** undefined: the old value is forgotten (a delay line). */
  readonly decay: NodeId | undefined;
  readonly write: NodeId | undefined;
  readonly origin: Span;
}

/**
 * Backward of a matrix stage. `given`: cotangents of its results, undefined = 0. Results: the cotangents that `adjointSlots` lists.
 */
export interface MatrixAdjoint {
  readonly kind: 'matrix-adjoint';
  readonly of: MatrixStage;
  readonly given: readonly (NodeId | undefined)[];
  readonly origin: Span;
}

/**
 * Backward of an element stage: D_t = cotangent of h_t with all that comes later, result 0; so d write = D_t and d decay = D_t * h_{t-1}.
 * `given`: cotangents of results 0 and 1.
 */
export interface ElementAdjoint {
  readonly kind: 'element-adjoint';
  readonly of: ElementStage;
  readonly given: readonly (NodeId | undefined)[];
  readonly origin: Span;
}

export type Root =
  | { readonly kind: 'output'; readonly output: number; readonly value: NodeId }
  /** Gradient of an input (summed over the heads of its group) or of a param (summed over all tokens). */
  | { readonly kind: 'input-gradient'; readonly input: number; readonly value: NodeId | undefined }
  | { readonly kind: 'param-gradient'; readonly param: number; readonly value: NodeId | undefined }
  /** The last value of a state that no stage carries, since tokens before say what it is. */
  | { readonly kind: 'final'; readonly state: number; readonly value: NodeId }
  /** Its initial value's gradient: the sum, over all roots of the state, of `value` at the token `at` after the sequence's first. */
  | { readonly kind: 'initial-gradient'; readonly state: number; readonly at: number; readonly value: NodeId | undefined }
  /** What other roots read `ahead`; `from` is the value whose cotangent it is. */
  | { readonly kind: 'kept'; readonly value: NodeId; readonly from: NodeId };

/**
 * What a result of a matrix stage's adjoint is the cotangent of: the row of a read, a part of a source, or the gate (of its factor, else of
 * its log).
 */
export type AdjointSlot = { readonly operand: NodeId; readonly axes: readonly Axis[] } & (
  | { readonly kind: 'row'; readonly read: number }
  | { readonly kind: 'col' | 'value' | 'erase'; readonly source: number }
  | { readonly kind: 'gate'; readonly gate: Exclude<Gate, { kind: 'none' }> }
);

/** The results of a matrix stage's adjoint, in slot order. */
export function adjointSlots({ reads, sources, gate, rowAxis, valueAxes }: MatrixStage): readonly AdjointSlot[] {
  const axes = [rowAxis];
  return [
    ...reads.map(({ row }, read): AdjointSlot => ({ kind: 'row', read, operand: row, axes })),
    ...sources.flatMap(({ col, value, erase }, source): readonly AdjointSlot[] => [
      { kind: 'col', source, operand: col, axes },
      ...(value === undefined ? [] : [{ kind: 'value', source, operand: value, axes: valueAxes } as const]),
      ...(erase === undefined ? [] : [{ kind: 'erase', source, operand: erase.row, axes } as const]),
    ]),
    ...(gate.kind === 'none' ? [] : [{ kind: 'gate', gate, operand: gate.factor ?? gate.log, axes: gateAxes(gate) } as const]),
  ];
}

/** Axes along which decays differ. */
export function gateAxes(gate: Gate): readonly Axis[] {
  switch (gate.kind) {
    case 'none': case 'scalar': return [];
    case 'channel': return [gate.axis];
  }
}

/** Is the decay the same at every token? */
export function isSteady(gate: Gate): boolean {
  switch (gate.kind) {
    case 'none': return true;
    case 'scalar': return gate.constant;
    case 'channel': return false;
  }
}

/** Axes of every result of a stage, in slot order. */
export function stageResults(stage: Stage): readonly (readonly Axis[])[] {
  switch (stage.kind) {
    case 'matrix': return stage.reads.map(() => stage.valueAxes);
    case 'element': return [stage.axes, stage.axes];
    case 'matrix-adjoint': return adjointSlots(stage.of).map((slot) => slot.axes);
    case 'element-adjoint': return [stage.of.axes];
  }
}

/** Nodes that a stage reads. */
export function stageOperands(stage: Stage): readonly NodeId[] {
  const present = (ids: readonly (NodeId | undefined)[]) => ids.filter((id) => id !== undefined);
  switch (stage.kind) {
    case 'matrix':
      return present([
        ...stage.reads.map((r) => r.row),
        ...stage.sources.flatMap((s) => [s.col, s.value, s.erase?.row]),
        ...(stage.gate.kind === 'none' ? [] : [stage.gate.log, stage.gate.factor]),
      ]);
    case 'element': return present([stage.decay, stage.write]);
    case 'matrix-adjoint': return [...stageOperands(stage.of), ...present(stage.given)];
    case 'element-adjoint': return present([stage.of.decay, ...stage.given]);
  }
}

/** What a stage's decay is computed from; nothing where there is none. */
export function decayOperands(stage: Stage): readonly NodeId[] {
  if (stage.kind === 'element') return stage.decay === undefined ? [] : [stage.decay];
  if (stage.kind !== 'matrix' || stage.gate.kind === 'none') return [];
  return stage.gate.factor === undefined ? [stage.gate.log] : [stage.gate.log, stage.gate.factor];
}

/** The nodes and all that they are made of; results of stages count as given. */
export function ancestorsOf(nodes: readonly ScanNode[], ids: readonly NodeId[]): ReadonlySet<NodeId> {
  const reached = new Set<NodeId>();
  const visit = (id: NodeId): void => {
    if (reached.has(id)) return;
    reached.add(id);
    nodeArguments(nodes[id]).forEach(visit);
  };
  ids.forEach(visit);
  return reached;
}

/** Arguments of a node. */
export function nodeArguments(node: ScanNode): readonly NodeId[] {
  switch (node.kind) {
    case 'map': return node.args;
    case 'reduce': case 'past': return [node.arg];
    case 'ahead': case 'last': case 'literal': case 'size': case 'head': case 'heads': case 'input': case 'param': case 'cotangent':
    case 'result': return [];
  }
}

/**
 * Where each node can first be computed: the highest stage it depends on, through other stages' operands too; -1 before all stages.
 * Nodes appended later may have smaller arguments only, so one pass suffices.
 */
export function homesOf(nodes: readonly ScanNode[]): readonly number[] {
  const homes: number[] = [];
  nodes.forEach((node, id) => {
    homes[id] = node.kind === 'result' ? node.stage : Math.max(-1, ...nodeArguments(node).map((arg) => homes[arg]));
  });
  return homes;
}

/**
 * One token of a scan, or its reverse. `result` nodes stand for states: (s, 1) before the token and, in the reverse, (states + s, 0) for
 * the cotangent after it.
 */
export interface TokenProgram {
  readonly nodes: readonly ScanNode[];
  readonly roots: readonly Root[];
  /** By state: the value after the token, and the cotangent of the one before it (undefined: zero). */
  readonly next: readonly NodeId[];
  readonly pulled: readonly (NodeId | undefined)[];
}
