import type { Plan, PlanTensor } from '../ir/plan/plan.js';
import type { PlanCheck, PlanNames, PlanResult } from '../ir/plan/names.js';
import { elementCount, newHostArray } from './arrays.js';
import { extentsOf, shapeOf, type CallSizes } from './extents.js';
import {
  RuntimeError, type CallTensors, type DeviceTensor, type ElementType, type HostArray, type LoadedPlan, type Runtime,
} from './runtime.js';

/** What a host that runs a layer or mixture has. */
export interface NamedCall {
  readonly sizes: CallSizes;
  /** A tensor by the name that users have for it, in the elements that are asked for. Cotangents that are not there are zeros. */
  user(name: string, dtype: ElementType): HostArray | DeviceTensor | undefined;
  /** What the program before left, by its name in the plan. */
  readonly kept: Readonly<Record<string, DeviceTensor>>;
  /** The key of some draws, in halves (PlanSource). */
  key(path: string, number: number): Float32Array;
}

export function namesIn(plan: Plan): PlanNames {
  if (plan.names === undefined) throw new RuntimeError(`the plan of ${plan.scan} has no names`, 'build it again');
  return plan.names;
}

/** Runs a program of a plan that says whose its tensors are; what it gives comes by its names in the plan. */
export function runNamed(loaded: LoadedPlan, program: string, call: NamedCall): Promise<Record<string, DeviceTensor>> {
  const { plan } = loaded;
  const sizes = namesIn(plan).joins ? joined(call.sizes) : call.sizes;
  const extents = extentsOf(plan, sizes);
  const tensors: CallTensors = Object.fromEntries(plan.programs[program].takes.map((name) => {
    const declared = plan.tensors.find((tensor) => tensor.name === name);
    if (declared === undefined) throw new RuntimeError(`the plan of ${plan.scan} takes ${name}, which it does not know`, 'build it again');
    return [name, given(plan, declared, shapeOf(declared, extents), call)];
  }));
  return loaded.run(program, tensors, sizes);
}

/** All sequences as one. */
function joined(sizes: CallSizes): CallSizes {
  return { ...sizes, lengths: [sizes.lengths.reduce((sum, length) => sum + length, 0)] };
}

function given(plan: Plan, { name, dtype }: PlanTensor, shape: readonly number[], call: NamedCall): HostArray | DeviceTensor | undefined {
  const source = namesIn(plan).given[name];
  switch (source?.kind) {
    case 'user': return call.user(source.name, dtype) ?? (
      source.name.startsWith('d_') ? newHostArray(dtype, elementCount(shape)) : undefined
    );
    case 'kept': return call.kept[source.tensor];
    case 'number': return tokenNumbers(source.of, call.sizes.lengths);
    case 'key': return call.key(source.path, source.number);
    case undefined: return undefined;
  }
}

function tokenNumbers(of: 'position' | 'sequence', lengths: readonly number[]): Float32Array {
  return Float32Array.from(lengths.flatMap((length, sequence) => Array.from(
    { length }, (_, time) => (of === 'sequence' ? sequence : time),
  )));
}

/** A choice that had scores which are no numbers. */
export interface WrongScore extends PlanCheck {
  /** The first token that has one, among all of the call; undefined: they are of no token. */
  readonly token: number | undefined;
}

/** Looks at what forward noted of its choices, which waits for the device. */
export async function wrongScore(
  runtime: Runtime, plan: Plan, made: Readonly<Record<string, DeviceTensor>>,
): Promise<WrongScore | undefined> {
  for (const check of namesIn(plan).checks) {
    const shape = plan.tensors.find(({ name }) => name === check.tensor)?.shape ?? [];
    const found = (await runtime.download(made[check.tensor])).findIndex((many) => many !== 0);
    if (found >= 0) return { ...check, token: shape.length === 0 ? undefined : found };
  }
  return undefined;
}

/** What a program gives to users, by the names that they have for it. */
export function resultsIn(plan: Plan, program: string): Readonly<Record<string, PlanResult>> {
  return namesIn(plan).results[program] ?? {};
}
