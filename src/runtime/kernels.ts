import type { GraphTypes, Named, Untyped } from './graph-types.js';
import {
  callOf, expectNumbers, expectScores, resultOf, summed, tensorOf, type KernelOptions, type KernelResult, type Made, type Program,
} from './kernel-call.js';
import { resultsIn, runNamed } from './named.js';
import { openPlan, type ReadFile } from './open.js';
import { RuntimeError, type ElementType, type LoadedPlan, type Runtime } from './runtime.js';
import { member } from './tensors.js';
import { movedBuffers, type BufferUpdate } from './update.js';

export type { KernelOptions, KernelResult } from './kernel-call.js';

/** The kernels of a layer or mixture outside of training. Types say what is taken; what was really given is looked at. */
export interface OpenEvalKernels<T extends GraphTypes> {
  readonly backend: Runtime['kind'];
  /** The element types that kernels read, of params and inputs by name, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
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

/** The same with training. */
export interface OpenKernels<T extends GraphTypes> extends OpenEvalKernels<T> {
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
  /**
   * The buffers after a step of the optimiser: `calls` are what all calls of `forward` in that step gave, in their order, not yet
   * released, and `params` those of the calls. Fetched; `{ ...params, ...await kernels.update(made, params) }` is what the next step takes.
   */
  update(
    calls: KernelResult<T['outputs'], T['losses']> | readonly KernelResult<T['outputs'], T['losses']>[], params: T['params'],
  ): Promise<T['buffers']>;
}

/** Plans by program, loaded when they are first called, and what calls have left. */
interface Opened {
  readonly runtime: Runtime;
  readonly plans: Map<Program, Promise<LoadedPlan>>;
  plan(program: Program): Promise<LoadedPlan>;
  readonly calls: WeakMap<object, Made>;
}

function opened(runtime: Runtime, readFile: ReadFile, folders: readonly string[]): Opened {
  const plans = new Map<Program, Promise<LoadedPlan>>();
  const plan = (program: Program): Promise<LoadedPlan> => {
    const known = plans.get(program) ?? openPlan(runtime, readFile, folders.map((folder) => `${folder}/${program}`), {});
    plans.set(program, known);
    return known;
  };
  return { runtime, plans, plan, calls: new WeakMap() };
}

/** Opens what `lmoec build --eval --target` wrote into `folders`. */
export async function openEvalKernels<T extends GraphTypes>(
  runtime: Runtime, readFile: ReadFile, folders: readonly string[],
): Promise<OpenEvalKernels<T>> {
  // Names and axes are those of the declaration that the binding was made of.
  return await evalKernels(opened(runtime, readFile, folders), 'eval') as unknown as OpenEvalKernels<T>;
}

/** `first` is loaded at once, so that whatever cannot be loaded is said here. */
async function evalKernels(open: Opened, first: Program): Promise<OpenEvalKernels<Untyped>> {
  const { runtime, plans } = open;
  const { plan: { tensors, names } } = await open.plan(first);
  const dtypes = tensors.flatMap(({ name, dtype }) => {
    const source = names?.given[name];
    return source?.kind === 'user' && !source.name.startsWith('d_') ? [[source.name, dtype] as const] : [];
  });
  return {
    backend: runtime.kind,
    dtypes: Object.fromEntries(dtypes),
    eval: (params, inputs, options = {}) => forward(open, 'eval', params, inputs, options, false),
    step: (params, inputs, options = {}) => forward(open, 'eval', params, inputs, options, true),
    release() {
      for (const loaded of plans.values()) loaded.then((one) => one.release(), () => undefined);
      plans.clear();
    },
  };
}

async function forward(
  { runtime, plan, calls }: Opened, program: Program, params: object, inputs: object, options: KernelOptions, step: boolean,
): Promise<KernelResult<Named, Untyped['losses']>> {
  const loaded = await plan(program);
  const call = callOf(loaded, [inputs, params], step, options);
  const tensors = await runNamed(loaded, 'forward', call.named({}));
  const made = { program, lead: call.lead, options, tensors };
  const result = resultOf(runtime, loaded, made);
  calls.set(result, made);
  if (options.check === true) await expectNumbers(runtime, loaded, made, result);
  return result;
}

/** What a call of `forward` left. */
function madeBy({ calls }: Opened, { plan }: LoadedPlan, result: object): Made {
  const made = calls.get(result);
  if (made?.program === 'train') return made;
  throw new RuntimeError(`${plan.scan}: this is no result of forward`, 'give what `forward` gave');
}

/** Opens what `lmoec build --target` wrote into `folders`; `openUpdate`: how buffers move, where there are some. */
export async function openKernels<T extends GraphTypes>(
  runtime: Runtime, readFile: ReadFile, folders: readonly string[], openUpdate?: (readFile: ReadFile) => Promise<BufferUpdate>,
): Promise<OpenKernels<T>> {
  const shared = opened(runtime, readFile, folders);
  let moving: Promise<BufferUpdate> | undefined;
  const open: OpenKernels<Untyped> = {
    ...await evalKernels(shared, 'train'),
    forward: (params, inputs, options = {}) => forward(shared, 'train', params, inputs, options, false),
    async backward(result, params, inputs, cotangents = {}, weights = {}) {
      const loaded = await shared.plan('train');
      const made = madeBy(shared, loaded, result);
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
    async update(results, params) {
      if (openUpdate === undefined) return {};
      const [loaded, update] = await Promise.all([shared.plan('train'), moving ??= openUpdate(readFile)]);
      const all = [results].flat();
      if (all.length === 0) throw new RuntimeError(`${loaded.plan.scan}: a step has calls`, 'give what `forward` gave in it');
      const calls = await Promise.all(all.map(async (result) => {
        const made = madeBy(shared, loaded, result);
        await expectScores(runtime, loaded, made);
        const given = resultsIn(loaded.plan, 'forward');
        return new Map(await Promise.all(update.takes.map(async (name): Promise<[string, Float64Array]> => (
          [name, await summed(runtime, loaded, made, given[`take.${name}`])]
        ))));
      }));
      return movedBuffers(runtime, loaded.plan.scan, update, calls, params);
    },
  };
  // Names and axes are those of the declaration that the binding was made of.
  return open as unknown as OpenKernels<T>;
}
