import type { IoDtype } from '../common/dtype.js';

/**
 * The host's view of one compiled scan for one target, dtype and set of head sizes. Serialised as JSON beside the kernels;
 * bindings and runtimes read only this.
 */
export interface Plan {
  readonly format: 'lmoec-plan-3';
  readonly scan: string;
  readonly doc: string;
  /** sha256 of the source text, compiler version, and the command that made this. */
  readonly source: { readonly hash: string; readonly compiler: string; readonly command: string };
  readonly target: Target;
  readonly dtype: IoDtype;
  readonly sizes: Readonly<Record<string, number>>;
  /** Tokens per chunk. */
  readonly chunk: number;
  readonly segmentation: Segmentation;
  readonly tensors: readonly PlanTensor[];
  readonly kernels: readonly PlanKernel[];
  /** By name. */
  readonly programs: Readonly<Record<string, readonly Launch[]>>;
  /**
   * CUDA: the file beside the kernels that their texts include by this name, which compilers must find. Hosts that keep machine code know
   * it by both texts.
   */
  readonly prelude?: string;
  /** CUDA: the kernel that makes the three tables on the device, where a host does not want to read the offsets of sequences. */
  readonly tables?: TableKernel;
  /** Workspace tensors that live in one shared buffer, in this order (empty: each workspace has its own buffer). */
  readonly arena: readonly string[];
}

/**
 * How a host cuts sequences into segments: as many as give `programs` (segments x heads) in all, but none shorter than `least` chunks.
 * With c = max(least, ceil(chunks x heads / programs)), a sequence of n chunks has ceil(n / c) segments (at least 1) whose lengths differ
 * by one at most, the longer ones first. Where no sequence has `pays` x c chunks, every sequence is one segment, and launches that are
 * `cut` are left out.
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

/** A factor of a shape or a grid: a number or a quantity known when called. */
export type Extent = number | string;

export interface PlanTensor {
  readonly name: string;
  readonly role: 'input' | 'param' | 'initial' | 'output' | 'final' | 'cotangent' | 'gradient' | 'workspace';
  readonly dtype: IoDtype | 'i32';
  /** As the user sees it a `token` tensor is [B, T, heads, ...]; here [tokens, heads, ...] with tokens = B * T. */
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

/**
 * One block, with these parameters: the offsets of sequences [sequences + 1] (null where all are equally long), the bytes of one number of
 * them as int32 (4, 8, or 0 for null), the tables `sequences`, `segments` and `chunks`, the dims. Where the host does not know the lengths,
 * the extents of chunks and segments are bounds: chunks <= floor((tokens + sequences * (chunk - 1)) / chunk), segments <= sequences + more
 * with more = min(chunks / least, programs / heads), or 0 if that is less than `pays`; rows beyond the real ones are empty.
 */
export interface TableKernel {
  readonly file: string;
  readonly entry: string;
  readonly block: number;
  readonly sharedBytes: number;
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
}

/**
 * `registers`: no matrix products, tiles in the registers of the threads that own them. `tensor cores`: products of 16-bit operands.
 * `plain`: everything else.
 */
export type Lowering = 'registers' | 'tensor cores' | 'plain';

export type PlanArg =
  | { readonly kind: 'tensor'; readonly tensor: string; readonly access: 'read' | 'write' | 'readwrite' }
  /** The shared workspace buffer (array<f32>), for the tensors of it that the kernel uses; offsets come in `dims`. */
  | { readonly kind: 'arena'; readonly tensors: readonly string[] }
  /**
   * u32/i32 array: tokens, heads, groups, sequences, chunks, segments, then the offset in elements (f32) of each arena tensor in order.
   * CUDA: a by-value struct of the first six as int32.
   */
  | { readonly kind: 'dims' }
  /** i32 [sequences, 6]: first token, end token, first chunk, number of chunks, first segment, number of segments. */
  | { readonly kind: 'sequences' }
  /** i32 [segments, 4]: sequence, first chunk, number of chunks, index within the sequence. */
  | { readonly kind: 'segments' }
  /** i32 [chunks, 4]: sequence, first token, length, index within the sequence. */
  | { readonly kind: 'chunks' }
  /**
   * CUDA: a by-value struct of two int32, the elements between two tokens of an input and between two of its heads (groups): users may give
   * slices of something wider.
   */
  | { readonly kind: 'strides'; readonly tensor: string }
  /**
   * CUDA: a 128-byte CUtensorMap by value (cuTensorMapEncodeTiled), by which the kernel reads the tensor. `box`: what one copy moves,
   * innermost axis first, a number per dimension of the map; what is left of the tensor's axes joins the outermost. A box whose rows have
   * 32, 64 or 128 bytes is swizzled so.
   */
  | { readonly kind: 'tensorMap'; readonly tensor: string; readonly box: readonly number[] };

/**
 * Launches run in order within a queue; a host with one stream may run all in the order of the list. `waits`: indices of launches of the
 * other queue that must have finished before. Both queues begin after what came before the program, and what comes after it begins after
 * both.
 */
export interface Launch {
  readonly kernel: string;
  readonly queue: 0 | 1;
  readonly waits: readonly number[];
  /** It only sums over the heads of groups, from tensors that have an `ungrouped`. */
  readonly grouped?: true;
  /** It only makes what segments hand on: not needed where every sequence is one segment. */
  readonly cut?: true;
}
