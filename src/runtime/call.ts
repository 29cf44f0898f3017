import type { Plan } from '../ir/plan/plan.js';
import { kindName } from '../support/brief.js';
import { elementCount, newHostArray } from './arrays.js';
import { tableOf, type CallSizes } from './extents.js';
import { releasedTensor } from './lifetime.js';
import type { Slot } from './programs.js';
import { RuntimeError, type CallOptions, type CallTensors, type DeviceTensor, type ElementType, type HostArray } from './runtime.js';
import { areValues, arrayName } from './tensors.js';

/** What binding the tensors of a call asks of a device. */
export interface CallMemory<T extends DeviceTensor> {
  readonly pool: Pool<T>;
  fresh(dtype: ElementType, shape: readonly number[]): T;
  upload(tensor: T, data: HostArray, name: string): void;
  /** A tensor of zeros, which nobody writes. */
  zeros(name: string, dtype: ElementType, shape: readonly number[]): T;
  /** The tensor if it is one of this device; says what it wants otherwise. */
  own(tensor: DeviceTensor): T | { readonly remedy: string };
}

/** Memory that lasts from one call to the next. */
export interface Pool<T> {
  /** The memory of that name, made anew where it is too small. Launches of calls run in order, so using it again is safe. */
  take(name: string, dtype: ElementType, shape: readonly number[]): T;
  release(): void;
}

export function createPool<T extends DeviceTensor>(allocate: (name: string, dtype: ElementType, shape: readonly number[]) => T): Pool<T> {
  const held = new Map<string, T>();
  return {
    take(name, dtype, shape) {
      const known = held.get(name);
      if (known !== undefined && known.dtype === dtype && elementCount(known.shape) >= elementCount(shape)) return known;
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

/** By the names that the plan has for them. */
export type Tables<T> = Readonly<Record<string, T>>;

/** The tables of a call (ir/plan) on a device; the caller gives them back. */
export function makeTables<T extends DeviceTensor>(
  plan: Plan, sizes: CallSizes, { fresh, upload }: Pick<CallMemory<T>, 'fresh' | 'upload'>,
): Tables<T> {
  return Object.fromEntries(Object.keys(plan.tables).map((name): [string, T] => {
    const values = tableOf(plan, name, sizes);
    const tensor = fresh('i32', [Math.max(1, values.length)]);
    // An empty call has tables too: no binding may be empty.
    upload(tensor, values.length > 0 ? values : new Int32Array(1), `the table of ${name}`);
    return [name, tensor];
  }));
}

export interface BoundTensors<T> {
  /** One for each slot. */
  readonly tensors: readonly T[];
  /** Outputs, final states or gradients. */
  readonly results: Record<string, T>;
  /** Copies of typed arrays, to be given back after the call. */
  readonly temporary: readonly T[];
}

/** Finds or makes the tensor of every slot. Absent initial states and cotangents are zeros. */
export function bindTensors<T extends DeviceTensor>(
  plan: Plan, slots: readonly Slot[], given: CallTensors, options: CallOptions, memory: CallMemory<T>,
): BoundTensors<T> {
  const temporary: T[] = [];
  const results: Record<string, T> = {};
  const own = slots.map((slot): T | undefined => {
    const { declared, role, shape, place } = slot;
    switch (role) {
      case 'workspace': return place === undefined ? memory.pool.take(declared.name, declared.dtype, shape) : undefined;
      case 'input': case 'param': case 'initial': case 'cotangent': {
        const value = given[declared.name];
        if (value === undefined) {
          if (role === 'input' || role === 'param') {
            throw new RuntimeError(
              `${plan.scan}: the ${role} ${declared.name} is missing`, `pass ${declared.name} [${shape.join(', ')}]`,
            );
          }
          return memory.zeros(declared.name, declared.dtype, shape);
        }
        if (!areValues(value)) throw new RuntimeError(
          `${plan.scan}: ${declared.name} is ${kindName(value)}`, 'pass a typed array or a tensor of the device',
        );
        if (!ArrayBuffer.isView(value)) return ownTensor(plan, slot, value, memory);
        checkArray(declared.dtype, shape, value, declared.name);
        const copy = memory.fresh(declared.dtype, shape);
        temporary.push(copy);
        memory.upload(copy, value, declared.name);
        return copy;
      }
      case 'output': case 'final': case 'gradient': {
        const into = options.into?.[declared.name];
        const tensor = into === undefined ? memory.fresh(declared.dtype, shape) : ownTensor(plan, slot, into, memory);
        results[declared.name] = tensor;
        return tensor;
      }
      default: return role satisfies never;
    }
  });
  const tensors = own.map((tensor, i): T => {
    const found = tensor ?? own[slots[i].place ?? i];
    if (found === undefined) throw new RuntimeError(
      `${plan.scan}: nothing stands for ${slots[i].declared.name}`, 'this plan is inconsistent: build it again',
    );
    return found;
  });
  return { tensors, results, temporary };
}

/** Throws where an array cannot fill a tensor. */
export function checkArray(dtype: ElementType, shape: readonly number[], data: HostArray, name: string): void {
  const [expected, found] = [newHostArray(dtype, 0), data].map(arrayName);
  if (found !== expected) {
    throw new RuntimeError(
      `${name}: ${dtype} values come in a ${expected}, found ${found}`,
      'convert the array first; bf16 and f16 travel as their 16 bits',
    );
  }
  if (data.length !== elementCount(shape)) {
    throw new RuntimeError(
      `${name}: [${shape.join(', ')}] has ${elementCount(shape)} elements, the array ${data.length}`, 'pass an array of the tensor\'s size',
    );
  }
}

function ownTensor<T extends DeviceTensor>(plan: Plan, { declared, shape, count }: Slot, value: DeviceTensor, memory: CallMemory<T>): T {
  if ('released' in value && value.released === true) throw releasedTensor(`${plan.scan}: ${declared.name}`);
  const own = memory.own(value);
  if ('remedy' in own) throw new RuntimeError(`${plan.scan}: ${declared.name} lives on another device`, own.remedy);
  // [B, T, ...] and [tokens, ...] are the same memory.
  if (own.dtype !== declared.dtype || elementCount(own.shape) !== count) {
    throw new RuntimeError(
      `${plan.scan}: ${declared.name} must be ${declared.dtype} [${shape.join(', ')}], found ${own.dtype} [${own.shape.join(', ')}]`,
      'convert the tensor, or load the plan of its dtype',
    );
  }
  return own;
}
