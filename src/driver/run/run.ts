import type { IoDtype } from '../../ir/common/dtype.js';
import type { Target } from '../../ir/plan/plan.js';
import type { Spec } from '../../ir/spec/spec.js';
import type { Runtime } from '../../runtime/runtime.js';
import { sizesFor, type Failed } from '../compile.js';
import { targetOf } from '../devices.js';
import type { Host } from '../host.js';
import { problem, type Problem } from '../problem.js';
import { isProblem, type Source } from '../session.js';
import type { Comparison } from './compare.js';
import { drawTensors } from './draw.js';
import { execute } from './execute.js';
import type { Values } from './oracle.js';
import { readSafetensors, writeSafetensors } from './safetensors.js';
import { signatureOf } from './signature.js';
import { CU_SEQLENS, validate, type AnyTensor, type CallShape } from './validate.js';

export interface RunReport {
  readonly scan: string;
  readonly backend: 'oracle' | 'webgpu' | 'cuda';
  readonly device: string | undefined;
  readonly dtype: IoDtype;
  /** `B=2 T=77 H=4 K=16 V=24` */
  readonly call: string;
  readonly results: Values;
  readonly comparisons: readonly Comparison[];
  /** The results as a safetensors file: f64 from the oracle, f32 from devices (which holds their 16-bit values exactly). */
  file(): Uint8Array;
}

export interface PreparedRun {
  readonly warnings: readonly string[];
  run(runtime: Runtime | undefined, options: { readonly dtype: IoDtype; readonly target: Target | undefined; readonly check: boolean }): Promise<RunReport | Failed>;
}

export interface RunInputs {
  /** A safetensors file; undefined draws tensors. */
  readonly inputs: string | undefined;
  /** Of axes, and B, T, H, G: for drawn tensors. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Tokens of packed sequences; undefined: a batch. */
  readonly lengths: readonly number[] | undefined;
  readonly seed: number;
}

/** Reads or draws the tensors of a run and checks them; nothing has been computed then. */
export function prepareRun(host: Host, source: Source, spec: Spec, from: RunInputs): PreparedRun | { readonly problems: readonly Problem[] } {
  const tensors = from.inputs === undefined ? drawInputs(spec, from) : readInputs(host, from.inputs);
  if ('code' in tensors) return { problems: [tensors] };
  const validated = validate(spec, tensors);
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
        file: () => writeResults(spec, call, outcome.results, runtime === undefined ? 'f64' : 'f32'),
      };
    },
  };
}

/** The call of random tensors where `--size` names no other: two sequences that no chunk divides. */
const DRAWN = { B: 2, T: 77, H: 2 };

function drawInputs(spec: Spec, { sizes: given, lengths, seed }: RunInputs): ReadonlyMap<string, AnyTensor> | Problem {
  const sizes = sizesFor(spec, given);
  if (isProblem(sizes)) return sizes;
  const unknown = [...given.keys()].find((name) => !sizes.has(name) && !['B', 'T', 'H', 'G'].includes(name));
  if (unknown !== undefined) return problem('E403', `\`${spec.name}\` has no axis \`${unknown}\``, `its axes are ${[...sizes.keys()].join(', ')}; B, T, H and G are batch, tokens, heads and groups`);
  const H = given.get('H') ?? DRAWN.H;
  // Where inputs are shared, two heads share one unless the user says otherwise.
  const G = given.get('G') ?? (H % 2 === 0 ? H / 2 : 1);
  if (H % G !== 0) return problem('E503', `${H} heads cannot share ${G} groups`, 'H must be a multiple of G: --size H=4,G=2');
  if (lengths === undefined) {
    const B = given.get('B') ?? DRAWN.B;
    return drawTensors(spec, { B, T: given.get('T') ?? DRAWN.T, H, G, N: B }, sizes, { seed });
  }
  const offsets = [0];
  for (const length of lengths) offsets.push(offsets[offsets.length - 1] + length);
  const packed: AnyTensor = { dtype: 'i32', shape: [offsets.length], data: offsets };
  return new Map<string, AnyTensor>([...drawTensors(spec, { B: 1, T: offsets[lengths.length], H, G, N: lengths.length }, sizes, { seed }), [CU_SEQLENS, packed]]);
}

function readInputs(host: Host, path: string): ReadonlyMap<string, AnyTensor> | Problem {
  const bytes = host.readBytes(path);
  if (bytes === undefined) return problem('E702', `${path} ${host.isFolder(path) ? 'is a folder' : host.exists(path) ? 'cannot be read' : 'does not exist'}`, 'name a .safetensors file');
  return readSafetensors(bytes, path);
}

function callText(call: CallShape): string {
  const lead: (readonly [string, number])[] = [['B', call.batch], ['T', call.tokens], ['H', call.heads], ...(call.groups === call.heads ? [] : [['G', call.groups] as const])];
  const packed = call.cuSeqlens === undefined ? '' : `, ${call.lengths.length} packed sequences`;
  return `${[...lead, ...call.sizes].map(([name, size]) => `${name}=${size}`).join(' ')}${packed}`;
}

function writeResults(spec: Spec, call: CallShape, results: Values, dtype: 'f32' | 'f64'): Uint8Array {
  const extents = { B: call.batch, T: call.tokens, H: call.heads, G: call.groups, N: call.lengths.length };
  const signature = signatureOf(spec);
  const tensors = new Map([...signature.results, ...signature.gradients].flatMap((tensor) => {
    const data = results.get(tensor.name);
    const shape = [...tensor.leading.map((name) => extents[name]), ...tensor.axes.map((axis) => call.sizes.get(axis) ?? 1)];
    return data === undefined ? [] : [[tensor.name, { dtype, shape, data }] as const];
  }));
  return writeSafetensors(tensors);
}
