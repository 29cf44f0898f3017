import type { Extent, Plan, PlanKernel, PlanTensor } from '../ir/plan/plan.js';
import { kindName } from '../support/brief.js';
import { RuntimeError } from './runtime.js';

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

export function extentsOf(plan: Pick<Plan, 'chunk' | 'segmentation'>, call: CallSizes): Extents {
  checkSizes(call);
  const counts = chunkCounts(plan, call);
  return {
    tokens: call.lengths.reduce((sum, length) => sum + length, 0),
    heads: call.heads,
    groups: call.groups,
    sequences: call.lengths.length,
    chunks: counts.reduce((sum, count) => sum + count, 0),
    segments: segmentCounts(plan, call).reduce((sum, count) => sum + count, 0),
  };
}

/** Types say that they are numbers, not which. */
function checkSizes({ heads, groups, lengths }: CallSizes): void {
  const isCount = (size: unknown, least: number) => typeof size === 'number' && Number.isSafeInteger(size) && size >= least;
  for (const [name, size] of [['heads', heads], ['groups', groups]] as const) {
    if (!isCount(size, 1)) throw new RuntimeError(`${name} is ${kindName(size)}`, `${name} is a whole number from 1 on`);
  }
  if (heads % groups !== 0) throw new RuntimeError(`${heads} heads cannot share ${groups} groups`, 'heads must be a multiple of groups');
  if (!Array.isArray(lengths)) throw new RuntimeError(`lengths is ${kindName(lengths)}`, 'lengths holds the tokens of every sequence');
  const odd = lengths.findIndex((length) => !isCount(length, 0));
  if (odd >= 0) throw new RuntimeError(
    `lengths holds ${kindName(lengths[odd])} at entry ${odd}`, 'lengths holds the tokens of every sequence, whole numbers from 0 on',
  );
}

/** Chunks of every sequence. */
function chunkCounts(plan: Pick<Plan, 'chunk'>, call: CallSizes): readonly number[] {
  return call.lengths.map((length) => Math.ceil(length / plan.chunk));
}

/** Segments of every sequence (Segmentation in ir/plan). */
function segmentCounts(plan: Pick<Plan, 'chunk' | 'segmentation'>, call: CallSizes): readonly number[] {
  const chunks = chunkCounts(plan, call);
  const all = chunks.reduce((sum, count) => sum + count, 0);
  const { programs, least, pays = 1 } = plan.segmentation;
  const longest = Math.max(least, Math.ceil((all * call.heads) / programs));
  if (Math.max(0, ...chunks) < pays * longest) return chunks.map(() => 1);
  return chunks.map((count) => Math.max(1, Math.ceil(count / longest)));
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

/** i32 [sequences, 6]: first token, end token, first chunk, number of chunks, first segment, number of segments. */
export function sequenceTable(plan: Pick<Plan, 'chunk' | 'segmentation'>, call: CallSizes): Int32Array {
  const rows: number[] = [];
  const [chunks, segments] = [chunkCounts(plan, call), segmentCounts(plan, call)];
  let [token, chunk, segment] = [0, 0, 0];
  call.lengths.forEach((length, i) => {
    rows.push(token, token + length, chunk, chunks[i], segment, segments[i]);
    token += length;
    chunk += chunks[i];
    segment += segments[i];
  });
  return Int32Array.from(rows);
}

/** i32 [segments, 4]: sequence, first chunk (among all), number of chunks, index within the sequence. */
export function segmentTable(plan: Pick<Plan, 'chunk' | 'segmentation'>, call: CallSizes): Int32Array {
  const rows: number[] = [];
  const [chunks, segments] = [chunkCounts(plan, call), segmentCounts(plan, call)];
  let first = 0;
  chunks.forEach((count, sequence) => {
    for (let index = 0; index < segments[sequence]; index++) {
      const length = Math.floor(count / segments[sequence]) + (index < count % segments[sequence] ? 1 : 0);
      rows.push(sequence, first, length, index);
      first += length;
    }
  });
  return Int32Array.from(rows);
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
