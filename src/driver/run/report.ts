import type { IoDtype } from '../../ir/common/dtype.js';
import type { Target } from '../../ir/plan/plan.js';
import type { Runtime } from '../../runtime/runtime.js';
import type { Settings } from '../parts.js';
import type { Failed, Problem } from '../problem.js';
import type { Comparison } from './compare.js';

/** What a run is asked for, whatever it runs. */
export interface RunRequest {
  readonly from:
    | { readonly file: string }
    /** Random tensors. `lengths`: tokens of packed sequences; undefined: a batch. `states`: which initial states are drawn. */
    | { readonly lengths: readonly number[] | undefined; readonly states: 'declared' | 'random' };
  /** Of axes, and extents of the call. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly settings: Settings;
  readonly training: boolean;
  /** Of random tensors, and of draws in the formula. */
  readonly seed: number;
  readonly backend: Runtime['kind'] | 'oracle' | undefined;
  readonly target: Target | undefined;
  readonly dtype: IoDtype;
  /** Holds the results against what they should be. */
  readonly check: boolean;
}

export interface PreparedRun {
  readonly warnings: readonly string[];
  /** On a device, or in the interpreter. */
  run(runtime: Runtime | undefined): Promise<RunReport | Failed>;
}

/** What a run gave. */
export interface RunReport {
  /** What ran, where, on what. */
  readonly title: string;
  /** Numbers that are no tensors; the first row is their head. */
  readonly tables: readonly (readonly (readonly string[])[])[];
  readonly comparisons: readonly Comparison[];
  /** What would be compared, where nothing was. */
  readonly comparable: string;
  /** The formula itself gives no finite number (E508). */
  readonly meaningless: Problem | undefined;
  readonly dtype: IoDtype | 'f64';
  /** Worth saying where the results are not kept. */
  readonly note: string | undefined;
  /** The report as data, without the comparisons. */
  readonly json: object;
  /** The results as a safetensors file. */
  file(): Uint8Array;
}
