import type { IoDtype } from '../../../ir/common/dtype.js';
import type { Signature, SignatureTensor } from '../../../ir/common/signature.js';
import type { Target } from '../../../ir/plan/plan.js';
import { signatureOf } from '../../../ir/spec/signature.js';
import type { Spec } from '../../../ir/spec/spec.js';
import type { Runtime } from '../../../runtime/runtime.js';
import { compileScan, ioDtypeOf, lowerFor } from '../compile.js';
import { capabilitiesOf } from '../../devices.js';
import type { Host } from '../../host.js';
import { isProblem, type Source } from '../../session.js';
import { errorClasses } from './classes.js';
import { compare, type Comparison } from '../../run/compare.js';
import { conditioning } from './conditioning.js';
import { runOnDevice } from './device.js';
import { rounded } from '../../run/elements.js';
import { tolerance } from '../../tolerance.js';
import { runOracle, type Values } from './oracle.js';
import { EXPECTED_PREFIX, type AnyTensor, type CallShape } from '../../run/validate.js';
import type { Failed } from '../../problem.js';

export interface RunRequest {
  readonly source: Source;
  readonly spec: Spec;
  readonly call: CallShape;
  /** By the names of the file contract, valid. */
  readonly tensors: ReadonlyMap<string, AnyTensor>;
  /** undefined: the oracle. */
  readonly runtime: Runtime | undefined;
  readonly target: Target;
  readonly dtype: IoDtype;
  readonly check: boolean;
}

export interface RunOutcome {
  /** Outputs, final states and gradients. */
  readonly results: Values;
  /** What they mean; empty unless checked. */
  readonly expected: Values;
  /** Empty unless checked. */
  readonly comparisons: readonly Comparison[];
}

/**
 * Runs a scan. Io tensors are rounded to the dtype on the way in; which those are is read off the tile module, as devices do, so that the
 * oracle sees the values that a device sees. With `check`, every result of a device is held against the oracle's, and the oracle's against
 * the `expect.NAME` tensors that the inputs carry along (if nothing was rounded).
 */
export async function execute(host: Host, request: RunRequest): Promise<RunOutcome | Failed> {
  const { source, spec, call, runtime, target, dtype } = request;
  const signature = signatureOf(spec);
  const lowered = runtime === undefined && dtype === 'f32' ? undefined : lowerFor(spec, { target, dtype, sizes: call.sizes });
  if (lowered !== undefined && !('module' in lowered)) return lowered;
  const isIo = lowered === undefined ? () => false : ioDtypeOf(lowered.module);
  const values = new Map<string, Float64Array>();
  for (const { name } of [...signature.required, ...signature.initial, ...signature.cotangents]) {
    const tensor = request.tensors.get(name);
    if (tensor !== undefined) values.set(name, rounded(Float64Array.from(tensor.data), isIo(name) ? dtype : 'f32'));
  }
  if (runtime === undefined) {
    const results = runOracle(spec, call, values);
    if (!request.check) return { results, expected: new Map(), comparisons: [] };
    const held = dtype === 'f32' ? expectations(signature, request, results) : [];
    return { results, expected: results, comparisons: [...held, ...numberless(signature, values, results, held)] };
  }
  const compiled = await compileScan(
    host, source, spec, { target, dtype, sizes: call.sizes, command: 'lmoec run', capabilities: capabilitiesOf(runtime) },
  );
  if (!('plan' in compiled)) return compiled;
  const found = await runOnDevice(host, runtime, compiled, call, values, { step: request.check });
  if (isProblem(found)) return found;
  const results = new Map([...found.forward, ...found.backward]);
  if (!request.check) return { results, expected: new Map(), comparisons: [] };
  const expected = runOracle(spec, call, values);
  const classOf = errorClasses(spec, compiled.scan);
  const held = (tensor: SignatureTensor, role: Comparison['role'], values: Values): Comparison => (
    compare(tensor.name, role, classOf(tensor), dtype, values.get(tensor.name), expected.get(tensor.name) ?? [])
  );
  const { backward, step } = found;
  const all = [...signature.results, ...(backward.size > 0 ? signature.gradients : [])];
  const comparisons = [
    ...all.map((tensor) => held(tensor, roleOf(tensor), results)),
    ...(step === undefined ? [] : signature.results.map((tensor) => held(tensor, 'step', step))),
  ];
  if (dtype === 'f32' || comparisons.every(({ passed }) => passed)) return { results, expected, comparisons };
  // Is it the kernels, or is it the formula?
  const moved = conditioning(spec, call, values, isIo, dtype, expected);
  return { results, expected, comparisons: comparisons.map((comparison) => (
    comparison.passed ? comparison : { ...comparison, conditioning: moved.get(comparison.name) }
  )) };
}

function roleOf({ role }: SignatureTensor): 'output' | 'final' | 'gradient' {
  return role === 'gradient' || role === 'final' ? role : 'output';
}

function expectations(signature: Signature, request: RunRequest, results: Values): Comparison[] {
  return [...signature.results, ...signature.gradients].flatMap((tensor) => {
    const expected = request.tensors.get(`${EXPECTED_PREFIX}${tensor.name}`);
    const role = roleOf(tensor);
    return expected === undefined ? [] : [compare(tensor.name, role, role, 'f64', results.get(tensor.name), expected.data)];
  });
}

/** Results that nothing is expected of, and that are no finite numbers though all that was given is. */
function numberless(signature: Signature, given: Values, results: Values, held: readonly Comparison[]): Comparison[] {
  if ([...given.values()].some((values) => values.some((x) => !Number.isFinite(x)))) return [];
  return [...signature.results, ...signature.gradients].flatMap((tensor) => {
    const at = results.get(tensor.name)?.findIndex((x) => !Number.isFinite(x)) ?? -1;
    if (at < 0 || held.some(({ name }) => name === tensor.name)) return [];
    const role = roleOf(tensor);
    return [{
      name: tensor.name, role, error: Infinity, maxDifference: Infinity, allowed: tolerance('f64', role), passed: false, meaningless: at,
    }];
  });
}
