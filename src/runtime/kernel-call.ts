import type { PlanResult, PlanShape, PlanSource } from '../ir/plan/names.js';
import { halvesOf, keyOf } from '../support/noise.js';
import { elementCount, newHostArray } from './arrays.js';
import type { Named } from './graph-types.js';
import { lengthsOf } from './lead.js';
import { namesIn, resultsIn, wrongScore, type NamedCall } from './named.js';
import { RuntimeError, type DeviceTensor, type HostArray, type LoadedPlan, type Runtime } from './runtime.js';
import { expectRecord, expectTensor, inElements, member, readFloats, type Tensor } from './tensors.js';

/**
 * What a call of kernels gave. Outputs stay on the device until `readFloats` fetches them. What fetches for itself says where a choice had
 * scores that are no numbers: kernels take these for the largest.
 */
export interface KernelResult<Outputs, Losses> {
  readonly outputs: Outputs;
  /** By path; fetched. */
  losses(): Promise<Losses>;
  /** Tokens of each index of a family, by its path; fetched. */
  counts(): Promise<Readonly<Record<string, Float32Array>>>;
  /** Gives back all memory of the call; outputs go with it. */
  release(): void;
}

export interface KernelOptions {
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
  /** Of draws, 0 if not given; gradients are of the same ones. */
  readonly seed?: number;
  /** Draws differ by step, 0 if not given. */
  readonly step?: number;
  /** Waits for the device, and says which choice had scores that are no numbers, or which output holds some. */
  readonly check?: boolean;
}

export type Program = 'train' | 'eval';

/** Batch and tokens as users see them. */
interface Lead {
  /** [B, T], or [B] in a step. */
  readonly extents: readonly number[];
  readonly lengths: readonly number[];
}

/** What `backward` and `update` need of a call. */
export interface Made {
  readonly program: Program;
  readonly lead: Lead;
  readonly options: KernelOptions;
  readonly tensors: Readonly<Record<string, DeviceTensor>>;
}

export function callOf(
  { plan }: LoadedPlan, given: readonly object[], step: boolean, options: KernelOptions, known?: Lead,
): { readonly lead: Lead; named(kept: NamedCall['kept']): NamedCall } {
  const users = new Map(Object.values(namesIn(plan).given).flatMap((source) => (source.kind === 'user' ? [[source.name, source]] : [])));
  for (const list of given) expectRecord(list, `${plan.scan}: what it takes`, [...users.keys()]);
  const find = (name: string): unknown => given.map((list) => member(list, name)).find((value) => value !== undefined);
  const lead = known ?? leadOf(plan.scan, [...users.values()], find, step, options);
  return {
    lead,
    named: (kept) => ({
      kept, sizes: { heads: 1, groups: 1, lengths: lead.lengths },
      user(name, dtype) {
        const value = find(name);
        if (typeof value === 'number') return inElements(Float32Array.of(value), dtype);
        if (value === undefined) return undefined;
        const whose = `${plan.scan}: ${name}`;
        expectTensor(value, whose);
        const source = users.get(name);
        if (source !== undefined) expectShape(whose, value, userShape(source, lead));
        return ArrayBuffer.isView(value.values) ? inElements(value.values, dtype) : value.values;
      },
      key: (path, number) => Float32Array.from(halvesOf(keyOf(options.seed ?? 0, path, options.step ?? 0, number))),
    }),
  };
}

type User = Extract<PlanSource, { kind: 'user' }>;

/** Batch and tokens from the first input that has them. */
function leadOf(whose: string, users: readonly User[], find: (name: string) => unknown, step: boolean, { cuSeqlens }: KernelOptions): Lead {
  const skip = step ? 1 : 2;
  for (const { name, shape } of users) {
    const value = typeof shape[0] === 'string' ? find(name) : undefined;
    if (value === undefined) continue;
    expectTensor(value, `${whose}: ${name}`);
    const extents = value.shape.slice(0, skip);
    if (extents.length === skip) return { extents, lengths: lengthsOf(whose, extents[0], step ? 1 : extents[1], cuSeqlens) };
  }
  throw new RuntimeError(`${whose}: no input says how many tokens there are`, 'pass the inputs');
}

function userShape({ shape }: PlanShape, { extents }: Lead): readonly number[] {
  return shape.flatMap((extent) => (typeof extent === 'number' ? [extent] : extents));
}

function expectShape(whose: string, { shape }: Tensor<string>, expected: readonly number[]): void {
  if (shape.length === expected.length && shape.every((extent, i) => extent === expected[i])) return;
  throw new RuntimeError(`${whose} must be [${expected.join(', ')}], found [${shape.join(', ')}]`, 'axes stand in memory order');
}

/** A result as users see it. What nobody computes is zeros. */
export function tensorOf(runtime: Runtime, { plan }: LoadedPlan, { lead, tensors }: Made, result: PlanResult): Tensor<string> {
  const shape = userShape(result, lead);
  const names = [...(typeof result.shape[0] === 'string' ? ['B', 'T'].slice(0, lead.extents.length) : []), ...result.axes];
  const [found] = result.tensors;
  const made = found === undefined ? undefined : tensors[found];
  const zeros = (): HostArray => newHostArray('f32', elementCount(shape));
  if (result.tensors.length > 1 || (found !== undefined && made === undefined)) throw new RuntimeError(
    `${plan.scan} made no ${found}`, 'build it again with this version of lmoec',
  );
  return { axes: names.join(' '), shape, values: made ?? runtime.upload(zeros(), 'f32', shape) };
}

export function resultOf(runtime: Runtime, loaded: LoadedPlan, made: Made): KernelResult<Named, Readonly<Record<string, number>>> {
  const results = Object.entries(resultsIn(loaded.plan, 'forward'));
  const named = (prefix: string) => results.flatMap(([name, one]) => (
    name.startsWith(prefix) ? [[name.slice(prefix.length), one] as const] : []
  ));
  const fetched = async <X>(prefix: string, of: (values: Float32Array) => X): Promise<Record<string, X>> => {
    await expectScores(runtime, loaded, made);
    return Object.fromEntries(await Promise.all(named(prefix).map(async ([name, one]) => (
      [name, of(Float32Array.from(await summed(runtime, loaded, made, one)))] as const
    ))));
  };
  return {
    outputs: Object.fromEntries(results.flatMap(([name, one]) => (
      /^(loss|count|take)\./.test(name) ? [] : [[name, tensorOf(runtime, loaded, made, one)] as const]
    ))),
    losses: () => fetched('loss.', ([value]) => value),
    counts: () => fetched('count.', (values) => values),
    release() {
      for (const tensor of Object.values(made.tensors)) tensor.release();
    },
  };
}

/** The parts of a result, added up. */
export async function summed(runtime: Runtime, loaded: LoadedPlan, made: Made, { tensors, ...shape }: PlanResult): Promise<Float64Array> {
  const sum = new Float64Array(elementCount(userShape(shape, made.lead)));
  for (const part of tensors) {
    const values = await readFloats(runtime, tensorOf(runtime, loaded, made, { ...shape, tensors: [part] }));
    values.forEach((x, i) => {
      sum[i] += x;
    });
  }
  return sum;
}

export async function expectScores(runtime: Runtime, { plan }: LoadedPlan, { lead, tensors }: Made): Promise<void> {
  const wrong = await wrongScore(runtime, plan, tensors);
  if (wrong === undefined) return;
  const at = wrong.token === undefined ? '' : ` at ${placeOf(wrong.token, lead.extents)}`;
  throw new RuntimeError(`${plan.scan}: a score that ${wrong.choice} chooses by is not a number${at}`, UNDEFINED);
}

/** The same of outputs, one after the other. */
export async function expectNumbers(
  runtime: Runtime, loaded: LoadedPlan, made: Made, { outputs }: KernelResult<Named, object>,
): Promise<void> {
  await expectScores(runtime, loaded, made);
  for (const [name, output] of Object.entries(outputs)) {
    const found = (await readFloats(runtime, output)).findIndex(Number.isNaN);
    if (found >= 0) throw new RuntimeError(`${loaded.plan.scan}: ${name} is not a number at ${placeOf(found, output.shape)}`, UNDEFINED);
  }
}

const UNDEFINED = 'look for a logarithm, root or quotient that these inputs and params leave undefined';

/** `[1, 0, 7]`: of an element, by its number. */
function placeOf(number: number, shape: readonly number[]): string {
  const place = shape.map((extent, i) => Math.floor(number / elementCount(shape.slice(i + 1))) % extent);
  return `[${place.join(', ')}]`;
}
