import { hasKept, KEPT } from '../ir/plan/kept.js';
import type { Plan } from '../ir/plan/plan.js';
import { kindName } from '../support/brief.js';
import { givenTensors, type Tensors } from './given.js';
import { keep, takeKept, type Kept } from './kept.js';
import { leadOf, userShape, type Lead } from './lead.js';
import { planName, resultName } from './names.js';
import { openPlan, type ReadFile } from './open.js';
import {
  RuntimeError, type CallTensors, type DeviceTensor, type ElementType, type HostArray, type LoadedPlan, type Runtime,
} from './runtime.js';
import { expectRecord, inElements, member, type Tensor } from './tensors.js';

export type { Kept } from './kept.js';
export type { ReadFile } from './open.js';
export { openEvalKernels, openKernels, type OpenEvalKernels, type OpenKernels } from './kernels.js';
export { read, readFloats, release, tensor, upload, type Tensor, type TensorValues } from './tensors.js';

/** What a call may be given besides inputs. */
export interface OpenOptions {
  readonly state?: object;
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What a forward may be asked for. */
export interface Keeping {
  /**
   * Leaves on the device what the backward of the same inputs would compute again, as the result's `kept`, where kernels have such (CUDA,
   * where backward makes again by products what forward has made; `lmoec explain` says what it costs and saves).
   */
  readonly keep?: boolean;
}

/** What a backward may be given. Gradients are the same with it and without. */
export interface Keeps {
  /** The `kept` of a forward of the same inputs. */
  readonly kept?: Kept | undefined;
}

/** Results of a call; `take` says which axes each has. */
export interface Results {
  /** undefined: nothing was asked for, or the kernels leave nothing. */
  readonly kept?: Kept | undefined;
  take<const Axes extends string>(name: string, axes: Axes): Tensor<Axes>;
}

/** What generated bindings call. They say the types; what was really given is looked at here, so that anything else is refused in words. */
export interface OpenScan {
  readonly plan: Plan;
  /** Of inputs, params, states and outputs, by name. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  forward(inputs: object, options?: OpenOptions & Keeping): Promise<Results>;
  backward(inputs: object, grads: object, options?: OpenOptions & Keeps): Promise<Results>;
  step(state: object, inputs: object): Promise<Results>;
  release(): void;
}

/** Finds the plan that fits the runtime's device and loads it. */
export async function openScan(
  runtime: Runtime, readFile: ReadFile, folders: readonly string[], sizes: Readonly<Record<string, number>>,
): Promise<OpenScan> {
  return bound(await openPlan(runtime, readFile, folders, sizes));
}

function bound(loaded: LoadedPlan): OpenScan {
  const { plan } = loaded;
  const read = givenTensors(plan);
  const declared = new Map(plan.tensors.map((item) => [item.name, item]));
  const optionsOf = (given: unknown) => {
    if (given === undefined) return { state: {}, cuSeqlens: undefined, keeps: false, kept: undefined };
    const options = expectRecord(given, `${plan.scan}: the options`, ['state', 'cuSeqlens']);
    const keeps = member(options, 'keep') ?? false;
    if (typeof keeps !== 'boolean') throw new RuntimeError(`${plan.scan}: \`keep\` is ${kindName(keeps)}`, 'pass true or false');
    return {
      state: read.states(member(options, 'state') ?? {}), cuSeqlens: member(options, 'cuSeqlens'), keeps, kept: member(options, 'kept'),
    };
  };
  const values = (...lists: readonly Tensors[]): CallTensors => {
    const found: Record<string, DeviceTensor | HostArray> = {};
    for (const list of lists) {
      for (const name in list) {
        const item = list[name];
        if (item !== undefined) found[name] = ArrayBuffer.isView(item.values) ? inElements(
          item.values, declared.get(name)?.dtype,
        ) : item.values;
      }
    }
    return found;
  };
  const results = (made: Readonly<Record<string, DeviceTensor>>, role: 'result' | 'gradient', lead: Lead): Results => ({
    take(name, axes) {
      const known = role === 'gradient' ? planName(plan, 'gradient', name) : resultName(plan, name);
      const found = made[known];
      const shape = declared.get(known)?.shape;
      if (found === undefined || shape === undefined) throw new RuntimeError(`${plan.scan} made no ${name}`, 'build the scan again');
      return { axes, shape: userShape(plan, shape, found.shape, lead), values: found };
    },
  });
  const shown = plan.tensors.filter(({ role }) => role === 'input' || role === 'param' || role === 'initial' || role === 'output');
  return {
    plan,
    dtypes: Object.fromEntries(shown.map(({ name, dtype }) => [name, dtype])),
    async forward(given, options) {
      const [inputs, { state, cuSeqlens, keeps }] = [read.inputs(given, false), optionsOf(options)];
      const lead = leadOf(plan, inputs, cuSeqlens, false);
      const leaves = keeps && hasKept(plan);
      const made = await loaded.run(leaves ? KEPT.forward : 'forward', values(inputs, state), lead.sizes);
      return { ...results(made, 'result', lead), kept: leaves ? keep(plan, lead, made) : undefined };
    },
    async backward(given, grads, options) {
      const [inputs, cotangents, { state, cuSeqlens, kept }] = [read.inputs(given, false), read.cotangents(grads), optionsOf(options)];
      const lead = leadOf(plan, inputs, cuSeqlens, false);
      const taken = kept === undefined ? undefined : takeKept(plan, lead, kept);
      const tensors = { ...values(inputs, state, cotangents), ...taken };
      return results(await loaded.run(taken === undefined ? 'backward' : KEPT.backward, tensors, lead.sizes), 'gradient', lead);
    },
    async step(before, given) {
      const [state, inputs] = [read.states(before), read.inputs(given, true)];
      const lead = leadOf(plan, inputs, undefined, true);
      return results(await loaded.run('step', values(inputs, state), lead.sizes), 'result', lead);
    },
    release: () => loaded.release(),
  };
}
