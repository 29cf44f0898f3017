import { sizeName, type Level } from '../../ir/tile/domain.js';
import type { RunEnd, TileKernel, TileLoop } from '../../ir/tile/tile.js';
import type { Place } from './address.js';
import type { Code } from './code.js';

/** C names of a kernel's tables (ir/plan), and of the struct's fields that say how long they are. */
const tablesOf = ({ domain }: TileKernel) => ({
  runs: sizeName(domain, 'run'), segments: sizeName(domain, 'segment'), chunks: sizeName(domain, 'chunk'),
});
/** Field of `Dims` (templates/cuda/rt/base.cuh), whatever the domain of a kernel calls its own. */
export function sizeField(level: Exclude<Level, 'once'>): string {
  return { row: 'd.tokens', chunk: 'd.chunks', segment: 'd.segments', run: 'd.sequences' }[level];
}

/**
 * Opens a kernel of blocks of so many threads, with further launch bounds. It may be launched before the one in front of it has ended, and
 * waits for that first of all. `part`: the function of this name that a kernel calls, instead.
 */
export function openKernel(
  code: Code, { name }: Pick<TileKernel, 'name'>, bounds: readonly number[], parameters: string, part?: string,
): void {
  if (part !== undefined) {
    code.open(`DEV void ${part}(${parameters}, const int block)`);
    return;
  }
  code.open(`extern "C" __global__ void __launch_bounds__(${bounds.join(', ')}) ${name}(${parameters})`);
  code.line('grid_wait();');
}

/** Which copy of the grid a block is. */
export function innerPlace({ inner }: TileKernel): Place {
  switch (inner) {
    case 'head': return { head: 'head', group: 'group' };
    case 'group': return { group: 'group' };
    case 'once': return { group: '0' };
  }
}

/** What is known of a run, by the names that `outerLines` gives. */
export function runPlace(kernel: TileKernel): Place {
  const { run } = kernel.domain;
  const { runs } = tablesOf(kernel);
  return { ...innerPlace(kernel), run, runFirst: `${runs}[6 * ${run}]`, runEnd: `${runs}[6 * ${run} + 1]` };
}

/** The same of a chunk. */
export function chunkPlace(kernel: TileKernel): Place {
  return { ...runPlace(kernel), chunk: kernel.domain.chunk, first: 'first', length: 'length' };
}

/** The end of what runs have of something, by the column of the table that says where it begins; the next one says how many there are. */
function lastOf(kernel: TileKernel, column: number): string {
  const { runs } = tablesOf(kernel);
  const count = sizeField('run');
  return `${count} > 0 ? ${runs}[6 * ${count} - ${6 - column}] + ${runs}[6 * ${count} - ${5 - column}] : 0`;
}

/**
 * Says where a block works, from its index `outer` along the kernel's outer dimension. In kernels that walk, `walk_*` describe the run of
 * chunks: its first chunk among all, how many there are, its first row and the end of its rows.
 */
export function outerLines(code: Code, kernel: TileKernel): Place {
  const { chunk, segment, run } = kernel.domain;
  const { chunks, segments, runs } = tablesOf(kernel);
  switch (kernel.outer) {
    case 'chunk':
      code.line(`const int ${chunk} = outer, ${run} = ${chunks}[4 * ${chunk}], first = ${chunks}[4 * ${chunk} + 1], `
        + `length = ${chunks}[4 * ${chunk} + 2];`);
      code.line(`(void)${run}, (void)first, (void)length;`);
      return chunkPlace(kernel);
    case 'run':
      code.line(`const int ${run} = outer, walk_first = ${runs}[6 * ${run}], walk_end = ${runs}[6 * ${run} + 1];`);
      code.line(`const int walk_chunk = ${runs}[6 * ${run} + 2], walk_chunks = ${runs}[6 * ${run} + 3];`);
      code.line('(void)walk_first, (void)walk_end, (void)walk_chunk, (void)walk_chunks;');
      return runPlace(kernel);
    case 'segment':
      code.line(`const int ${segment} = outer, ${run} = ${segments}[4 * ${segment}], walk_chunk = ${segments}[4 * ${segment} + 1];`);
      code.line(
        `const bool is_first = ${segments}[4 * ${segment} + 3] == 0, `
        + `is_last = ${segments}[4 * ${segment} + 3] + 1 == ${runs}[6 * ${run} + 5], is_whole = ${runs}[6 * ${run} + 5] == 1;`,
      );
      code.line(`const int walk_chunks = ${idle(kernel)}${segments}[4 * ${segment} + 2];`);
      // Of an empty run the table of chunks knows nothing.
      code.line(
        `const int walk_first = ${runs}[6 * ${run}] + (walk_chunk - ${runs}[6 * ${run} + 2]) * kChunk, `
        + `walk_end = ${runs}[6 * ${run} + 1];`,
      );
      code.line('(void)walk_first, (void)walk_end, (void)is_first, (void)is_last, (void)is_whole;');
      return { ...runPlace(kernel), segment };
    case 'once': {
      // The table may have empty rows beyond these (TableKernel in ir/plan), of which walks write nothing.
      code.line(`const int real_chunks = ${lastOf(kernel, 2)};`);
      code.line('(void)real_chunks;');
      return innerPlace(kernel);
    }
  }
}

/** Says where the rows that a kernel goes along begin and end: those of a run, of a segment, or of all runs. */
export function spanLines(code: Code, kernel: TileKernel): Place {
  const place = { ...outerLines(code, kernel), first: 'first', length: 'length' };
  const count = sizeField('run');
  // The table may have empty rows beyond these.
  const last = 'walk_first + walk_chunks * kChunk';
  const [first, end] = kernel.outer === 'once'
    ? ['0', `${count} > 0 ? ${tablesOf(kernel).runs}[6 * ${count} - 5] : 0`]
    : ['walk_first', kernel.outer === 'run' ? 'walk_end' : `walk_end < ${last} ? walk_end : ${last}`];
  code.line(`const int rows_first = ${first}, rows_end = ${end};`);
  return place;
}

/** C condition in kernels per segment: is it its run's first, or last? */
export function outermost(end: RunEnd): string {
  return `is_${end}`;
}

/** Text before the number of a segment's chunks: 0 where it is idle. */
function idle(kernel: TileKernel): string {
  switch (kernel.idle) {
    case undefined: return '';
    case 'first': case 'last': return `${outermost(kernel.idle)} ? 0 : `;
  }
}

/** Chunk number `n` of a walk: index among all, first row, rows. */
function chunkLines(
  code: Code, { domain }: TileKernel, names: { readonly n: string; readonly suffix: string }, reverse: boolean, rows: number,
): void {
  const { n, suffix: s } = names;
  const { chunk } = domain;
  const index = reverse ? `walk_chunks - 1 - (${n})` : n;
  code.line(`const int index${s} = ${index}, ${chunk}${s} = walk_chunk + index${s}, first${s} = walk_first + index${s} * ${rows};`);
  code.line(`const int length${s} = walk_end - first${s} < ${rows} ? walk_end - first${s} : ${rows};`);
  code.line(`(void)${chunk}${s}, (void)length${s};`);
}

/** Number of iterations of a loop. */
export function loopCount(kernel: TileKernel, loop: TileLoop): string {
  switch (loop.over) {
    case 'chunks': return kernel.outer === 'once' ? 'real_chunks' : loop.only !== undefined ? '(walk_chunks > 0)' : 'walk_chunks';
    case 'segments': return kernel.outer === 'once' ? `(${lastOf(kernel, 4)})` : `${tablesOf(kernel).runs}[6 * ${kernel.domain.run} + 5]`;
    case 'runs': return sizeField('run');
    case 'rows': return '(walk_end - walk_first)';
    case 'members': return 'per_group';
    case 'rounds': return `${loop.while?.most}`;
  }
}

/** Says where iteration `n` of a loop works; `suffix` tells the names of several iterations apart. */
export function iterationLines(
  code: Code, kernel: TileKernel, loop: TileLoop, n: string, suffix: string, rows: number, place: Place,
): Place {
  const { row, chunk, segment, run } = kernel.domain;
  const { chunks, runs } = tablesOf(kernel);
  const at = loop.reverse ? `${loopCount(kernel, loop)} - 1 - (${n})` : n;
  const s = suffix;
  switch (loop.over) {
    case 'chunks':
      if (kernel.outer === 'once') {
        const entry = `${chunks}[4 * ${chunk}${s}`;
        code.line(`const int ${chunk}${s} = ${at}, first${s} = ${entry} + 1], length${s} = ${entry} + 2];`);
        code.line(`(void)first${s}, (void)length${s};`);
        return { ...place, chunk: `${chunk}${s}`, run: `${entry}]`, first: `first${s}`, length: `length${s}` };
      } else chunkLines(code, kernel, { n, suffix: s }, loop.reverse || loop.only === 'last', rows);
      return { ...place, chunk: `${chunk}${s}`, first: `first${s}`, length: `length${s}` };
    case 'segments':
      code.line(`const int ${segment}${s} = ${kernel.outer === 'once' ? '' : `${runs}[6 * ${run} + 4] + `}${at};`);
      if (kernel.outer === 'once') code.line(`(void)${segment}${s};`);
      return { ...place, segment: `${segment}${s}` };
    case 'runs':
      code.line(`const int ${run}${s} = ${at};`);
      return { ...place, run: `${run}${s}` };
    case 'rows':
      code.line(`const int ${row}${s} = walk_first + ${at};`);
      return { ...place, row: `${row}${s}` };
    case 'rounds': return place;
    case 'members':
      code.line(`const int head${s} = group * per_group + ${at};`);
      return { ...place, head: `head${s}` };
  }
}

/** Opens the loop of a plain kernel; `n` names its counter. */
export function openLoop(
  code: Code, kernel: TileKernel, loop: TileLoop, n: string, rows: number, place: Place, count = loopCount(kernel, loop),
): Place {
  code.open(`for (int ${n} = 0; ${n} < ${count}; ++${n})`);
  return iterationLines(code, kernel, loop, n, '', rows, place);
}

/** The rows of a run, or of all, as C texts. */
export function rowsText(kernel: TileKernel, place: Place): { readonly first: string; readonly end: string } {
  if (place.runFirst !== undefined && place.runEnd !== undefined) return { first: place.runFirst, end: place.runEnd };
  const count = sizeField('run');
  return { first: '0', end: `(${count} > 0 ? ${tablesOf(kernel).runs}[6 * ${count} - 5] : 0)` };
}
