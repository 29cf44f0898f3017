import { crowded, cudaChunks, overflows, tileMemory } from '../../backends/cuda/chunk.js';
import { within } from '../../backends/cuda/live.js';
import { chunkFor, type WgslCapabilities } from '../../backends/wgsl/capabilities.js';
import type { Axis } from '../../ir/common/axes.js';
import type { IoDtype } from '../../ir/common/dtype.js';
import type { Plan, Target } from '../../ir/plan/plan.js';
import type { Spec } from '../../ir/spec/spec.js';
import type { TileModule } from '../../ir/tile/tile.js';
import { diagnoseRefusal } from '../../passes/normalize/diagnose.js';
import { isRefusal } from '../../passes/normalize/refusal.js';
import { DEFAULT_CHUNK, lowerScan, type LoweredScan, type LowerOptions } from '../../passes/pipeline.js';
import type { Host } from '../host.js';
import type { Failed } from '../problem.js';
import { isProblem, type Source } from '../session.js';
import { headSizeProblem, sizesFor, unheldNumber } from './sizes.js';
import { compilerVersion, templatesOf } from '../installed.js';

/** What to make of a scan. */
export interface Request {
  readonly target: Target;
  readonly dtype: IoDtype;
  /** Of all axes. */
  readonly sizes: ReadonlyMap<Axis, number>;
  /** The command as generated files name it. */
  readonly command: string;
  /** What an adapter offers; WebGPU's defaults if not given. */
  readonly capabilities?: WgslCapabilities;
  /** Gradients, unless it is false. */
  readonly backward?: boolean;
  /** For hosts that share sequences among devices: the programs of pieces, too. CUDA. */
  readonly pieces?: boolean;
}

export interface Compiled extends LoweredScan {
  readonly plan: Plan;
  /** Kernel sources by the names in the plan. */
  readonly files: ReadonlyMap<string, string>;
}

/** Targets and dtypes often want the same algorithm: made once for each set of options, as long as the Spec lives. */
const lowerings = new WeakMap<Spec, Map<string, LoweredScan | Failed>>();

/**
 * Spec -> Scan -> Tile for a target, or why there is no chunked form. `room`: the share of its shared memory that chunk kernels are
 * meant to take.
 */
export function lowerFor(
  spec: Spec,
  request: Pick<Request, 'target' | 'dtype' | 'sizes' | 'capabilities' | 'backward' | 'pieces'>,
  chunk = DEFAULT_CHUNK, room = 1,
): LoweredScan | Failed {
  const { target, dtype, sizes, capabilities } = request;
  const exactGates = dtype === 'f32';
  const narrowRange = dtype === 'f16';
  const backward = request.backward ?? true;
  const options: LowerOptions = target === 'webgpu'
    ? { chunk: chunkFor(sizes, capabilities), exactGates, narrowRange, backward }
    : {
      chunk, fits: within(room * tileMemory(target)), inlineScores: 'diagonal', exactGates, halfOperands: dtype !== 'f32', narrowRange,
      // Of kernels for sm_90a, whose walks load by the copy engine.
      runs: RUNS, slides: true, walksMake: target === 'cuda.sm90' && dtype === 'bf16', backward,
      pieces: request.pieces === true,
      // Workspaces of WebGPU share one buffer.
      keeps: true,
    };
  const known = lowerings.get(spec) ?? new Map<string, LoweredScan | Failed>();
  lowerings.set(spec, known);
  const key = JSON.stringify([[...sizes], options, target === 'webgpu' ? undefined : room * tileMemory(target)]);
  const made = known.get(key) ?? lowerOrRefuse(spec, sizes, options);
  known.set(key, made);
  return made;
}

function lowerOrRefuse(spec: Spec, sizes: ReadonlyMap<Axis, number>, options: LowerOptions): LoweredScan | Failed {
  try {
    const lowered = lowerScan(spec, sizes, options);
    return unheldNumber(spec, lowered.module) ?? lowered;
  } catch (error) {
    if (isRefusal(error)) return { diagnostics: [diagnoseRefusal(error)] };
    throw error;
  }
}

/** Does `check` find a chunked form, and can kernels have the sizes? Axes without a size get one that every kernel can have. */
export function checkScan(spec: Spec, given: ReadonlyMap<string, number>): LoweredScan | Failed {
  const sizes = sizesFor(spec, new Map([...spec.axes.map((axis) => [axis.name, axis.defaultSize ?? 64] as const), ...given]));
  if (isProblem(sizes)) return sizes;
  const lowered = lowerFor(spec, { target: 'cuda.sm90', dtype: 'bf16', sizes });
  return ('module' in lowered ? headSizeProblem(lowered.scan, sizes) : undefined) ?? lowered;
}

/** Channels whose gradients a block sums up: as many as it has room for beside their states. */
const RUNS = 16;

/** Shares of the shared memory that kernels are meant to take, where those for all of it took more. */
const LESS_ROOM: readonly number[] = [0.85, 0.7];

/** Spec -> kernels and plan for one target and dtype. Same input, same output. Back ends are loaded when they are first asked for. */
export async function compileScan(host: Host, source: Source, spec: Spec, request: Request): Promise<Compiled | Failed> {
  const { target, dtype, command } = request;
  const lowered = lowerFor(spec, request);
  if (!('module' in lowered)) return lowered;
  const unfit = headSizeProblem(lowered.scan, request.sizes);
  if (unfit !== undefined) return unfit;
  const provenance: Plan['source'] = { hash: source.hash, compiler: compilerVersion(host), command };
  const options = { dtype, source: provenance, doc: spec.doc };
  if (target === 'webgpu') {
    const { emitWgsl } = await import('../../backends/wgsl/emit.js');
    return {
      ...lowered, ...emitWgsl(lowered.module, { ...options, capabilities: request.capabilities, templates: templatesOf(host, 'wgsl') }),
    };
  }
  const { emitCuda } = await import('../../backends/cuda/emit.js');
  const compile = (chunk: number, room?: number): Compiled | Failed => {
    const again = lowerFor(spec, request, chunk, room);
    return 'module' in again
      ? { ...again, ...emitCuda(again.module, { ...options, target, templates: templatesOf(host, 'cuda') }) }
      : again;
  };
  const [first, ...others] = cudaChunks(lowered.scan, dtype);
  let made = compile(first);
  // Shorter chunks for what does not fit in shared memory.
  for (const chunk of others) if ('plan' in made && overflows(made.plan, made.module)) made = compile(chunk);
  // What a kernel takes is an estimate while passes divide the work: where one turns out too large for tensor cores, smaller ones.
  for (const room of LESS_ROOM) {
    if (!('plan' in made) || crowded(made.plan) === 0) break;
    const again = compile(made.module.chunk, room);
    if ('plan' in again && crowded(again.plan) < crowded(made.plan)) made = again;
  }
  return made;
}

/** Is a tensor of the file contract rounded to the io dtype? Tile modules say so of their buffers: gates, params and states are f32. */
export function ioDtypeOf(module: TileModule): (name: string) => boolean {
  const given = module.buffers.filter(({ dtype, role }) => dtype === 'io' && (role === 'input' || role === 'cotangent'));
  const names = new Set(given.map(({ name }) => name));
  return (name) => names.has(name);
}
