import { initial } from '../../interp/graph/initial.js';
import { isAny } from '../../ir/common/range.js';
import type { SignatureTensor } from '../../ir/common/signature.js';
import type { Graph } from '../../ir/graph/graph.js';
import { signatureOf } from '../../ir/graph/signature.js';
import { randomSource } from '../../support/random.js';
import { CU_SEQLENS, type AnyTensor } from '../run/validate.js';
import { shapeIn } from './shape.js';

export interface DrawnCall {
  readonly batch: number;
  readonly tokens: number;
  /** Tokens of packed sequences; undefined: a batch. */
  readonly lengths: readonly number[] | undefined;
  readonly seed: number;
  /** Those of outputs too. */
  readonly cotangents: boolean;
}

/** Random inputs, and params at the start that their laws give them: each depends on the seed and its name only. */
export function drawnTensors(graph: Graph, { batch, tokens, lengths, seed, cotangents: back }: DrawnCall): ReadonlyMap<string, AnyTensor> {
  const { inputs, params, cotangents } = signatureOf(graph);
  const start = initial(graph, seed);
  const lead = lengths === undefined ? { batch, tokens } : { batch: 1, tokens: lengths.reduce((sum, length) => sum + length, 0) };
  const offsets = [0];
  for (const length of lengths ?? []) offsets.push(offsets[offsets.length - 1] + length);
  return new Map<string, AnyTensor>([
    ...[
      ...inputs, ...(back ? cotangents.filter(({ leading }) => leading.length > 0) : []),
    ].map((tensor) => [tensor.name, drawn(tensor, shapeIn(tensor, lead), seed)] as const),
    ...params.map((tensor) => [tensor.name, { dtype: 'f64', shape: shapeIn(tensor, lead), data: start.get(tensor.name) ?? [] }] as const),
    ...(lengths === undefined ? [] : [[CU_SEQLENS, { dtype: 'i32', shape: [offsets.length], data: offsets }] as const]),
  ]);
}

function drawn({ name, indices, range }: SignatureTensor, shape: readonly number[], seed: number): AnyTensor {
  const random = randomSource(seed, name);
  const count = shape.reduce((n, extent) => n * extent, 1);
  if (indices !== undefined) return { dtype: 'i32', shape, data: Int32Array.from({ length: count }, () => random.below(indices.size)) };
  const { lo, hi } = range;
  const value = (): number => {
    if (isAny(range)) return random.normal();
    if (Number.isFinite(lo) && Number.isFinite(hi)) return lo + (hi - lo) * random.uniform();
    return lo > -Infinity ? lo + Math.abs(random.normal()) : hi - Math.abs(random.normal());
  };
  return { dtype: 'f64', shape, data: Float64Array.from({ length: count }, value) };
}
