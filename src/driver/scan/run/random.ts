import type { Spec } from '../../../ir/spec/spec.js';
import { problem, type Problem } from '../../problem.js';
import { isProblem } from '../../session.js';
import { sizesFor } from '../sizes.js';
import { drawTensors, type StateDraw } from './draw.js';
import { CU_SEQLENS, type AnyTensor } from '../../run/validate.js';

/** What random tensors should be like. */
export interface RandomCall {
  /** Of axes, and B, T, H, G. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Tokens of packed sequences; undefined: a batch. */
  readonly lengths: readonly number[] | undefined;
  readonly seed: number;
  readonly states: StateDraw;
}

/** Two sequences that no chunk divides; where inputs are shared, two heads share one. */
const DEFAULTS = { B: 2, T: 77, H: 2 };

const CALL_SIZES = ['B', 'T', 'H', 'G'];

/** Random tensors for a run without a file: inputs, params, initial states and cotangents, and `cu_seqlens` of packed sequences. */
export function randomTensors(spec: Spec, { sizes: given, lengths, seed, states }: RandomCall): ReadonlyMap<string, AnyTensor> | Problem {
  const sizes = sizesFor(spec, given);
  if (isProblem(sizes)) return sizes;
  const unknown = [...given.keys()].find((name) => !sizes.has(name) && !CALL_SIZES.includes(name));
  if (unknown !== undefined) {
    const remedy = `its axes are ${[...sizes.keys()].join(', ')}; B, T, H and G are batch, tokens, heads and groups`;
    return problem('E403', `\`${spec.name}\` has no axis \`${unknown}\``, remedy);
  }
  const grouped = spec.inputs.some((input) => input.scope === 'group');
  const H = given.get('H') ?? (grouped ? 2 * (given.get('G') ?? DEFAULTS.H) : DEFAULTS.H);
  const G = given.get('G') ?? (H % 2 === 0 ? H / 2 : H);
  if (H % G !== 0) return problem('E503', `${H} heads cannot share ${G} groups`, 'H must be a multiple of G: --size H=4,G=2');
  if (lengths === undefined) {
    const B = given.get('B') ?? DEFAULTS.B;
    return drawTensors(spec, { B, T: given.get('T') ?? DEFAULTS.T, H, G, N: B }, sizes, { seed, states });
  }
  const offsets = [0];
  for (const length of lengths) offsets.push(offsets[offsets.length - 1] + length);
  const packed: AnyTensor = { dtype: 'i32', shape: [offsets.length], data: offsets };
  const drawn = drawTensors(spec, { B: 1, T: offsets[lengths.length], H, G, N: lengths.length }, sizes, { seed, states });
  return new Map<string, AnyTensor>([...drawn, [CU_SEQLENS, packed]]);
}
