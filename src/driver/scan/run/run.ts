import type { IoDtype } from '../../../ir/common/dtype.js';
import type { Target } from '../../../ir/plan/plan.js';
import { signatureOf } from '../../../ir/spec/signature.js';
import type { Spec } from '../../../ir/spec/spec.js';
import type { Runtime } from '../../../runtime/runtime.js';
import { targetOf } from '../../devices.js';
import type { Host } from '../../host.js';
import type { Failed, Problem } from '../../problem.js';
import type { Source } from '../../session.js';
import type { Comparison } from '../../run/compare.js';
import { execute } from './execute.js';
import { readInputs } from '../../run/inputs.js';
import { meaningProblem } from './meaning.js';
import type { Values } from './oracle.js';
import { randomTensors, type RandomCall } from './random.js';
import { writeSafetensors } from '../../run/safetensors.js';
import { shapeOf, validate, type CallShape } from '../../run/validate.js';

export interface ScanReport {
  readonly scan: string;
  readonly backend: 'oracle' | 'webgpu' | 'cuda';
  readonly device: string | undefined;
  readonly dtype: IoDtype;
  /** `B=2 T=77 H=4 K=16 V=24` */
  readonly call: string;
  readonly results: Values;
  readonly comparisons: readonly Comparison[];
  /** The formula itself gives no finite number (E508). */
  readonly meaningless: Problem | undefined;
  /** The results as a safetensors file: f64 from the oracle, f32 from devices (which holds their 16-bit values exactly). */
  file(): Uint8Array;
}

export interface PreparedScan {
  readonly warnings: readonly string[];
  run(
    runtime: Runtime | undefined, options: { readonly dtype: IoDtype; readonly target: Target | undefined; readonly check: boolean },
  ): Promise<ScanReport | Failed>;
}

/** Tensors of a safetensors file, or random ones. */
export type RunInputs = { readonly file: string } | RandomCall;

/** Reads or draws the tensors of a run and checks them; nothing has been computed then. */
export function prepareRun(
  host: Host, source: Source, spec: Spec, from: RunInputs,
): PreparedScan | { readonly problems: readonly Problem[] } {
  const tensors = 'file' in from ? readInputs(host, from.file) : randomTensors(spec, from);
  if ('code' in tensors) return { problems: [tensors] };
  const validated = validate(signatureOf(spec), tensors);
  if ('problems' in validated) return validated;
  const { call, warnings } = validated;
  return {
    warnings,
    async run(runtime, { dtype, target, check }) {
      const outcome = await execute(host, { source, spec, call, tensors, runtime, target: target ?? targetOf(runtime), dtype, check });
      if (!('results' in outcome)) return outcome;
      return {
        scan: spec.name,
        backend: runtime?.kind ?? 'oracle',
        device: runtime?.device,
        dtype,
        call: callText(call),
        ...outcome,
        meaningless: meaningProblem(spec, call, outcome.comparisons, outcome.expected, 'file' in from ? undefined : from.states),
        file: () => writeResults(spec, call, outcome.results, runtime === undefined ? 'f64' : 'f32'),
      };
    },
  };
}

function callText(call: CallShape): string {
  const lead = new Map([['B', call.batch], ['T', call.tokens], ['H', call.heads]]);
  if (call.groups !== call.heads) lead.set('G', call.groups);
  const packed = call.cuSeqlens === undefined
    ? ''
    : `, ${call.lengths.length} packed ${call.lengths.length === 1 ? 'sequence' : 'sequences'}`;
  return `${[...lead, ...call.sizes].map(([name, size]) => `${name}=${size}`).join(' ')}${packed}`;
}

function writeResults(spec: Spec, call: CallShape, results: Values, dtype: 'f32' | 'f64'): Uint8Array {
  const signature = signatureOf(spec);
  const tensors = new Map([...signature.results, ...signature.gradients].flatMap((tensor) => {
    const data = results.get(tensor.name);
    return data === undefined ? [] : [[tensor.name, { dtype, shape: shapeOf(tensor, call), data }] as const];
  }));
  return writeSafetensors(tensors);
}
