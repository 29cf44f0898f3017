import type { DomainId, ValueId } from '../../ir/flow/flow.js';
import type { Axis } from '../../ir/graph/types.js';

/** What a kernel does besides arithmetic on single elements, and with it how it is divided. */
export type KernelForm =
  /** Products of rows with weights: blocks of rows (of one group) by blocks of `axes`, a loop over what is summed. */
  | 'product'
  /** Products of rows with rows, one sum a group: blocks of `axes`, a loop over the rows of the group. */
  | 'groups'
  /** Each row by itself, all of its elements at once. */
  | 'rows'
  /** Rows that gather the rows of a finer domain and sum them. */
  | 'collect'
  /** Sums of rows that lie anywhere in the call. */
  | 'sums'
  /** Where the slots of a choice are: counts, offsets and lists; and numbers of slots that are written with them. */
  | 'tables'
  /** Numbers that exist once. */
  | 'once';

/** One launch, more or less: what it makes and what it reads. */
export interface Kernel {
  readonly form: KernelForm;
  /** Kernels of a level read those of lower levels, and those before them. */
  readonly level: number;
  /** Its rows are those of this domain; for `groups` and `sums` those that it sums. */
  readonly rows: DomainId;
  /** Columns: axes of what it accumulates. */
  readonly axes: readonly Axis[];
  /** Products and sums that it is there for. Products of one kernel read the same rows, or add up. */
  readonly anchors: readonly ValueId[];
  /** All that it computes, in order. */
  readonly values: readonly ValueId[];
  /** What it writes. Sums over more columns than a block has are partial, one for each block. */
  readonly stores: readonly ValueId[];
  /** What it loads: inputs, params and what other kernels have stored. */
  readonly loads: readonly ValueId[];
}

export interface Clusters {
  readonly forward: readonly Kernel[];
  readonly backward: readonly Kernel[];
}
