import type { Diagnostic } from '../diagnostics/diagnostic.js';
import { emitCuda } from '../backends/cuda/emit.js';
import { emitWgsl, type WgslCapabilities } from '../backends/wgsl/emit.js';
import type { Axis } from '../ir/common/axes.js';
import type { IoDtype } from '../ir/common/dtype.js';
import type { Plan, Target } from '../ir/plan/plan.js';
import type { ScanProgram } from '../ir/scan/scan.js';
import type { Spec } from '../ir/spec/spec.js';
import type { TileModule } from '../ir/tile/tile.js';
import { lowerScan } from '../passes/pipeline.js';
import type { Host } from './host.js';
import { problem, type Problem } from './problem.js';

/** What to make of a scan. */
export interface Request {
  readonly target: Target;
  readonly dtype: IoDtype;
  /** Overrides the sizes of the declaration. */
  readonly sizes: ReadonlyMap<Axis, number>;
  /** What an adapter offers; WebGPU's defaults if not given. */
  readonly capabilities?: WgslCapabilities;
}

/** Chunk algorithm of a scan, before any target. */
export interface Lowered {
  readonly spec: Spec;
  /** Absent where the scan runs step by step. */
  readonly scan: ScanProgram | undefined;
  readonly module: TileModule;
}

export interface Compiled extends Lowered {
  readonly plan: Plan;
  /** Kernel sources by the names in the plan. */
  readonly files: ReadonlyMap<string, string>;
}

export type Failed = { readonly diagnostics: readonly Diagnostic[] } | Problem;

export const TARGETS: readonly Target[] = ['cuda.sm80', 'cuda.sm90', 'webgpu'];

/** bf16 on tensor cores; f32 where there is no bf16. */
export function defaultDtype(target: Target): IoDtype {
  return target === 'webgpu' ? 'f32' : 'bf16';
}

/** Sizes of all axes of a scan, or which one is missing or cannot be. */
export function sizesFor(spec: Spec, given: ReadonlyMap<string, number>): ReadonlyMap<Axis, number> | Problem {
  const sizes = new Map<Axis, number>();
  for (const axis of spec.axes) {
    const size = given.get(axis.name) ?? axis.defaultSize;
    if (size === undefined) {
      return problem('E403', `axis \`${axis.name}\` of \`${spec.name}\` has no size`, `give one with --size ${axis.name}=64, or write \`with ${axis.name} = 64\` in the declaration`);
    }
    sizes.set(axis.name, size);
  }
  return sizes;
}

/** Templates below templates/`folder`, by path relative to it. */
export function templatesOf(host: Host, folder: string): Readonly<Record<string, string>> {
  const root = host.join(host.root, 'templates', folder);
  return Object.fromEntries(host.list(root).map((name) => [name, host.readText(host.join(root, name)) ?? '']));
}
