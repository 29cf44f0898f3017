import type { Extent, Plan, PlanKernel, PlanTensor } from '../ir/plan/plan.js';
import type { MadeRows, PlanExtent, PlanTable, TableColumn } from '../ir/plan/rows.js';
import { kindName } from '../support/brief.js';
import { sum } from '../support/sum.js';
import { countsFault } from './offsets.js';
import { LimitError, RuntimeError } from './runtime.js';

/** What a call brings: the sizes that a plan leaves open. */
export interface CallSizes {
  readonly heads: number;
  /** Equal to `heads` where nothing is shared. */
  readonly groups: number;
  /** Rows of every run of the plan's first domain, in order: tokens of sequences, B equal ones for a batch. */
  readonly lengths: readonly number[];
  /** The same of its other domains, by what their rows are called. */
  readonly others?: Readonly<Record<string, readonly number[]>>;
}

/** What of a plan says how many there are of what. */
export type Rows = Pick<Plan, 'chunk' | 'segmentation' | 'extents' | 'dims' | 'tables' | 'made'>;

/** Numbers for the names in a plan's extents. */
export type Extents = Readonly<Record<string, number>>;

export function extentsOf(plan: Rows, call: CallSizes): Extents {
  checkSizes(call);
  const cuts = new Map(Object.keys(plan.dims).filter((domain) => plan.made?.[domain] === undefined).map(
    (domain) => [domain, cutOf(plan, call, domain)]
  ));
  const numberOf = (extent: PlanExtent): number => {
    if (!('domain' in extent)) return extent.of === 'head' ? call.heads : call.groups;
    const made = plan.made?.[extent.domain];
    if (made !== undefined) return mostOf(plan, made, call, extent.of);
    const { lengths, chunks, segments } = cuts.get(extent.domain) ?? cutOf(plan, call, extent.domain);
    switch (extent.of) {
      case 'row': return sum(lengths);
      case 'run': return lengths.length;
      case 'chunk': return sum(chunks);
      case 'segment': return sum(segments);
    }
  };
  return Object.fromEntries(Object.entries(plan.extents).map(([name, extent]) => [name, numberOf(extent)]));
}

/** Numbers of rows are f32 in kernels. */
const EXACT = 2 ** 24;

/** As many as there may be of a domain that is `made`. */
function mostOf(plan: Rows, { runs, of, perRow }: MadeRows, call: CallSizes, what: Extract<PlanExtent, { domain: string }>['of']): number {
  const rows = perRow * sum(lengthsOf(plan, call, of));
  if (rows > EXACT) throw new LimitError(
    `a call of ${rows / perRow} ${of}s has ${rows} places for them, more than 2^24`, 'split the call: fewer tokens at once',
  );
  switch (what) {
    case 'row': return rows;
    case 'run': case 'segment': return runs;
    case 'chunk': return Math.floor((rows + runs * (plan.chunk - 1)) / plan.chunk);
  }
}


/** How long the runs of a domain are. */
function lengthsOf({ dims }: Rows, { lengths, others }: CallSizes, domain: string): readonly number[] {
  const found = domain === Object.keys(dims)[0] ? lengths : others?.[domain];
  if (found === undefined) throw new RuntimeError(`the lengths of the runs of ${domain}s are missing`, `pass them as others.${domain}`);
  return found;
}

/** Types say that they are numbers, not which. */
function checkSizes({ heads, groups, lengths, others = {} }: CallSizes): void {
  const isCount = (size: unknown, least: number) => typeof size === 'number' && Number.isSafeInteger(size) && size >= least;
  for (const [name, size] of [['heads', heads], ['groups', groups]] as const) {
    if (!isCount(size, 1)) throw new RuntimeError(`${name} is ${kindName(size)}`, `${name} is a whole number from 1 on`);
  }
  if (heads % groups !== 0) throw new RuntimeError(`${heads} heads cannot share ${groups} groups`, 'heads must be a multiple of groups');
  const rule = (name: string) => `${name} holds the rows of every run (tokens of sequences)`;
  for (const [name, counts] of [['lengths', lengths], ...Object.entries(others)] as const) {
    if (!Array.isArray(counts)) throw new RuntimeError(`${name} is ${kindName(counts)}`, rule(name));
    const odd = counts.findIndex((length) => !isCount(length, 0));
    const many = odd < 0 ? countsFault(counts.length, sum(counts)) : undefined;
    if (many !== undefined) throw new LimitError(`${name} says ${many}`, 'split the call');
    if (odd < 0) continue;
    throw new RuntimeError(`${name} holds ${kindName(counts[odd])} at entry ${odd}`, `${rule(name)}, whole numbers from 0 on`);
  }
}

/** How many rows, chunks and segments every run has. */
interface Cut {
  readonly lengths: readonly number[];
  readonly chunks: readonly number[];
  readonly segments: readonly number[];
}

/** Segments of each run, of so many chunks at most. */
const segmentsOf = (chunks: readonly number[], longest: number): readonly number[] => (
  chunks.map((count) => Math.max(1, Math.ceil(count / longest)))
);

/**
 * The shortest segments of `even` chunks or more, but below twice as many, of which runs have `most` at most; `even` where they have more.
 */
function fitting(chunks: readonly number[], even: number, most: number): number {
  const fits = (longest: number) => sum(segmentsOf(chunks, longest)) <= most;
  let [short, long] = [even, 2 * even - 1];
  if (chunks.length > most || fits(even) || !fits(long)) return even;
  while (long - short > 1) {
    const middle = Math.floor((short + long) / 2);
    if (fits(middle)) long = middle;
    else short = middle;
  }
  return long;
}

function cutOf(plan: Rows, call: CallSizes, domain: string): Cut {
  const { chunk, segmentation } = plan;
  const lengths = lengthsOf(plan, call, domain);
  const chunks = lengths.map((length) => Math.ceil(length / chunk));
  const { programs, least, pays = 1 } = segmentation;
  const even = Math.max(least, Math.ceil((sum(chunks) * call.heads) / programs));
  const longest = pays === 1 ? even : fitting(chunks, even, Math.floor(programs / call.heads));
  const whole = Math.max(0, ...chunks) < pays * longest;
  return { lengths, chunks, segments: segmentsOf(chunks, whole ? Infinity : longest) };
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

/** The numbers of a table, row by row; zeros, where a launch fills it. */
export function tableOf(plan: Rows, name: string, call: CallSizes): Int32Array {
  const { of, domain, columns } = plan.tables[name];
  const made = plan.made?.[domain];
  if (made !== undefined) return new Int32Array(mostOf(plan, made, call, of) * columns.length);
  const entries = columnsOf(plan.chunk, of, cutOf(plan, call, domain));
  const found = columns.map((column) => entries[column] ?? unknownColumn(name, column));
  const rows = found[0]?.length ?? 0;
  const table = new Int32Array(rows * columns.length);
  found.forEach((values, at) => values.forEach((value, row) => {
    table[row * columns.length + at] = value;
  }));
  return table;
}

function unknownColumn(table: string, column: string): never {
  throw new RuntimeError(`the table ${table} has a column ${column}, which this runtime does not know`, 'build the plan again');
}

type Columns = Readonly<Partial<Record<TableColumn, readonly number[]>>>;

function columnsOf(chunk: number, of: PlanTable['of'], { lengths, chunks, segments }: Cut): Columns {
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
          first.push(firsts[at] + i * chunk);
          length.push(Math.min(chunk, rows - i * chunk));
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
