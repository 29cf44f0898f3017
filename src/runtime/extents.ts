import type { Extent, Plan, PlanKernel, PlanTensor } from '../ir/plan/plan.js';

/** What a call brings: the sizes that a plan leaves open. */
export interface CallSizes {
  readonly heads: number;
  /** Equal to `heads` where nothing is shared. */
  readonly groups: number;
  /** Lengths of the sequences in tokens, in order; B equal ones for a batch. */
  readonly lengths: readonly number[];
}

/** Numbers for the names in a plan's extents. */
export type Extents = Readonly<Record<Exclude<Extent, number>, number>>;

export function extentsOf(plan: Pick<Plan, 'chunk'>, call: CallSizes): Extents {
  return {
    tokens: call.lengths.reduce((sum, length) => sum + length, 0),
    heads: call.heads,
    groups: call.groups,
    sequences: call.lengths.length,
    chunks: call.lengths.reduce((sum, length) => sum + Math.ceil(length / plan.chunk), 0),
  };
}

/** Product of the factors; 1 for none. */
export function product(factors: readonly Extent[], extents: Extents): number {
  return factors.reduce<number>((n, factor) => n * (typeof factor === 'number' ? factor : extents[factor]), 1);
}

/** A sum of products, such as a kernel's FLOPs. */
export function polynomial(terms: readonly (readonly Extent[])[], extents: Extents): number {
  return terms.reduce((sum, term) => sum + product(term, extents), 0);
}

export function gridOf(kernel: PlanKernel, extents: Extents): readonly [number, number, number] {
  const [x, y, z] = kernel.grid;
  return [product(x, extents), product(y, extents), product(z, extents)];
}

export function shapeOf(tensor: PlanTensor, extents: Extents): readonly number[] {
  return tensor.shape.map((extent) => (typeof extent === 'number' ? extent : extents[extent]));
}

/** i32 [sequences, 4]: first token, end token, first chunk, number of chunks. */
export function sequenceTable(plan: Pick<Plan, 'chunk'>, call: CallSizes): Int32Array {
  const table = new Int32Array(call.lengths.length * 4);
  let token = 0;
  let chunk = 0;
  call.lengths.forEach((length, i) => {
    const chunks = Math.ceil(length / plan.chunk);
    table.set([token, token + length, chunk, chunks], i * 4);
    token += length;
    chunk += chunks;
  });
  return table;
}

/** i32 [chunks, 4]: sequence, first token, length, index within the sequence. */
export function chunkTable(plan: Pick<Plan, 'chunk'>, call: CallSizes): Int32Array {
  const rows: number[] = [];
  let token = 0;
  call.lengths.forEach((length, sequence) => {
    for (let first = 0, index = 0; first < length; first += plan.chunk, index++) {
      rows.push(sequence, token + first, Math.min(plan.chunk, length - first), index);
    }
    token += length;
  });
  return Int32Array.from(rows);
}
