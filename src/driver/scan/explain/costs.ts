import type { Extent, Lowering, Plan, PlanKernel, PlanTensor } from '../../../ir/plan/plan.js';
import { isNeedless } from '../../../runtime/programs.js';
import { extentsOf, gridOf, polynomial, type CallSizes, type Extents } from '../../../runtime/extents.js';

/** The machine that times are estimated for. */
export interface Machine {
  readonly name: string;
  /** Bytes per second that a copy reaches. */
  readonly bandwidth: number;
  /** FLOP/s of dense 16-bit matrix products with f32 accumulation. */
  readonly matrixRate: number;
  /** FLOP/s of f32 outside of tensor cores. */
  readonly plainRate: number;
  /**
   * Elements per second that pass through registers between products: one an instruction of a lane, with as few warps as tiles leave room
   * for.
   */
  readonly singleRate: number;
  /** Seconds that a kernel takes however little it does: its launch, its first loads, its tail. */
  readonly launch: number;
  /**
   * Seconds between two chunks of one sequence beside their products, where a kernel carries a state through products; between two tokens,
   * where it does without.
   */
  readonly chunkStep: number;
  readonly tokenStep: number;
  /** What shares the work, and what blocks on one of them share. */
  readonly multiprocessors: number;
  readonly shared: { readonly bytes: number; readonly perBlock: number; readonly threads: number };
}

/**
 * Measured on the device: copy bandwidth, a large bf16 product, a step of decoding beyond its traffic, the fastest walk per chunk
 * and a stream per token among the examples'; 0.39 instructions per cycle and scheduler in kernels of chunks (docs/performance.md), of 528
 * schedulers with 32 lanes at 1.755 GHz. From its data sheet: f32, multiprocessors and what they share.
 */
export const H200: Machine = {
  name: 'H200', bandwidth: 4.28e12, matrixRate: 790e12, plainRate: 67e12, singleRate: 0.39 * 528 * 32 * 1.755e9, launch: 1e-5,
  chunkStep: 9e-7, tokenStep: 1e-8, multiprocessors: 132, shared: { bytes: 228 * 1024, perBlock: 1024, threads: 2048 },
};

export interface KernelCost {
  readonly name: string;
  readonly doc: string;
  readonly flops: number;
  readonly bytes: number;
  /**
   * Of a kernel of chunks on tensor cores, whose few warps hide little of one behind another: traffic, products and single elements
   * together. Of others the largest of traffic, arithmetic and what steps one after the other take.
   */
  readonly seconds: number;
  /** What of these takes longest. */
  readonly bound: 'memory' | 'arithmetic' | 'elements' | 'latency';
  readonly lowering: Lowering;
  /** Of plain kernels: why not a better one. */
  readonly plainWhy: string | undefined;
  readonly blocks: number;
  readonly threads: number;
  readonly sharedBytes: number;
  /** Does each chunk have a program of its own, or does one walk those of a segment, of a sequence, of all? */
  readonly walk: 'chunks' | 'segments' | 'sequences' | 'once';
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

export interface ProgramCost {
  readonly kernels: readonly KernelCost[];
  readonly flops: number;
  readonly bytes: number;
  readonly seconds: number;
  /** Bytes of the user's tensors alone, each moved once: what no schedule can avoid. */
  readonly floorBytes: number;
  /** The same, each head reading what its group shares, as programs of heads do. */
  readonly headBytes: number;
  /** What lies between kernels, the largest first. */
  readonly workspaces: readonly { readonly name: string; readonly bytes: number }[];
}

/** What a program of a plan costs in one call. */
export function programCost(plan: Plan, program: string, sizes: CallSizes, machine: Machine): ProgramCost {
  const extents = extentsOf(plan, sizes);
  const made = new Set<string>();
  const kernels = plan.programs[program].launches.filter((launch) => !isNeedless(launch, extents, false)).map(({ kernel }) => {
    const found = plan.kernels.find(({ name }) => name === kernel);
    if (found === undefined) throw new Error(`the plan of ${plan.scan} launches ${kernel}, which it does not describe`);
    return kernelCost(found, extents, machine, made);
  });
  const sum = (of: (kernel: KernelCost) => number) => kernels.reduce((total, kernel) => total + of(kernel), 0);
  const touched = new Set(kernels.flatMap((kernel) => [...kernel.reads, ...kernel.writes]));
  const own = plan.tensors.filter((tensor) => tensor.role !== 'workspace' && touched.has(tensor.name));
  const bytesOf = (tensor: PlanTensor, from: Extents) => polynomial(
    [[...tensor.shape, tensor.dtype === 'f32' || tensor.dtype === 'i32' ? 4 : 2]], from,
  );
  const once = (from: Extents) => own.reduce((total, tensor) => total + bytesOf(tensor, from), 0);
  const workspaces = plan.tensors
    .filter((tensor) => tensor.role === 'workspace' && touched.has(tensor.name))
    .map((tensor) => ({ name: tensor.name, bytes: bytesOf(tensor, extents) }))
    .sort((a, b) => b.bytes - a.bytes);
  return {
    kernels, flops: sum((kernel) => kernel.flops), bytes: sum((kernel) => kernel.bytes), seconds: sum((kernel) => kernel.seconds),
    floorBytes: once(extents), headBytes: once({ ...extents, groups: extents.heads }), workspaces,
  };
}

/** `made`: the tensors of the shared workspace that earlier kernels wrote; those of this one join them. */
function kernelCost(kernel: PlanKernel, extents: Extents, machine: Machine, made: Set<string>): KernelCost {
  const flops = polynomial(kernel.flops, extents);
  const bytes = polynomial(kernel.bytes, extents);
  const factors: readonly Extent[] = kernel.grid.flat();
  const named = (access: 'read' | 'write') => kernel.args.flatMap((arg) => {
    if (arg.kind === 'tensor' && (arg.access === access || arg.access === 'readwrite')) return [arg.tensor];
    // The first that uses a tensor of the arena makes it.
    if (arg.kind === 'arena') return arg.tensors.filter((name) => made.has(name) === (access === 'read'));
    return arg.kind === 'tensorMap' && access === (arg.access ?? 'read') ? [arg.tensor] : [];
  });
  const [reads, writes] = [[...new Set(named('read'))], [...new Set(named('write'))]];
  for (const name of writes) made.add(name);
  const walk = factors.includes('chunks')
    ? 'chunks'
    : factors.includes('segments')
    ? 'segments'
    : factors.includes('sequences')
    ? 'sequences'
    : 'once';
  const blocks = gridOf(kernel, extents).reduce((n, d) => n * d, 1);
  const { seconds, bound } = timeOf(kernel, { flops, bytes, blocks, walk }, extents, machine);
  return {
    name: kernel.name,
    doc: kernel.doc,
    flops,
    bytes,
    seconds,
    bound,
    blocks,
    threads: kernel.block,
    sharedBytes: kernel.sharedBytes,
    lowering: kernel.lowering,
    plainWhy: kernel.plainWhy,
    walk,
    reads,
    writes,
  };
}

interface Work extends Pick<KernelCost, 'flops' | 'bytes' | 'blocks' | 'walk'> {}

function timeOf(kernel: PlanKernel, work: Work, extents: Extents, machine: Machine): Pick<KernelCost, 'seconds' | 'bound'> {
  const tensorCores = kernel.lowering === 'tensor cores';
  const parts = {
    memory: work.bytes / machine.bandwidth,
    arithmetic: work.flops / (tensorCores ? machine.matrixRate : machine.plainRate),
    elements: tensorCores && work.walk === 'chunks' ? polynomial(kernel.singles, extents) / machine.singleRate : 0,
    latency: machine.launch + stepsOf(kernel, work, extents, machine),
  };
  const bound = ([
    'latency', 'elements', 'arithmetic', 'memory',
  ] as const).reduce((worst, part) => (parts[part] > parts[worst] ? part : worst));
  return { bound, seconds: parts.elements > 0 ? machine.launch + parts.memory + parts.arithmetic + parts.elements : parts[bound] };
}

/**
 * What the steps of a kernel that come one after the other take at least, in a sequence of the common length. What it moves says what it
 * goes through. On tensor cores a block's products are part of its steps, and blocks that find no room wait for those that do.
 */
function stepsOf(kernel: PlanKernel, { walk, flops, blocks }: Work, extents: Extents, machine: Machine): number {
  if (walk === 'chunks' || walk === 'once') return 0;
  const through = (['tokens', 'chunks', 'segments'] as const).find((extent) => kernel.bytes.some((term) => term.includes(extent)));
  if (through === undefined) return 0;
  const runs = walk === 'sequences' ? extents.sequences : extents.segments;
  if (kernel.lowering !== 'tensor cores') return (extents[through] / runs) * machine.tokenStep;
  const { bytes, perBlock, threads } = machine.shared;
  const room = Math.max(1, Math.min(Math.floor(bytes / (kernel.sharedBytes + perBlock)), Math.floor(threads / kernel.block)));
  const beside = Math.max(1, Math.min(room, Math.ceil(blocks / machine.multiprocessors)));
  const rounds = Math.max(1, Math.ceil(blocks / (machine.multiprocessors * beside)));
  const products = (beside * flops) / Math.max(1, blocks) / (machine.matrixRate / machine.multiprocessors);
  const steps = (through === 'segments' ? extents.segments : extents.chunks) / runs;
  return rounds * (steps * machine.chunkStep + products);
}
