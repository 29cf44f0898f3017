import type { PlanResult, PlanShape, PlanSource } from '../ir/plan/names.js';
import { halvesOf, keyOf } from '../support/noise.js';
import { elementCount, newHostArray } from './arrays.js';
import type { GraphTypes, Named, Untyped } from './graph-types.js';
import { lengthsOf } from './lead.js';
import { namesIn, resultsIn, runNamed, wrongScore, type NamedCall } from './named.js';
import { openPlan, type ReadFile } from './open.js';
import { RuntimeError, type DeviceTensor, type ElementType, type HostArray, type LoadedPlan, type Runtime } from './runtime.js';
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

/** The kernels of a layer or mixture on a device. Types say what is taken; what was really given is looked at. */
export interface OpenKernels<T extends GraphTypes> {
  readonly backend: Runtime['kind'];
  /** The element types that kernels read, of params and inputs by name, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** In training: outputs, losses, and what `backward` goes back to. */
  forward(params: T['params'], inputs: T['inputs'], options?: KernelOptions): Promise<KernelResult<T['outputs'], T['losses']>>;
  /**
   * Gradients of the sum of all losses, each with weight 1 unless `weights` says another, and of outputs times their cotangents. `params`
   * and `inputs` are those of forward.
   */
  backward(
    made: KernelResult<T['outputs'], T['losses']>, params: T['params'], inputs: T['inputs'], cotangents?: Partial<T['outputs']>,
    weights?: Partial<T['losses']>,
  ): Promise<{ readonly inputs: Partial<T['inputs']>; readonly params: Omit<T['params'], keyof T['buffers']> }>;
  /** Outside of training. */
  eval(
    params: T['params'], inputs: Partial<T['inputs']>, options?: KernelOptions,
  ): Promise<KernelResult<T['outputs'], Partial<T['losses']>>>;
  /** One token for every sequence, [B, ...]. */
  step(
    params: T['params'], inputs: Partial<T['stepInputs']>, options?: Pick<KernelOptions, 'check'>,
  ): Promise<KernelResult<T['stepOutputs'], object>>;
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

/** Batch and tokens as users see them. */
interface Lead {
  /** [B, T], or [B] in a step. */
  readonly extents: readonly number[];
  readonly lengths: readonly number[];
}

/** What `backward` needs of a call. */
interface Made {
  readonly lead: Lead;
  readonly options: KernelOptions;
  readonly tensors: Readonly<Record<string, DeviceTensor>>;
}

/** Opens what `lmoec build --target` wrote into `folders`; programs are loaded when they are first called. */
export async function openKernels<T extends GraphTypes>(
  runtime: Runtime, readFile: ReadFile, folders: readonly string[],
): Promise<OpenKernels<T>> {
  const plans = new Map<string, Promise<LoadedPlan>>();
  const plan = (program: 'train' | 'eval'): Promise<LoadedPlan> => {
    const known = plans.get(program) ?? openPlan(runtime, readFile, folders.map((folder) => `${folder}/${program}`), {});
    plans.set(program, known);
    return known;
  };
  // Whatever cannot be loaded is said here.
  const { plan: { tensors, names } } = await plan('train');
  const dtypes = tensors.flatMap(({ name, dtype }) => {
    const source = names?.given[name];
    return source?.kind === 'user' && !source.name.startsWith('d_') ? [[source.name, dtype] as const] : [];
  });
  const calls = new WeakMap<object, Made>();
  const forward = async (loaded: LoadedPlan, params: object, inputs: object, options: KernelOptions, step: boolean) => {
    const call = callOf(loaded, [inputs, params], step, options);
    const tensors = await runNamed(loaded, 'forward', call.named({}));
    const made = { lead: call.lead, options, tensors };
    const result = resultOf(runtime, loaded, made);
    calls.set(result, made);
    if (options.check === true) await expectNumbers(runtime, loaded, made, result);
    return result;
  };
  const open: OpenKernels<Untyped> = {
    backend: runtime.kind,
    dtypes: Object.fromEntries(dtypes),
    forward: async (params, inputs, options = {}) => forward(await plan('train'), params, inputs, options, false),
    async backward(result, params, inputs, cotangents = {}, weights = {}) {
      const loaded = await plan('train');
      const made = calls.get(result);
      if (made === undefined) throw new RuntimeError(`${loaded.plan.scan}: this is no result of forward`, 'give what `forward` gave');
      const ones = Object.keys(resultsIn(loaded.plan, 'forward')).filter((name) => name.startsWith('loss.'));
      const given = {
        ...Object.fromEntries(Object.entries(cotangents).map(([name, value]) => [`d_${name}`, value])),
        ...Object.fromEntries(ones.map((name) => [`d_${name}`, member(weights, name.slice('loss.'.length)) ?? 1])),
      };
      const call = callOf(loaded, [inputs, params, given], made.lead.extents.length === 1, made.options, made.lead);
      const tensors = await runNamed(loaded, 'backward', call.named(made.tensors));
      const found = { ...made, tensors };
      const all = Object.entries(resultsIn(loaded.plan, 'backward')).map(([name, one]) => (
        [name.slice('d_'.length), one, tensorOf(runtime, loaded, found, one)] as const
      ));
      const of = (tokens: boolean) => Object.fromEntries(all.flatMap(([name, { shape }, tensor]) => (
        shape.some((extent) => typeof extent === 'string') === tokens ? [[name, tensor] as const] : []
      )));
      return { inputs: of(true), params: of(false) };
    },
    eval: async (params, inputs, options = {}) => forward(await plan('eval'), params, inputs, options, false),
    step: async (params, inputs, options = {}) => forward(await plan('eval'), params, inputs, options, true),
    release() {
      for (const loaded of plans.values()) loaded.then((one) => one.release(), () => undefined);
      plans.clear();
    },
  };
  // Names and axes are those of the declaration that the binding was made of.
  return open as unknown as OpenKernels<T>;
}

function callOf(
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
function tensorOf(runtime: Runtime, { plan }: LoadedPlan, { lead, tensors }: Made, result: PlanResult): Tensor<string> {
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

function resultOf(runtime: Runtime, loaded: LoadedPlan, made: Made): KernelResult<Named, Readonly<Record<string, number>>> {
  const results = Object.entries(resultsIn(loaded.plan, 'forward'));
  const named = (prefix: string) => results.flatMap(([name, one]) => (
    name.startsWith(prefix) ? [[name.slice(prefix.length), one] as const] : []
  ));
  const summed = async ({ tensors, ...shape }: PlanResult): Promise<Float32Array> => {
    const sum = new Float32Array(elementCount(userShape(shape, made.lead)));
    for (const part of tensors) {
      const values = await readFloats(runtime, tensorOf(runtime, loaded, made, { ...shape, tensors: [part] }));
      values.forEach((x, i) => {
        sum[i] += x;
      });
    }
    return sum;
  };
  const fetched = async <X>(prefix: string, of: (values: Float32Array) => X): Promise<Record<string, X>> => {
    await expectScores(runtime, loaded, made);
    return Object.fromEntries(await Promise.all(named(prefix).map(async ([name, one]) => [name, of(await summed(one))] as const)));
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

async function expectScores(runtime: Runtime, { plan }: LoadedPlan, { lead, tensors }: Made): Promise<void> {
  const wrong = await wrongScore(runtime, plan, tensors);
  if (wrong === undefined) return;
  const at = wrong.token === undefined ? '' : ` at ${placeOf(wrong.token, lead.extents)}`;
  throw new RuntimeError(`${plan.scan}: a score that ${wrong.choice} chooses by is not a number${at}`, UNDEFINED);
}

/** The same of outputs, one after the other. */
async function expectNumbers(runtime: Runtime, loaded: LoadedPlan, made: Made, { outputs }: KernelResult<Named, object>): Promise<void> {
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
