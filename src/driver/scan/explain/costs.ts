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
  /** Seconds that a kernel takes however little it does: its launch, its first loads, its tail. */
  readonly launch: number;
  /**
   * Seconds between two chunks of one sequence, where a kernel carries a state through products; between two tokens, where it does without.
   */
  readonly chunkStep: number;
  readonly tokenStep: number;
}

/**
 * Measured on the device: copy bandwidth, a large bf16 product, a step of decoding beyond its traffic, the fastest walk per chunk
 * and a stream per token among the examples'. From its data sheet: f32.
 */
export const H200: Machine = {
  name: 'H200', bandwidth: 4.28e12, matrixRate: 790e12, plainRate: 67e12, launch: 1e-5, chunkStep: 9e-7, tokenStep: 1e-8,
};

export interface KernelCost {
  readonly name: string;
  readonly doc: string;
  readonly flops: number;
  readonly bytes: number;
  /** The largest of bytes / bandwidth, flops / rate and what its steps one after the other take, in seconds. */
  readonly seconds: number;
  readonly bound: 'memory' | 'arithmetic' | 'latency';
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
export function programCost(plan: Plan, program: 'forward' | 'backward' | 'step', sizes: CallSizes, machine: Machine): ProgramCost {
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
  const [memory, arithmetic] = [
    bytes / machine.bandwidth, flops / (kernel.lowering === 'tensor cores' ? machine.matrixRate : machine.plainRate),
  ];
  const factors: readonly Extent[] = kernel.grid.flat();
  const named = (access: 'read' | 'write') => kernel.args.flatMap((arg) => {
    if (arg.kind === 'tensor' && (arg.access === access || arg.access === 'readwrite')) return [arg.tensor];
    // The first that uses a tensor of the arena makes it.
    if (arg.kind === 'arena') return arg.tensors.filter((name) => made.has(name) === (access === 'read'));
    return arg.kind === 'tensorMap' && access === 'read' ? [arg.tensor] : [];
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
  const latency = machine.launch + stepsOf(kernel, walk, extents, machine);
  const seconds = Math.max(memory, arithmetic, latency);
  return {
    name: kernel.name,
    doc: kernel.doc,
    flops,
    bytes,
    seconds,
    bound: seconds === memory ? 'memory' : seconds === arithmetic ? 'arithmetic' : 'latency',
    blocks: gridOf(kernel, extents).reduce((n, d) => n * d, 1),
    threads: kernel.block,
    sharedBytes: kernel.sharedBytes,
    lowering: kernel.lowering,
    plainWhy: kernel.plainWhy,
    walk,
    reads,
    writes,
  };
}

/**
 * What the steps of a kernel that come one after the other take at least, in a sequence of the common length. What it moves says what it
 * goes through.
 */
function stepsOf(kernel: PlanKernel, walk: KernelCost['walk'], extents: Extents, machine: Machine): number {
  if (walk === 'chunks' || walk === 'once') return 0;
  const through = (['tokens', 'chunks', 'segments'] as const).find((extent) => kernel.bytes.some((term) => term.includes(extent)));
  if (through === undefined) return 0;
  const runs = walk === 'sequences' ? extents.sequences : extents.segments;
  const products = through === 'segments' ? extents.segments : extents.chunks;
  return kernel.lowering === 'tensor cores' ? (products / runs) * machine.chunkStep : (extents[through] / runs) * machine.tokenStep;
}
