/** A named axis with its size. Two axes of one graph with the same name are the same axis. */
export interface Axis {
  readonly name: string;
  /** Number of indices; for `past`, the largest number of tokens that are seen, or Infinity. */
  readonly size: number;
  /** Does it run over tokens up to this one? Only `past` and its windows do. */
  readonly past: boolean;
}

/**
 * Axes that every value has without naming them: tokens of one sequence, sequences, both, data-parallel ranks, calls of one optimiser step.
 */
export type Silent = 'time' | 'batch' | 'tokens' | 'ranks' | 'calls';

/**
 * How often a value exists: once in the program (params and numbers), once a step of the optimiser (folded over `calls`), once a call, once
 * a sequence, once a token. From few copies to many: a value of fewer copies broadcasts.
 */
export type Level = 'static' | 'step' | 'call' | 'sequence' | 'token';

export const LEVELS: readonly Level[] = ['static', 'step', 'call', 'sequence', 'token'];

export interface ValueType {
  /** `choice`: holds or does not. `index`: a whole number below the size of `of`, negative for none. */
  readonly kind: 'number' | 'choice' | 'index';
  readonly axes: readonly Axis[];
  readonly level: Level;
  /** Nodes of the choices that say where the value is present; empty: everywhere. */
  readonly restricted: readonly number[];
  /** The axis that an index belongs to. */
  readonly of: Axis | undefined;
}
