import type { Extent, Plan, PlanKernel, PlanTensor } from '../ir/plan/plan.js';
import type { PlanExtent, PlanTable, TableColumn } from '../ir/plan/rows.js';
import { kindName } from '../support/brief.js';
import { RuntimeError } from './runtime.js';

/** What a call brings: the sizes that a plan leaves open. */
export interface CallSizes {
  readonly heads: number;
  /** Equal to `heads` where nothing is shared. */
  readonly groups: number;
  /** Rows of every run of the plan's domain, in order: tokens of sequences, B equal ones for a batch. */
  readonly lengths: readonly number[];
}

/** What of a plan says how many there are of what. */
export type Rows = Pick<Plan, 'chunk' | 'segmentation' | 'extents' | 'tables'>;

/** Numbers for the names in a plan's extents. */
export type Extents = Readonly<Record<string, number>>;

export function extentsOf(plan: Rows, call: CallSizes): Extents {
  checkSizes(call);
  expectOneDomain(plan);
  const cut = cutOf(plan, call);
  return Object.fromEntries(Object.entries(plan.extents).map(([name, extent]) => [name, numberOf(extent, call, cut)]));
}

function numberOf({ of }: PlanExtent, { heads, groups, lengths }: CallSizes, { chunks, segments }: Cut): number {
  switch (of) {
    case 'head': return heads;
    case 'group': return groups;
    case 'row': return sum(lengths);
    case 'run': return lengths.length;
    case 'chunk': return sum(chunks);
    case 'segment': return sum(segments);
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

/** A call says how long the runs of one domain are. */
function expectOneDomain({ extents }: Rows): void {
  const domains = new Set(Object.values(extents).flatMap((extent) => ('domain' in extent ? [extent.domain] : [])));
  if (domains.size > 1) throw new RuntimeError(
    `this plan is over ${[...domains].join(' and ')}s`, 'this runtime runs plans over the rows of one domain',
  );
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

/** How many chunks and segments every run has. */
interface Cut {
  readonly chunks: readonly number[];
  readonly segments: readonly number[];
}

function cutOf({ chunk, segmentation }: Rows, { heads, lengths }: CallSizes): Cut {
  const chunks = lengths.map((length) => Math.ceil(length / chunk));
  const { programs, least, pays = 1 } = segmentation;
  const longest = Math.max(least, Math.ceil((sum(chunks) * heads) / programs));
  const whole = Math.max(0, ...chunks) < pays * longest;
  return { chunks, segments: chunks.map((count) => (whole ? 1 : Math.max(1, Math.ceil(count / longest)))) };
}

/** What there is so many of as an extent says; undefined: a number. */
export function kindOf({ extents }: Pick<Plan, 'extents'>, extent: Extent | undefined): PlanExtent['of'] | undefined {
  return typeof extent === 'string' ? extents[extent]?.of : undefined;
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

/** The numbers of a table, row by row. */
export function tableOf(plan: Rows, name: string, call: CallSizes): Int32Array {
  const { of, columns } = plan.tables[name];
  const entries = columnsOf(plan, of, call);
  const found = columns.map((column) => entries[column] ?? unknownColumn(name, column));
  const rows = found[0]?.length ?? 0;
  const made = new Int32Array(rows * columns.length);
  found.forEach((values, at) => values.forEach((value, row) => {
    made[row * columns.length + at] = value;
  }));
  return made;
}

function unknownColumn(table: string, column: string): never {
  throw new RuntimeError(`the table ${table} has a column ${column}, which this runtime does not know`, 'build the plan again');
}

type Columns = Readonly<Partial<Record<TableColumn, readonly number[]>>>;

function columnsOf(plan: Rows, of: PlanTable['of'], call: CallSizes): Columns {
  const { lengths } = call;
  const { chunks, segments } = cutOf(plan, call);
  switch (of) {
    case 'run': {
      const first = before(lengths);
      return {
        first, end: first.map((row, run) => row + lengths[run]), length: lengths, firstChunk: before(chunks), chunks,
        firstSegment: before(segments), segments,
      };
    }
    case 'segment': {
      const run: number[] = [];
      const index: number[] = [];
      const counts: number[] = [];
      chunks.forEach((count, at) => {
        for (let i = 0; i < segments[at]; i++) {
          run.push(at);
          index.push(i);
          counts.push(Math.floor(count / segments[at]) + (i < count % segments[at] ? 1 : 0));
        }
      });
      return { run, firstChunk: before(counts), chunks: counts, index };
    }
    case 'chunk': {
      const firsts = before(lengths);
      const run: number[] = [];
      const first: number[] = [];
      const length: number[] = [];
      const index: number[] = [];
      lengths.forEach((rows, at) => {
        for (let i = 0; i < chunks[at]; i++) {
          run.push(at);
          first.push(firsts[at] + i * plan.chunk);
          length.push(Math.min(plan.chunk, rows - i * plan.chunk));
          index.push(i);
        }
      });
      return { run, first, length, index };
    }
  }
}

/** Sums of the numbers before each. */
function before(counts: readonly number[]): readonly number[] {
  let total = 0;
  return counts.map((count) => {
    total += count;
    return total - count;
  });
}
