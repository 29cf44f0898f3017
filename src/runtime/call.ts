import type { Launch, Plan, PlanKernel, PlanTensor } from '../ir/plan/plan.js';
import { kindName } from '../support/brief.js';
import { elementCount, newHostArray } from './arrays.js';
import { chunkTable, segmentTable, sequenceTable, shapeOf, type CallSizes, type Extents } from './extents.js';
import { releasedTensor } from './lifetime.js';
import {
  RuntimeError, type CallOptions, type CallTensors, type DeviceTensor, type ElementType, type HostArray, type Program,
} from './runtime.js';
import { areValues } from './tensors.js';

/** What binding the tensors of a call asks of a device. */
export interface CallMemory<T extends DeviceTensor> {
  readonly pool: Pool<T>;
  fresh(dtype: ElementType, shape: readonly number[]): T;
  upload(tensor: T, data: HostArray, name: string): void;
  /** A pooled tensor of zeros. */
  zeros(name: string, dtype: ElementType, shape: readonly number[]): T;
  /** The tensor if it is one of this device; says what it wants otherwise. */
  own(tensor: DeviceTensor): T | { readonly remedy: string };
  /** Uses tensors in the place of workspaces where the plan allows it (`ungrouped`). */
  readonly inPlace: boolean;
}

/** Memory that lasts from one call to the next. */
export interface Pool<T> {
  /** The tensor of that name, made anew where its size has changed. Launches of calls run in order, so using it again is safe. */
  take(name: string, dtype: ElementType, shape: readonly number[]): T;
  release(): void;
}

export function createPool<T extends DeviceTensor>(allocate: (name: string, dtype: ElementType, shape: readonly number[]) => T): Pool<T> {
  const held = new Map<string, T>();
  return {
    take(name, dtype, shape) {
      const known = held.get(name);
      if (known !== undefined && known.dtype === dtype && elementCount(known.shape) === elementCount(shape)) return known;
      known?.release();
      const fresh = allocate(name, dtype, shape);
      held.set(name, fresh);
      return fresh;
    },
    release() {
      for (const tensor of held.values()) tensor.release();
      held.clear();
    },
  };
}

/** The tables of a call (ir/plan) on a device. */
export function callTables<T extends DeviceTensor>(
  plan: Plan, sizes: CallSizes, pool: Pool<T>, upload: CallMemory<T>['upload'],
): Readonly<Record<'sequences' | 'segments' | 'chunks', T>> {
  const table = (name: string, values: Int32Array): T => {
    const tensor = pool.take(name, 'i32', [Math.max(1, values.length)]);
    // An empty call has tables too: no binding may be empty.
    upload(tensor, values.length > 0 ? values : new Int32Array(1), name);
    return tensor;
  };
  return {
    sequences: table('%sequences', sequenceTable(plan, sizes)), segments: table('%segments', segmentTable(plan, sizes)),
    chunks: table('%chunks', chunkTable(plan, sizes)),
  };
}

export interface BoundTensors<T> {
  /** By the plan's names; without those of the arena. */
  readonly tensors: ReadonlyMap<string, T>;
  /** Outputs, final states or gradients. */
  readonly results: Record<string, T>;
  /** Copies of typed arrays, to be given back after the call. */
  readonly temporary: readonly T[];
}

export function kernelNamed(plan: Plan, name: string): PlanKernel {
  const found = plan.kernels.find((kernel) => kernel.name === name);
  if (found === undefined) throw new RuntimeError(
    `the plan of ${plan.scan} launches ${name}, which it does not describe`, 'this plan is inconsistent: build it again',
  );
  return found;
}

/** Tensors that some kernel of a program names. */
function tensorsUsed(launches: readonly PlanKernel[]): ReadonlySet<string> {
  const args = launches.flatMap((kernel) => kernel.args);
  return new Set(args.flatMap((arg) => (arg.kind === 'tensor' || arg.kind === 'tensorMap' ? [arg.tensor] : [])));
}

/** Finds or makes every tensor that a program needs. Absent initial states and cotangents are zeros. */
export function bindTensors<T extends DeviceTensor>(
  plan: Plan, program: Program, given: CallTensors, extents: Extents, options: CallOptions, memory: CallMemory<T>,
): BoundTensors<T> {
  const used = tensorsUsed(plan.programs[program].map(({ kernel }) => kernelNamed(plan, kernel)));
  const tensors = new Map<string, T>();
  const temporary: T[] = [];
  const results: Record<string, T> = {};
  for (const declared of plan.tensors) {
    if (!used.has(declared.name)) continue;
    const shape = shapeOf(declared, extents);
    switch (declared.role) {
      case 'workspace':
        if (declared.ungrouped !== undefined && memory.inPlace && isUngrouped(extents)) break;
        tensors.set(declared.name, memory.pool.take(declared.name, declared.dtype, shape));
        break;
      case 'input': case 'param': case 'initial': case 'cotangent': {
        const value = given[declared.name];
        if (value === undefined) {
          if (declared.role === 'input' || declared.role === 'param') {
            throw new RuntimeError(
              `${plan.scan}: the ${declared.role} ${declared.name} is missing`, `pass ${declared.name} [${shape.join(', ')}]`,
            );
          }
          tensors.set(declared.name, memory.zeros(declared.name, declared.dtype, shape));
        } else if (!areValues(value)) {
          throw new RuntimeError(`${plan.scan}: ${declared.name} is ${kindName(value)}`, 'pass a typed array or a tensor of the device');
        } else if (ArrayBuffer.isView(value)) {
          checkArray(declared.dtype, shape, value, declared.name);
          const copy = memory.fresh(declared.dtype, shape);
          temporary.push(copy);
          memory.upload(copy, value, declared.name);
          tensors.set(declared.name, copy);
        } else {
          tensors.set(declared.name, ownTensor(plan, declared, shape, value, memory));
        }
        break;
      }
      case 'output': case 'final': case 'gradient': {
        const into = options.into?.[declared.name];
        const tensor = into === undefined ? memory.fresh(declared.dtype, shape) : ownTensor(plan, declared, shape, into, memory);
        tensors.set(declared.name, tensor);
        results[declared.name] = tensor;
        break;
      }
      default: declared.role satisfies never;
    }
  }
  for (const { name, ungrouped } of plan.tensors) {
    const place = ungrouped === undefined ? undefined : tensors.get(ungrouped);
    if (used.has(name) && !tensors.has(name) && place !== undefined) tensors.set(name, place);
  }
  return { tensors, results, temporary };
}

/** Is every head a group of its own? */
function isUngrouped({ heads, groups }: Pick<Extents, 'heads' | 'groups'>): boolean {
  return heads === groups;
}

/** Has the call no use for a launch, since nothing is shared or no sequence is cut? `inPlace`: the sums of groups may be left out. */
export function isNeedless({ grouped, cut }: Launch, extents: Extents, inPlace: boolean): boolean {
  return (grouped === true && inPlace && isUngrouped(extents)) || (cut === true && extents.segments === extents.sequences);
}

/** Throws where an array cannot fill a tensor. */
export function checkArray(dtype: ElementType, shape: readonly number[], data: HostArray, name: string): void {
  const expected = newHostArray(dtype, 0).constructor.name;
  if (data.constructor.name !== expected) {
    throw new RuntimeError(
      `${name}: ${dtype} values come in a ${expected}, found ${data.constructor.name}`,
      'convert the array first; bf16 and f16 travel as their 16 bits',
    );
  }
  if (data.length !== elementCount(shape)) {
    throw new RuntimeError(
      `${name}: [${shape.join(', ')}] has ${elementCount(shape)} elements, the array ${data.length}`, 'pass an array of the tensor\'s size',
    );
  }
}

function ownTensor<T extends DeviceTensor>(
  plan: Plan, declared: PlanTensor, shape: readonly number[], value: DeviceTensor, memory: CallMemory<T>,
): T {
  if ('released' in value && value.released === true) throw releasedTensor(`${plan.scan}: ${declared.name}`);
  const own = memory.own(value);
  if ('remedy' in own) throw new RuntimeError(`${plan.scan}: ${declared.name} lives on another device`, own.remedy);
  // [B, T, ...] and [tokens, ...] are the same memory.
  if (own.dtype !== declared.dtype || elementCount(own.shape) !== elementCount(shape)) {
    throw new RuntimeError(
      `${plan.scan}: ${declared.name} must be ${declared.dtype} [${shape.join(', ')}], found ${own.dtype} [${own.shape.join(', ')}]`,
      'convert the tensor, or load the plan of its dtype',
    );
  }
  return own;
}
