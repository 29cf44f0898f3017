import { GraphFault } from '../../interp/graph/fault.js';
import { update } from '../../interp/flow/machine.js';
import { NO_SPAN } from '../../ir/common/span.js';
import { halvesOf, keyOf } from '../../support/noise.js';
import { namesIn, resultsIn, runNamed, wrongScore, type NamedCall } from '../../runtime/named.js';
import type { DeviceTensor, LoadedPlan, Runtime } from '../../runtime/runtime.js';
import { runtimeProblem } from '../devices.js';
import type { Host } from '../host.js';
import { loadKernels } from '../machine-code.js';
import type { Failed } from '../problem.js';
import { decode, encode, rounded } from '../run/elements.js';
import type { WritableTensor } from '../run/safetensors.js';
import type { GivenCall } from './given.js';
import type { CompiledGraph } from './kernels.js';
import { faultDiagnostic, type Results } from './run.js';

/** A call with the numbers that kernels see: those of rows and matrices have the dtype of the plan, others are f32. */
export function roundedCall(compiled: Pick<CompiledGraph, 'plan'>, call: GivenCall): GivenCall {
  return changed(compiled, call, (data, io) => rounded(data, io ? compiled.plan.dtype : 'f32'));
}

/** The same with what kernels have in the dtype of the plan moved. */
export function movedCall(
  compiled: Pick<CompiledGraph, 'plan'>, call: GivenCall, move: (data: Float64Array) => Float64Array,
): GivenCall {
  return changed(compiled, call, (data, io) => (io ? move(data) : data));
}

/** `change` is told whether a tensor has the dtype of the plan. */
function changed(
  { plan }: Pick<CompiledGraph, 'plan'>, call: GivenCall, change: (data: Float64Array, io: boolean) => Float64Array,
): GivenCall {
  const io = new Set(Object.entries(namesIn(plan).given).flatMap(([tensor, source]) => (
    source.kind === 'user' && plan.tensors.some(({ name, dtype }) => name === tensor && dtype === plan.dtype) ? [source.name] : []
  )));
  const all = (
    tensors: ReadonlyMap<string, Float64Array>,
  ): ReadonlyMap<string, Float64Array> => new Map([...tensors].map(([name, data]) => [name, change(data, io.has(name))]));
  return { ...call, inputs: all(call.inputs), weights: all(call.weights), cotangents: all(call.cotangents) };
}

/** Runs forward on a device, and backward where the kernels have one. Seeds are those of draws. */
export async function runOnDevice(
  host: Host, runtime: Runtime, compiled: CompiledGraph, call: GivenCall, seed: number,
): Promise<Results | Failed> {
  const loaded = await loadKernels(host, runtime, compiled);
  if ('code' in loaded) return loaded;
  try {
    return await programs(runtime, loaded, compiled, call, seed);
  } catch (error) {
    if (error instanceof GraphFault) return { diagnostics: [faultDiagnostic(error)] };
    return runtimeProblem('E604', error);
  } finally {
    loaded.release();
  }
}

async function programs(
  runtime: Runtime, loaded: LoadedPlan, { flow, lowered }: CompiledGraph, call: GivenCall, seed: number,
): Promise<Results> {
  const named = (kept: NamedCall['kept']): NamedCall => ({
    sizes: { heads: 1, groups: 1, lengths: call.lengths }, kept,
    key: (path, number) => Float32Array.from(halvesOf(keyOf(seed, path, 0, number))),
    user(name, dtype) {
      const data = call.inputs.get(name) ?? call.weights.get(name) ?? call.cotangents.get(name);
      if (data !== undefined) return encode(dtype, data);
      return name.startsWith('d_loss.') ? encode(dtype, Float64Array.of(1)) : undefined;
    },
  });
  const made = await runNamed(loaded, 'forward', named({}));
  const wrong = await wrongScore(runtime, loaded.plan, made);
  if (wrong !== undefined) {
    const held = lowered.bindings.find(({ buffer }) => buffer.name === wrong.tensor)?.held;
    const at = wrong.token === undefined ? '' : `, at token ${wrong.token}`;
    throw new GraphFault(
      'not a number', `a score that something is chosen by is not a number${at}`,
      held?.kind === 'value' ? flow.values[held.value].origin : NO_SPAN,
    );
  }
  const forward = await fetched(runtime, loaded, 'forward', made, call);
  const takes = new Map([...forward].flatMap(([name, { data }]) => (
    name.startsWith('take.') ? [[name.slice('take.'.length), Float64Array.from(data)] as const] : []
  )));
  const updated = flow.update.results.length === 0 ? new Map<string, Float64Array>() : update(flow, [{ takes }], call.weights);
  const differentiable = flow.backward !== undefined && (flow.losses.length > 0 || call.cotangents.size > 0);
  const backward = differentiable ? await runNamed(loaded, 'backward', named(made)) : {};
  const gradients = differentiable ? await fetched(runtime, loaded, 'backward', backward, call) : [];
  for (const tensor of [...Object.values(made), ...Object.values(backward)]) tensor.release();
  const results = [...forward].filter(([name]) => !name.startsWith('take.'));
  return new Map([
    ...results,
    ...[...updated].map(([name, data]): [string, WritableTensor] => [
      `update.${name}`, { dtype: 'f32', shape: flow.params.find(({ path }) => path === name)?.axes.map(({ size }) => size) ?? [], data },
    ]),
    ...gradients,
  ]);
}

/** What a program gave, added up where it gave parts. */
async function fetched(
  runtime: Runtime, { plan }: LoadedPlan, program: string, made: Readonly<Record<string, DeviceTensor>>, call: GivenCall,
): Promise<Results> {
  const found = new Map<string, WritableTensor>();
  for (const [name, result] of Object.entries(resultsIn(plan, program))) {
    const shape = result.shape.flatMap((extent) => (typeof extent === 'number' ? [extent] : [call.batch, call.tokens]));
    const data = new Float64Array(shape.reduce((n, extent) => n * extent, 1));
    for (const part of result.tensors) {
      const tensor = made[part];
      decode(tensor.dtype, await runtime.download(tensor)).forEach((x, i) => {
        data[i] += x;
      });
    }
    found.set(name, { dtype: 'f32', shape, data });
  }
  return found;
}
