import type { PlanTensor } from '../../../ir/plan/plan.js';
import { signatureOf } from '../../../ir/spec/signature.js';
import { planName, resultName } from '../../../runtime/names.js';
import type { CallSizes } from '../../../runtime/extents.js';
import type { CallTensors, HostArray, LoadedPlan, Runtime } from '../../../runtime/runtime.js';
import type { Compiled } from '../compile.js';
import { runtimeProblem } from '../../devices.js';
import type { Host } from '../../host.js';
import { loadKernels } from '../../machine-code.js';
import type { Problem } from '../../problem.js';
import { decode, encode } from '../../run/elements.js';
import type { Values } from './oracle.js';
import type { CallShape } from '../../run/validate.js';

/** What a device gave: by the names of the file contract. */
export interface DeviceResults {
  readonly forward: Values;
  /** Gradients; empty where no cotangent was given. */
  readonly backward: Values;
  /** The same outputs and final states by the one-token program; undefined where it was not asked for. */
  readonly step: Values | undefined;
}

/** Runs the programs of a compiled scan on a device. `step` also reads the tokens one at a time. */
export async function runOnDevice(
  host: Host, runtime: Runtime, compiled: Compiled, call: CallShape, values: Values, options: { readonly step: boolean },
): Promise<DeviceResults | Problem> {
  const loaded = await loadKernels(host, runtime, compiled);
  if ('code' in loaded) return loaded;
  try {
    const signature = signatureOf(compiled.spec);
    const cotangents = signature.cotangents.some((tensor) => values.has(tensor.name));
    const results = signature.results.map((tensor) => ({ name: tensor.name, plan: resultName(loaded.plan, tensor.name) }));
    const gradients = signature.gradients.map((tensor) => ({ name: tensor.name, plan: planName(loaded.plan, 'gradient', tensor.name) }));
    return {
      forward: await runProgram(runtime, loaded, 'forward', call, values, results),
      backward: cotangents ? await runProgram(runtime, loaded, 'backward', call, values, gradients) : new Map(),
      step: options.step ? await runProgram(runtime, loaded, 'step', call, values, results) : undefined,
    };
  } catch (error) {
    return runtimeProblem('E604', error);
  } finally {
    loaded.release();
  }
}

interface Wanted {
  readonly name: string;
  readonly plan: string;
}

async function runProgram(
  runtime: Runtime, loaded: LoadedPlan, program: string, call: CallShape, values: Values, wanted: readonly Wanted[],
): Promise<Values> {
  const { plan } = loaded;
  const given: Record<string, HostArray> = {};
  for (const [name, data] of values) {
    const tensor = givenTensor(plan.tensors, (role) => planName(plan, role, name));
    if (tensor !== undefined) given[tensor.name] = encode(tensor.dtype, data);
  }
  const tensors: CallTensors = given;
  const sizes: CallSizes = { heads: call.heads, groups: call.groups, lengths: call.lengths };
  const made = await loaded.run(program, tensors, sizes);
  const found = new Map<string, Float64Array>();
  for (const { name, plan: planned } of wanted) {
    const tensor = made[planned];
    if (tensor === undefined) continue;
    found.set(name, decode(tensor.dtype, await runtime.download(tensor)));
  }
  for (const tensor of Object.values(made)) tensor.release();
  return found;
}

/** What a plan takes, by the name that the user gives it. */
function givenTensor(tensors: readonly PlanTensor[], named: (role: PlanTensor['role']) => string): PlanTensor | undefined {
  return (['input', 'param', 'initial', 'cotangent'] as const)
    .map((role) => tensors.find((tensor) => tensor.role === role && tensor.name === named(role)))
    .find((tensor) => tensor !== undefined);
}
