import type { IoDtype } from '../common/dtype.js';
import type { PlanNames } from './names.js';
import type { MadeRows, PlanExtent, PlanTable, TableKernel } from './rows.js';

/**
 * The host's view of one compiled scan for one target, dtype and set of head sizes. Serialised as JSON beside the kernels;
 * bindings and runtimes read only this.
 */
export interface Plan {
  readonly format: 'lmoec-plan-4';
  readonly scan: string;
  readonly doc: string;
  /** sha256 of the source text, compiler version, and the command that made this. */
  readonly source: { readonly hash: string; readonly compiler: string; readonly command: string };
  readonly target: Target;
  readonly dtype: IoDtype;
  readonly sizes: Readonly<Record<string, number>>;
  /** Rows per chunk. */
  readonly chunk: number;
  readonly segmentation: Segmentation;
  /** All numbers that a call brings or that follow from it, by the names that shapes, grids and dims have for them. */
  readonly extents: Readonly<Record<string, PlanExtent>>;
  /** By domain: the extents that kernels over it take, in order. */
  readonly dims: Readonly<Record<string, readonly string[]>>;
  /** Where the runs of a domain and their pieces lie; each is called as the extent that counts its rows. */
  readonly tables: Readonly<Record<string, PlanTable>>;
  /** By domain: those whose runs the programs count. A host leaves their tables to a launch; extents are as many as there may be. */
  readonly made?: Readonly<Record<string, MadeRows>>;
  /** CUDA: they make tables on the device, where a host does not want to read where runs begin. */
  readonly tableKernels?: Readonly<Record<string, TableKernel>>;
  readonly tensors: readonly PlanTensor[];
  readonly kernels: readonly PlanKernel[];
  /** By name: what a host runs at once. */
  readonly programs: Readonly<Record<string, PlanProgram>>;
  /**
   * CUDA: the file beside the kernels that their texts include by this name, which compilers must find. Hosts that keep machine code know
   * it by both texts.
   */
  readonly prelude?: string;
  /**
   * CUDA: every kernel waits by itself for the one before it in its queue, so that a host may launch it before that has ended (programmatic
   * stream serialization).
   */
  readonly overlaps?: true;
  /** Workspace tensors that live in one shared buffer, in this order (empty: each workspace has its own buffer). */
  readonly arena: readonly string[];
  /** Of layers and mixtures: whose their tensors are. Those of scans are called as users call them. */
  readonly names?: PlanNames;
}

/**
 * How a host cuts runs into segments: as many as give `programs` (segments x heads) in all, but none shorter than `least` chunks. With
 * c = max(least, ceil(chunks x heads / programs)), a run of n chunks has ceil(n / c) segments (at least 1) whose lengths differ by one at
 * most, the longer ones first. Where no run has `pays` x c chunks, every run is one segment: `Launch` has what is left out then.
 * With `pays`, `programs` is what runs at once: if a greater c, below twice as great, makes no more of them, it is the smallest such.
 */
export interface Segmentation {
  readonly programs: number;
  readonly least: number;
  /** 1 if absent. */
  readonly pays?: number;
}

/**
 * `cuda.sm80`: devices of 8.0 and later with at least 163 KB of shared memory for a block; `cuda.sm86`: those with 99 KB (8.6, 8.9, 12.0);
 * `cuda.sm90`: 9.0 only.
 */
export type Target = 'cuda.sm80' | 'cuda.sm86' | 'cuda.sm90' | 'webgpu';

/** A factor of a shape or a grid: a number, or the name of one (`Plan.extents`). */
export type Extent = number | string;

export interface PlanTensor {
  readonly name: string;
  readonly role: 'input' | 'param' | 'initial' | 'output' | 'final' | 'cotangent' | 'gradient' | 'workspace';
  readonly dtype: IoDtype | 'i32';
  /** Of a scan, users see [B, T, heads, ...] where this is [tokens, heads, ...] with tokens = B * T. */
  readonly shape: readonly Extent[];
  /** Axis names of the trailing extents, for messages and bindings. */
  readonly axes: readonly string[];
  /**
   * Workspaces: with as many groups as heads, a host may use the tensor of this name in its place if it leaves out the launches that are
   * `grouped`.
   */
  readonly ungrouped?: string;
  /** CUDA: kernels take a null pointer for it. What they would read is zeros then, what they would write nobody wants. */
  readonly optional?: true;
}

export interface PlanKernel {
  readonly name: string;
  readonly doc: string;
  /** File with the source, relative to the plan; several kernels may share it. */
  readonly file: string;
  readonly entry: string;
  /** Threads (invocations) per block. */
  readonly block: number;
  /** Dynamic shared memory in bytes (CUDA). */
  readonly sharedBytes: number;
  /** Each dimension is the product of its factors. */
  readonly grid: readonly [readonly Extent[], readonly Extent[], readonly Extent[]];
  /** In parameter (CUDA) or binding (WebGPU) order. */
  readonly args: readonly PlanArg[];
  readonly lowering: Lowering;
  /** Of a plain kernel of a target with tensor cores: why it is not one of theirs. */
  readonly plainWhy?: string;
  /** Per launch, both polynomials in the extents: sum of products. For `explain` and benches. */
  readonly flops: readonly (readonly Extent[])[];
  readonly bytes: readonly (readonly Extent[])[];
  /** Elements that are loaded, computed or stored one by one; what tensor cores multiply is none. */
  readonly singles: readonly (readonly Extent[])[];
}

/**
 * `registers`: no matrix products, tiles in the registers of the threads that own them. `rows`: the same, a row in those of a warp.
 * `tensor cores`: products of 16-bit operands. `plain`: everything else.
 */
export type Lowering = 'registers' | 'rows' | 'tensor cores' | 'plain';

export type PlanArg =
  | { readonly kind: 'tensor'; readonly tensor: string; readonly access: 'read' | 'write' | 'readwrite' }
  /** The shared workspace buffer (array<f32>), for the tensors of it that the kernel uses; offsets come in `dims`. */
  | { readonly kind: 'arena'; readonly tensors: readonly string[] }
  /**
   * u32/i32 array: the numbers of `Plan.dims` of a domain, then the offset in elements (f32) of each arena tensor in order. CUDA: a struct
   * of the numbers as int32, by value.
   */
  | { readonly kind: 'dims'; readonly domain: string }
  /** `access`: who makes the tables of a domain that is `made`. */
  | { readonly kind: 'table'; readonly table: string; readonly access?: 'write' }
  /**
   * CUDA: a by-value struct of two int32, the elements between two rows of an input and between two of its heads (groups): users may give
   * slices of something wider.
   */
  | { readonly kind: 'strides'; readonly tensor: string }
  /**
   * CUDA: a 128-byte CUtensorMap by value (cuTensorMapEncodeTiled), by which the kernel reads (or writes) the tensor. `box`: what one copy
   * moves, innermost axis first, a number per dimension of the map; what is left of the tensor's axes joins the outermost. A box whose rows
   * have 32, 64 or 128 bytes is swizzled so.
   */
  | { readonly kind: 'tensorMap'; readonly tensor: string; readonly box: readonly number[]; readonly access?: 'write' };

/** What a host runs at once, on tensors. */
export interface PlanProgram {
  /** Names of tensors that the caller brings, in the order in which hosts take them. */
  readonly takes: readonly string[];
  /** Those that it leaves behind. */
  readonly gives: readonly string[];
  /** None: there is no such program. */
  readonly launches: readonly Launch[];
  /** Those of calls where that extent is 1, if they do the same by fewer. */
  readonly few?: { readonly extent: string; readonly launches: readonly Launch[] };
}

/**
 * Launches run in order within a queue; a host with one stream may run all in the order of the list. `waits`: indices of launches of the
 * other queue that must have finished before. Both queues begin after what came before the program, and what comes after it begins after
 * both.
 */
export interface Launch {
  readonly kernel: string;
  readonly queue: 0 | 1;
  readonly waits: readonly number[];
  /** It only sums over the heads of groups, from tensors that have an `ungrouped`: not needed in their place where both extents agree. */
  readonly grouped?: readonly [heads: string, groups: string];
  /** It only makes what segments hand on: not needed where every run is one segment, so that both extents agree. */
  readonly cut?: readonly [segments: string, runs: string];
  /** It makes what launches that are `cut` make by the way: needed only where every run is one segment, so that both extents agree. */
  readonly whole?: readonly [segments: string, runs: string];
}
