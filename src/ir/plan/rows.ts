/**
 * A number of a call. The caller brings heads, groups of heads, and of a domain (rows in runs: tokens in sequences) the rows and the runs;
 * of chunks and segments there are as many as the table has rows.
 *
 * Where the host does not know how long runs are, those are bounds: chunks <= floor((rows + runs * (chunk - 1)) / chunk), segments <= runs
 * + more with more = min(chunks / least, programs / heads), or 0 if that is less than `pays` (Segmentation in plan.ts).
 */
export type PlanExtent =
  | { readonly of: 'head' | 'group' }
  | { readonly of: 'row' | 'run' | TableLevel; readonly domain: string };

/**
 * A domain whose runs a launch counts: so many, each one segment, with rows x `perRow` rows in all at most, of the rows of the domain `of`.
 * There are as many chunks as above. Rows of tables beyond the real ones are empty.
 */
export interface MadeRows {
  readonly runs: number;
  readonly of: string;
  readonly perRow: number;
}

/** What tables have a row for. */
export type TableLevel = 'run' | 'segment' | 'chunk';

/** i32 [number of them, columns]. */
export interface PlanTable {
  readonly of: TableLevel;
  readonly domain: string;
  readonly columns: readonly TableColumn[];
  /** The kernel of `Plan.tableKernels` that makes it for a host that does not. Rows beyond the real ones are empty then. */
  readonly kernel?: string;
}

/**
 * `run`: the run's index among all. `first`, `end`: rows, among those of all runs; `length`: how many. `firstChunk`, `chunks`: the first of
 * its chunks among all, and how many it has; segments alike. `index`: of a chunk or a segment within its run.
 */
export type TableColumn = 'run' | 'first' | 'end' | 'length' | 'firstChunk' | 'chunks' | 'firstSegment' | 'segments' | 'index';

/** One block. */
export interface TableKernel {
  readonly file: string;
  readonly entry: string;
  readonly block: number;
  readonly sharedBytes: number;
  readonly args: readonly TableArg[];
}

export type TableArg =
  /** Where the runs begin and the last one ends, [runs + 1] on the device; null: all are equally long. */
  | { readonly kind: 'offsets'; readonly domain: string }
  /** int32: the bytes of one number of these: 4, 8, or 0 for null. */
  | { readonly kind: 'offsetBytes'; readonly domain: string }
  | { readonly kind: 'table'; readonly table: string }
  /** As those of kernels (PlanArg). */
  | { readonly kind: 'dims'; readonly domain: string };
