import type { Extent, Plan, PlanTensor } from '../ir/plan/plan.js';
import { briefShape, kindName } from '../support/brief.js';
import type { CallSizes } from './extents.js';
import { planName, resultName, userName } from './names.js';
import { cubinName, ptxName } from './cuda/names.js';
import { OFFSETS_RULE, offsetsFault } from './offsets.js';
import { RuntimeError, type CallTensors, type DeviceTensor, type ElementType, type LoadedPlan, type Runtime } from './runtime.js';
import { axisNames, expectRecord, expectTensor, inElements, isList, member, type Tensor } from './tensors.js';

export { read, readFloats, release, tensor, upload, type Tensor, type TensorValues } from './tensors.js';

/** Reads one file of a package of kernels, by its name relative to the binding. */
export type ReadFile = (name: string) => Promise<Uint8Array>;

type Tensors = Readonly<Record<string, Tensor<string> | undefined>>;

/** What a call may be given besides inputs. */
export interface OpenOptions {
  readonly state?: object;
  readonly cuSeqlens?: ArrayLike<number>;
}

/** Results of a call; `take` says which axes each has. */
export interface Results {
  take<const Axes extends string>(name: string, axes: Axes): Tensor<Axes>;
}

/** What generated bindings call. They say the types; what was really given is looked at here, so that anything else is refused in words. */
export interface OpenScan {
  readonly plan: Plan;
  /** Of inputs, params, states and outputs, by name. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  forward(inputs: object, options?: OpenOptions): Promise<Results>;
  backward(inputs: object, grads: object, options?: OpenOptions): Promise<Results>;
  step(state: object, inputs: object): Promise<Results>;
  release(): void;
}

/** Folder names (`cuda.sm90.bf16`) in the order in which a runtime should try them. */
function preferred(runtime: Runtime, folders: readonly string[]): readonly string[] {
  const targets = runtime.kind === 'webgpu' ? ['webgpu.'] : ['cuda.sm90.', 'cuda.sm80.', 'cuda.sm86.'];
  return targets.flatMap((target) => folders.filter((folder) => folder.startsWith(target)));
}

/** Finds the plan that fits the runtime's device and loads it. */
export async function openScan(
  runtime: Runtime, readFile: ReadFile, folders: readonly string[], sizes: Readonly<Record<string, number>>,
): Promise<OpenScan> {
  const candidates = preferred(runtime, folders);
  let refusal: unknown = new RuntimeError(
    `nothing was built for ${runtime.kind}: there is ${folders.join(', ')}`,
    `build with --target ${runtime.kind === 'webgpu' ? 'webgpu' : 'cuda.sm80,cuda.sm86,cuda.sm90'}`,
  );
  for (const folder of candidates) {
    const plan = await readPlan(readFile, folder);
    const different = Object.keys(sizes).find((axis) => plan.sizes[axis] !== sizes[axis]);
    if (different !== undefined) throw new RuntimeError(
      `${folder}/plan.json is made for ${different} = ${plan.sizes[different]}, the binding for ${sizes[different]}`, 'build both together',
    );
    try {
      return bound(await runtime.load(plan, await readFiles(readFile, folder, plan)));
    } catch (error) {
      // A device of another generation refuses; an older target may do.
      refusal = error;
    }
  }
  throw refusal;
}

async function readPlan(readFile: ReadFile, folder: string): Promise<Plan> {
  const text = new TextDecoder().decode(await readFile(`${folder}/plan.json`));
  const plan: Plan = JSON.parse(text);
  if (plan.format !== 'lmoec-plan-2') throw new RuntimeError(
    `${folder}/plan.json has the format ${String(plan.format)}, expected lmoec-plan-2`, 'build again with this version of lmoec',
  );
  return plan;
}

async function readFiles(readFile: ReadFile, folder: string, plan: Plan): Promise<ReadonlyMap<string, Uint8Array>> {
  const sources = [...new Set(plan.kernels.map((kernel) => kernel.file))];
  // Lies beside the source only where nvcc was found; NVRTC does without.
  const machineCode = sources.filter((name) => name.endsWith('.cu')).flatMap((name) => [cubinName(name), ptxName(name)]);
  // All at once: in a browser each is a request.
  const contents = await Promise.all([
    ...sources.map((name) => readFile(`${folder}/${name}`)),
    ...machineCode.map((name) => readFile(`${folder}/${name}`).catch(() => undefined)),
  ]);
  return new Map([...sources, ...machineCode].flatMap((name, i) => {
    const content = contents[i];
    return content === undefined ? [] : [[name, content] as const];
  }));
}

function bound(loaded: LoadedPlan): OpenScan {
  const { plan } = loaded;
  const dtypes = new Map(plan.tensors.map((item) => [item.name, item.dtype]));
  /** Tensors that a call brings, by the names of the plan: those of `role` that lie in `given`, or those of states in `states`. */
  const named = (roles: readonly PlanTensor['role'][], states: boolean, given: unknown, step = false): Tensors => {
    const found: Record<string, Tensor<string>> = {};
    for (const { role, name } of plan.tensors) {
      const user = userName({ role, name });
      const item = roles.includes(role) && user.state === states ? member(given, user.name) : undefined;
      if (item === undefined) continue;
      expectTensor(item, `${plan.scan}: ${name}`);
      checkAxes(plan, name, item.axes, step);
      found[name] = item;
    }
    return found;
  };
  const inputsOf = (given: unknown, step = false): Tensors => {
    const needed = plan.tensors.filter(({ role }) => role === 'input' || role === 'param').map(({ name }) => name);
    return named(['input', 'param'], false, expectRecord(given, `${plan.scan}: the inputs`, needed), step);
  };
  const statesOf = (given: unknown): Tensors => {
    const known = plan.tensors.filter(({ role }) => role === 'initial').map((item) => userName(item).name);
    return named(['initial'], true, expectRecord(given, `${plan.scan}: the state`, known));
  };
  const optionsOf = (given: unknown) => {
    const options = given === undefined ? {} : expectRecord(given, `${plan.scan}: the options`, ['state', 'cuSeqlens']);
    return { state: statesOf(member(options, 'state') ?? {}), cuSeqlens: member(options, 'cuSeqlens') };
  };
  const cotangentsOf = (given: unknown): Tensors => {
    const known = plan.tensors.filter(({ role }) => role === 'cotangent').map(userName);
    const among = (state: boolean) => known.filter((user) => user.state === state).map(({ name }) => name);
    const grads = expectRecord(given, `${plan.scan}: the cotangents`, among(false));
    const states = expectRecord(member(grads, 'state') ?? {}, `${plan.scan}: the cotangents of the state`, among(true));
    return { ...named(['cotangent'], false, grads), ...named(['cotangent'], true, states) };
  };
  const values = (tensors: Tensors): CallTensors => Object.fromEntries(Object.entries(tensors).map(([name, item]) => (
    [name, item !== undefined && ArrayBuffer.isView(item.values) ? inElements(item.values, dtypes.get(name)) : item?.values]
  )));
  const results = (made: Readonly<Record<string, DeviceTensor>>, role: 'result' | 'gradient', lead: Lead): Results => ({
    take(name, axes) {
      const known = role === 'gradient' ? planName(plan, 'gradient', name) : resultName(plan, name);
      const found = made[known];
      const declared = plan.tensors.find((item) => item.name === known);
      if (found === undefined || declared === undefined) throw new RuntimeError(`${plan.scan} made no ${name}`, 'build the scan again');
      return { axes, shape: userShape(declared.shape, found.shape, lead), values: found };
    },
  });
  const shown = plan.tensors.filter(({ role }) => role === 'input' || role === 'param' || role === 'initial' || role === 'output');
  return {
    plan,
    dtypes: Object.fromEntries(shown.map(({ name, dtype }) => [name, dtype])),
    async forward(given, options) {
      const [inputs, { state, cuSeqlens }] = [inputsOf(given), optionsOf(options)];
      const lead = leadOf(plan, inputs, cuSeqlens, false);
      return results(await loaded.forward(values({ ...inputs, ...state }), lead.sizes), 'result', lead);
    },
    async backward(given, grads, options) {
      const [inputs, cotangents, { state, cuSeqlens }] = [inputsOf(given), cotangentsOf(grads), optionsOf(options)];
      const lead = leadOf(plan, inputs, cuSeqlens, false);
      return results(await loaded.backward(values({ ...inputs, ...state, ...cotangents }), lead.sizes), 'gradient', lead);
    },
    async step(before, given) {
      const [state, inputs] = [statesOf(before), inputsOf(given, true)];
      const lead = leadOf(plan, inputs, undefined, true);
      return results(await loaded.step(values({ ...inputs, ...state }), lead.sizes), 'result', lead);
    },
    release: () => loaded.release(),
  };
}

/**
 * Types say the same when a program is compiled; JavaScript and casts get here. A tensor with its heads first has as many extents as one
 * with its tokens first.
 */
function checkAxes(plan: Plan, name: string, axes: string, step: boolean): void {
  const declared = plan.tensors.find((item) => item.name === name);
  if (declared === undefined) return;
  const expected = [
    ...declared.shape.slice(0, declared.shape.length - declared.axes.length).flatMap((extent) => leadLetters(extent, step)),
    ...declared.axes
  ].join(' ');
  if (axisNames(axes).join(' ') === expected) return;
  throw new RuntimeError(
    `${plan.scan}: ${name} has the axes '${axes}', expected '${expected}'`, 'axes stand in memory order: transpose the values',
  );
}

function leadLetters(extent: Extent, step: boolean): readonly string[] {
  switch (extent) {
    case 'tokens': return step ? ['B'] : ['B', 'T'];
    case 'sequences': return ['N'];
    case 'heads': return ['H'];
    case 'groups': return ['G'];
    default: return [];
  }
}

/** Batch and tokens as the user sees them; sizes as the kernels do. */
interface Lead {
  readonly batch: number;
  /** undefined: a step, whose tensors have no token axis. */
  readonly tokens: number | undefined;
  readonly sizes: CallSizes;
}

function leadOf(plan: Plan, inputs: Tensors, cuSeqlens: unknown, step: boolean): Lead {
  const skip = step ? 1 : 2;
  let batch: number | undefined;
  let tokens: number | undefined;
  const inner = new Map<string, number>();
  for (const declared of plan.tensors) {
    const item = inputs[declared.name];
    if (item === undefined || (declared.role !== 'input' && declared.role !== 'param')) continue;
    const perToken = declared.shape[0] === 'tokens';
    const expected = declared.shape.length - (perToken ? 1 : 0) + (perToken ? skip : 0);
    if (item.shape.length !== expected) throw mismatch(plan, declared.name, `${expected} extents`, item.shape);
    const kind = declared.shape[perToken ? 1 : 0];
    const extent = item.shape[perToken ? skip : 0];
    if (typeof kind === 'string') agree(plan, declared.name, item.shape, kind, inner.get(kind), extent);
    inner.set(String(kind), extent);
    if (!perToken) continue;
    agree(plan, declared.name, item.shape, 'the batch', batch, item.shape[0]);
    agree(plan, declared.name, item.shape, 'the number of tokens', tokens, step ? 1 : item.shape[1]);
    batch = item.shape[0];
    tokens = step ? 1 : item.shape[1];
  }
  const heads = inner.get('heads') ?? inner.get('groups');
  if (batch === undefined || tokens === undefined || heads === undefined) throw new RuntimeError(
    `${plan.scan}: no input says how many tokens and heads there are`, 'pass the inputs',
  );
  const groups = inner.get('groups') ?? heads;
  if (heads % groups !== 0) throw new RuntimeError(
    `${plan.scan}: ${heads} heads cannot share ${groups} groups`, 'H must be a multiple of G',
  );
  return { batch, tokens: step ? undefined : tokens, sizes: { heads, groups, lengths: lengthsOf(plan, batch, tokens, cuSeqlens) } };
}

function lengthsOf(plan: Plan, batch: number, tokens: number, cuSeqlens: unknown): readonly number[] {
  if (cuSeqlens === undefined) return Array.from({ length: batch }, () => tokens);
  const numbers = isList(cuSeqlens) ? cuSeqlens : undefined;
  const fault = numbers === undefined ? `is ${kindName(cuSeqlens)}` : offsetsFault(numbers, batch, tokens);
  if (numbers === undefined || fault !== undefined) throw new RuntimeError(`${plan.scan}: cuSeqlens ${fault}`, `it holds ${OFFSETS_RULE}`);
  return Array.from({ length: numbers.length - 1 }, (_, i) => numbers[i + 1] - numbers[i]);
}

function agree(plan: Plan, name: string, shape: readonly number[], what: string, known: number | undefined, found: number): void {
  if (known !== undefined && known !== found) throw mismatch(plan, name, `${what} = ${known}`, shape);
}

function mismatch(plan: Plan, name: string, expected: string, shape: readonly number[]): RuntimeError {
  return new RuntimeError(
    `${plan.scan}: ${name} ${briefShape(shape)} does not fit: expected ${expected}`,
    'all tensors of a call agree in batch, tokens, heads and groups',
  );
}

/** [tokens, ...] -> [B, T, ...], or [B, ...] in a step. */
function userShape(declared: readonly Extent[], found: readonly number[], lead: Lead): readonly number[] {
  if (declared[0] !== 'tokens') return found;
  return [lead.batch, ...(lead.tokens === undefined ? [] : [lead.tokens]), ...found.slice(1)];
}
