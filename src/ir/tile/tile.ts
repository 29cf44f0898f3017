import type { Axis, AxisPair } from '../common/axes.js';
import type { MathName } from '../common/dag.js';
import type { BufferDtype } from '../common/dtype.js';
import type { Cells, Domain } from './domain.js';

/**
 * Tile level: the chunked algorithm as kernels over tiles with named axes. No threads, no memory spaces, no layouts:
 * orientation, placement (registers, shared memory, global) and operand rounding belong to the lowerings.
 *
 * A chunk is up to C consecutive rows of one run; `len` <= C of its rows are real. Tiles of a chunk always have C rows: loads fill the
 * others with 0, stores leave them out. Row axes are ROW (of a scan: the token that reads) and COL (the token that wrote).
 */
export interface TileModule {
  readonly name: string;
  /** C, rows per chunk: a power of two. */
  readonly chunk: number;
  /** Concrete sizes of all user axes. (ROW and COL have size C.) */
  readonly sizes: ReadonlyMap<Axis, number>;
  /** All that buffers and kernels speak of: a call brings the runs of each. */
  readonly domains: readonly Domain[];
  readonly buffers: readonly TileBuffer[];
  readonly kernels: readonly TileKernel[];
  readonly programs: Programs<TileProgram>;
}

/** By name, in the order of listings. */
export type Programs<P> = Readonly<Record<string, P>>;

/** What a host runs at once. Between two programs nothing is kept but what one gives and the other takes. */
export interface TileProgram {
  /** Buffers that the caller brings, in the order in which hosts take them. */
  readonly takes: readonly string[];
  /** Buffers that it leaves behind. */
  readonly gives: readonly string[];
  /** Names of kernels in their order. Empty: there is no such program. */
  readonly launches: readonly string[];
}

export function programOf(module: TileModule, name: string): TileProgram {
  const found = module.programs[name];
  if (found === undefined) throw new Error(`${module.name} has no program ${name}`);
  return found;
}

/** The same programs with other kernels. */
export function withLaunches(
  programs: TileModule['programs'], launches: (program: TileProgram) => readonly string[],
): TileModule['programs'] {
  return mapPrograms(programs, (program) => ({ ...program, launches: launches(program) }));
}

/** A module with several kernels, one after the other, in the place of each that `made` names, and the buffers between them. */
export function withKernels(
  module: TileModule, made: ReadonlyMap<string, readonly TileKernel[]>, buffers: readonly TileBuffer[],
): TileModule {
  if (made.size === 0) return module;
  return {
    ...module,
    buffers: [...module.buffers, ...buffers],
    kernels: module.kernels.flatMap((kernel) => made.get(kernel.name) ?? [kernel]),
    programs: withLaunches(module.programs, ({ launches }) => launches.flatMap(
      (launch) => made.get(launch)?.map(({ name }) => name) ?? [launch]
    )),
  };
}

export function mapPrograms<P, Q>(programs: Programs<P>, of: (program: P, name: string) => Q): Programs<Q> {
  return Object.fromEntries(Object.entries(programs).map(([name, program]) => [name, of(program, name)]));
}

/**
 * Copies of the grid: `head` = H; `group` = G, contiguous groups of heads: head h reads group h / (H / G); `once`: there are no copies.
 */
export type Inner = 'head' | 'group' | 'once';

/**
 * A tensor in device memory, row-major: [outer, inner, ...axes].
 * outer: all rows, chunks, segments or runs of a domain in order (of rows and chunks, those of all runs); `once` = absent.
 */
export interface TileBuffer extends Cells {
  readonly name: string;
  readonly inner: Inner;
  /** May contain ROW and COL (score tiles of a chunk). */
  readonly axes: readonly Axis[];
  readonly dtype: BufferDtype;
  readonly role: BufferRole;
  /**
   * Workspaces per head whose sums over the heads of a group some kernel over groups stores in the buffer of this name, and does nothing
   * else: where every head is a group, a host may use that buffer in the workspace's place and leave the kernel out.
   */
  readonly ungrouped?: string;
}

export type BufferRole =
  | 'input' | 'param' | 'initial'      // what the user gives; `initial` = initial states, zeros if not given
  | 'output' | 'final'                 // what forward writes
  | 'cotangent'                        // what the user gives to backward: d_NAME of an output or a final state, zeros if not given
  | 'gradient'                         // what backward writes: d_NAME of an input, a param, an initial state
  | 'workspace';

/**
 * One launch over a domain. The grid is (outer) x (inner) [x blocks of `split`]:
 * `chunk`: one program per chunk; `segment`: one per segment (the host chooses how many chunks it has, so that the device is full; a run
 * has at least one); `run`: one per run; `once`: one in all.
 * With `split`, the program owns one block of that axis: its tiles, loads and stores see that block only, and no statement may fold the
 * axis away (the verifier checks). The lowering chooses the block size.
 */
export interface TileKernel {
  readonly name: string;
  /** One sentence for listings and reports. */
  readonly doc: string;
  readonly outer: 'chunk' | 'segment' | 'run' | 'once';
  /** Whose chunks, segments and rows its grid and its loops are. */
  readonly domain: Domain;
  readonly inner: Inner;
  readonly split: Axis | undefined;
  /** Kernels per segment: the first or last segment of every run has no chunks here. Its program does all else. */
  readonly idle?: RunEnd;
  /**
   * What calls it is for: where some run is several segments (it makes what segments hand on), or where every run is one (it makes what
   * such kernels make by the way). Hosts leave it out of others. Absent: all.
   */
  readonly cut?: boolean;
  /** What calls it is for, whose rows are one chunk or not: those alone, or all others. Absent: all. */
  readonly few?: 'only' | 'never' | undefined;
  /** Every tile of the kernel, by id; statements define them. */
  readonly tiles: readonly TileType[];
  readonly body: readonly TileStmt[];
}

/** What a kernel alone does not say of its tiles and buffers. */
export interface Surroundings {
  sizeOf(axis: Axis): number;
  bufferOf(name: string): TileBuffer;
}

/** All tiles hold f32 (in the interpreter: f64). */
export interface TileType {
  readonly axes: readonly Axis[];
}

/** Index in `TileKernel.tiles`. Assigned once, before use, and visible in the statements that follow in the same or inner bodies. */
export type TileId = number;

/** e^-80 of a state is nothing in any dtype we have. */
export const LEAST_LOG_DECAY = -80;

export type TileStmt =
  | TileLet
  /** Axes of the value = axes of the buffer (+ ROW for buffers of rows outside loops over rows). */
  | TileStore
  | TileLoop;

export interface TileLet {
  readonly kind: 'let';
  readonly tile: TileId;
  readonly op: TileOp;
}

export interface TileStore {
  readonly kind: 'store';
  readonly buffer: string;
  readonly value: TileId;
  /** Kernels per segment: the first or last segment of a run alone stores. */
  readonly only?: RunEnd;
  /**
   * The other way of `gather`: a buffer of the numbers of rows (i32) for every row of the chunk; the value [ROW, ...axes of `by`, ...axes
   * of the buffer] goes there, to no row where the number is negative. No number comes twice. The kernel stores to `by` nothing.
   */
  readonly by?: string;
}

/**
 * `chunks`: the chunks of the run (kernel outer `run`), of the segment (outer `segment`) or all chunks (outer `once`), in order or
 * reversed;
 * `segments`: the run's segments (outer `run`), or all (outer `once`): inside, buffers of segments are those of the segment;
 * `runs`: all runs, empty ones too (outer `once`);
 * `rows`: the run's rows one at a time (outer `run`): inside, buffers of rows have no ROW axis;
 * `members`: the heads of the group (kernel inner `group`): inside, `head` buffers are those of the member;
 * `rounds`: the same again (outer `once`, outside other loops), as long as `while` says.
 * Before the first iteration carry[i].tile = carry[i].init; after each iteration it becomes carry[i].next. After the loop `tile` holds the
 * last value.
 */
export interface TileLoop {
  readonly kind: 'loop';
  readonly over: 'chunks' | 'segments' | 'runs' | 'rows' | 'members' | 'rounds';
  readonly reverse: boolean;
  /** Of rounds: a carried number. They end when it is not `least` or more before one, at the latest after `most`. */
  readonly while?: { readonly tile: TileId; readonly least: number; readonly most: number };
  /** The first or last chunk alone of a run, if it has any (over `chunks`, kernel outer `run`). */
  readonly only?: RunEnd;
  readonly carry: readonly { readonly tile: TileId; readonly init: TileId; readonly next: TileId }[];
  readonly body: readonly TileStmt[];
}

export type RunEnd = 'first' | 'last';

/** Numbers of a row: among all, or in its run. */
export type RowNumber = 'row' | 'place';

export type TileOp =
  /**
   * The current cell of a buffer. For buffers of rows `rows` names the row axis of the result (`row` = ROW, `col` = COL); `one` inside
   * loops over rows. Rows >= len are 0. Others: `none`.
   * `back`, for rows of a chunk: row i is the row so many before (after, if negative), 0 where the run has none.
   * `whole`, in kernels per segment: the buffer in its place where the segment is all of its run; a buffer of runs for one of segments,
   * else alike.
   */
  | {
    readonly op: 'load'; readonly buffer: string; readonly rows: 'row' | 'col' | 'one' | 'none';
    readonly back?: number; readonly whole?: string;
  }
  /**
   * Rows of a buffer of rows, be they of another domain: [ROW or COL, ...axes of `index`, ...axes of the buffer]. `index` has the numbers
   * of rows (i32) for every row of the chunk. 0 where it is negative, and for rows >= len. The kernel stores to neither.
   */
  | { readonly op: 'gather'; readonly buffer: string; readonly index: string; readonly rows: 'row' | 'col' }
  /**
   * Of a buffer of rows (f32), over all rows of the run (kernels per run), or of all runs (kernel outer `once`): the `count`-th largest of
   * each column, infinity for a count below 1, -infinity where there are fewer. Elements of -infinity are none. `of`, which has that
   * number: instead the number of the row, among those of all runs, up to which equals belong to the `count` largest: -1 if none does,
   * infinity if all do. Columns are [...axes of the buffer].
   */
  | { readonly op: 'nth'; readonly buffer: string; readonly count: TileId; readonly of: TileId | undefined }
  | { readonly op: 'literal'; readonly value: number }
  | { readonly op: 'zeros' }
  /** 1 where the indices along both axes agree, 0 elsewhere. */
  | { readonly op: 'identity' }
  /** Index of the head / number of heads, as a number. */
  | { readonly op: 'head' } | { readonly op: 'heads' }
  /** [axis]: 0, 1, 2 and so on. */
  | { readonly op: 'index'; readonly axis: Axis }
  /** The number of the run among all; [ROW]: of every row among all rows of the domain, or in its run. */
  | { readonly op: 'number'; readonly of: RowNumber | 'run' }
  /** How many rows or runs the domain has, or rows this run. */
  | { readonly op: 'size'; readonly of: 'rows' | 'runs' | 'run' }
  /** The same values (given ROW if they lack it), rows >= len selected to 0, even where they were inf or NaN. */
  | { readonly op: 'keep'; readonly arg: TileId }
  /** The same values as `io` buffers keep them, and as operands of products have them where those have 16 bits. */
  | { readonly op: 'round'; readonly arg: TileId }
  /**
   * Numbers between 0 and 1, each a function of a key and of whole numbers below 2^24: the word `element % 4` of Philox 4x32 with ten
   * rounds at (element / 4, position, sequence, lane), in the middle of one of 2^32 steps. `key`: [axis] of 4, halves of the key's two
   * words, the lower ones first.
   */
  | {
    readonly op: 'draw'; readonly key: TileId; readonly axis: Axis; readonly element: TileId; readonly position: TileId;
    readonly sequence: TileId; readonly lane: TileId;
  }
  /** Elementwise with broadcast by name. */
  | { readonly op: 'map'; readonly fn: MathName; readonly args: readonly TileId[] }
  /**
   * Sums of `length` neighbours along `axis`, which becomes the axis of its runs: all that a block of the split axis can fold by itself.
   */
  | { readonly op: 'runs'; readonly axis: Axis; readonly length: number; readonly arg: TileId }
  /**
   * 1 at the `count` largest along some axes, the first of equals (as these axes count them, row by row), else 0. Elements of -infinity are
   * none.
   */
  | { readonly op: 'top'; readonly axes: readonly Axis[]; readonly arg: TileId; readonly count: TileId }
  /**
   * Along `to`, instead of `axes`: what `arg` has where `held` is 1, one behind the other as these axes count (row by row), and 0 behind
   * the last. There are no more than `to` is long.
   */
  | { readonly op: 'pack'; readonly axes: readonly Axis[]; readonly to: Axis; readonly arg: TileId; readonly held: TileId }
  /**
   * The other way, along `axes` instead of `from`: what `arg` has at the element whose number, as these axes count from 1, `number` has
   * there; 0 where there is none. A 0 is none, and no number comes twice in a row.
   */
  | { readonly op: 'unpack'; readonly axes: readonly Axis[]; readonly from: Axis; readonly arg: TileId; readonly number: TileId }
  /** [...axes]: how often `arg` has the number of each element, as these axes count from 1. A 0 counts nowhere. */
  | { readonly op: 'tally'; readonly axes: readonly Axis[]; readonly arg: TileId }
  /**
   * Of `arg` [ROW, ...] with such numbers, none twice in a row: what `first` [...axes] has for each, and one more for every row before that
   * has it, too. Of a 0 it is -1.
   */
  | { readonly op: 'queue'; readonly axes: readonly Axis[]; readonly arg: TileId; readonly first: TileId }
  | { readonly op: 'reduce'; readonly reduce: 'sum' | 'max' | 'min'; readonly axis: Axis; readonly arg: TileId }
  /** sum over `axis` of a * b; other shared axes are batched (ROW of both, say), so axes = union minus `axis`. The matrix product. */
  | { readonly op: 'contract'; readonly a: TileId; readonly b: TileId; readonly axis: Axis }
  /**
   * The same values, ROW called COL or the other way round (both swapped if it has both: the transpose); `axes`: two others instead,
   * equally long.
   */
  | { readonly op: 'swap'; readonly arg: TileId; readonly axes?: AxisPair }
  /**
   * Running sum along ROW, or along `axis`. Exclusive: row i sums the rows before it (reverse: after it). `decays`, along ROW and forwards:
   * of log decays, each as LEAST_LOG_DECAY at least: what decays by that much is gone, and differences of sums stay numbers where one is
   * -inf.
   */
  | {
    readonly op: 'cumsum'; readonly arg: TileId; readonly exclusive: boolean; readonly reverse: boolean; readonly decays: boolean;
    readonly axis?: Axis;
  }
  /** Row i takes row i-1 (by 1) or i+1 (by -1); the row without a neighbour takes `edge` (axes without ROW), or 0. */
  | { readonly op: 'shift'; readonly arg: TileId; readonly by: 1 | -1; readonly edge: TileId | undefined }
  /** First row, or row C-1, of a tile with ROW. */
  | { readonly op: 'pick'; readonly arg: TileId; readonly row: 'first' | 'last' }
  /**
   * The same rows, but one is `of` (axes without ROW), if it is in the chunk: the row `at` after the run's first, or before its last.
   */
  | { readonly op: 'put'; readonly arg: TileId; readonly of: TileId; readonly from: RunEnd; readonly at: number }
  /** Such a row; 0 if it is not in the chunk. */
  | { readonly op: 'take'; readonly arg: TileId; readonly from: RunEnd; readonly at: number }
  /** [ROW, COL, ...]: keeps col <= row (strict: col < row), 0 elsewhere (selected, never multiplied: the rest may be inf). */
  | { readonly op: 'mask'; readonly arg: TileId; readonly strict: boolean }
  /**
   * Decay scores (docs/algorithms.md: notation): out[r,c] = sum_K x[r,K] y[c,K] e^{Gr[r,K] - G[c,K]} for c <= r (strict: c < r), 0
   * elsewhere. g [ROW, K] are log decays per channel (natural log, <= 0 not required but exponents of kept pairs are sums of g over tokens
   * in (c, r]). G = inclusive running sum of g; Gr = G, or the exclusive one if `before` (the reader sees the state before the decay of its
   * own token).
   * `before` implies strict. x, y and g all come with ROW as their token axis. One op, so that no lowering ever forms e^{-G}.
   */
  | {
    readonly op: 'dscore'; readonly x: TileId; readonly y: TileId; readonly g: TileId; readonly axis: Axis;
    readonly before: boolean; readonly strict: boolean;
  }
  /**
   * out[r,K] = sum_c A[r,c] y[c,K] e^{Gr[r,K] - G[c,K]} over the same pairs: adjoint of dscore for x, and the value-side decay. `a` is
   * [ROW, COL]; y and g come with ROW.
   */
  | {
    readonly op: 'dscoreRow'; readonly a: TileId; readonly y: TileId; readonly g: TileId; readonly axis: Axis;
    readonly before: boolean; readonly strict: boolean;
  }
  /**
   * out[c,K] = sum_r A[r,c] x[r,K] e^{Gr[r,K] - G[c,K]} over the same pairs: adjoint of dscore for y. x and g come with ROW; the result has
   * axes [COL, K].
   */
  | {
    readonly op: 'dscoreCol'; readonly a: TileId; readonly x: TileId; readonly g: TileId; readonly axis: Axis;
    readonly before: boolean; readonly strict: boolean;
  }
  /**
   * Gradient of decays by the pairs of a chunk, for every column of x, y and decay apart: out[t] = sum over c < t <= r (t < r if `before`)
   * of x[r] a[r,c] y[c] times the decays of the tokens in (c, r] (without r if `before`) but t: what d decay[t] is, without a division by
   * decay[t].
   * `a` is [ROW, COL]; x, y and decay come with ROW and no other token axis. Factors, not logarithms: a decay of 0 is as good as any.
   */
  | { readonly op: 'dgate'; readonly a: TileId; readonly x: TileId; readonly y: TileId; readonly decay: TileId; readonly before: boolean }
  /**
   * [ROW, COL]: out[r,c] = sum over tokens m of a[r,m] * b[m,c], both [ROW, COL]: blocks of a solve with several unknowns per token.
   * `fine`, here and in
   * `inverse`: to all digits of f32, where lowerings have cheaper products with fewer.
   */
  | { readonly op: 'compose'; readonly a: TileId; readonly b: TileId; readonly fine: boolean }
  /**
   * (I - A)^{-1} for strictly lower A [ROW, COL]; unit lower triangular. 16x16 diagonal blocks by f32 substitution (docs/algorithms.md:
   * solves).
   */
  | { readonly op: 'inverse'; readonly arg: TileId; readonly fine: boolean }
  /**
   * h[i] = a[i] * h[i-1] + x[i] along ROW, h[-1] = init (reverse: h[i] = a[i] * h[i+1] + x[i], h[C] = init). Rows after this step.
   * Callers make rows >= len neutral (a = 1, x = 0). `less`: a - 1 with all its digits, so that decays next to 1 are applied as h + (less h
   * + x).
   */
  | {
    readonly op: 'recur'; readonly decay: TileId; readonly less: TileId | undefined; readonly write: TileId; readonly init: TileId;
    readonly reverse: boolean;
  };
