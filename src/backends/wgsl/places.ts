import { sizeName } from '../../ir/tile/domain.js';
import type { RunEnd, TileKernel, TileLoop, TileModule } from '../../ir/tile/tile.js';
import { sizeText, type Place } from './address.js';
import type { Memory } from './memory.js';
import type { Structure } from './structure.js';
import type { Code } from './text.js';

export const scratchName = (kernel: string) => `${kernel}.scratch`;

/** Offset of an arena tensor, as WGSL. The first six of `dims` are sizes. */
export function arenaOffset(arena: readonly string[], tensor: string): string {
  const at = 6 + arena.indexOf(tensor);
  if (at < 6) throw new Error(`${tensor} is not in the arena`);
  return `dims[${at >> 2}].${'xyzw'[at & 3]}`;
}

/** The divided axes of a kernel as its workgroups see them, and their memory. */
interface Grid {
  readonly s: Pick<Structure, 'blocks'>;
  readonly memory: Memory;
}

/** Writes what a program of the grid knows of itself. */
export function topPlace(
  module: TileModule, arena: readonly string[], kernel: TileKernel, code: Code, { s, memory }: Grid,
): Place {
  code.line('let heads = dims[0].y;');
  code.line('let groups = dims[0].z;');
  code.line('let zero = dims[0].x >> 31u;');
  switch (kernel.inner) {
    case 'head':
      code.line('let head = wid.y;');
      code.line('let group = head * groups / heads;');
      break;
    case 'group':
      code.line('let group = wid.y;');
      break;
    case 'once':
  }
  let below = 1;
  s.blocks.forEach(({ first, size, count }, i) => {
    const quotient = below === 1 ? 'wid.z' : `wid.z / ${below}u`;
    code.line(`let ${first} = ${i === s.blocks.length - 1 ? quotient : `${quotient} % ${count}u`} * ${size}u;`);
    below *= count;
  });
  if (memory.far > 0) {
    const begin = arenaOffset(arena, scratchName(kernel.name));
    code.line(`let far = ${begin} + ((wid.z * count.y + wid.y) * count.x + wid.x) * ${memory.far}u;`);
  }
  const home = kernel.inner === 'head' ? { head: 'head', group: 'group' } : { group: 'group' };
  const { row, chunk, segment, run } = kernel.domain;
  const place = ((): Omit<Place, 'begin' | 'known'> => {
    switch (kernel.outer) {
      case 'chunk':
        code.line(`let ${chunk} = wid.x;`);
        chunkLines(code, kernel);
        return { ...home, chunk, row, length: 'length', run };
      case 'run':
        code.line(`let ${run} = wid.x;`);
        runLines(code, kernel);
        return { ...home, run };
      case 'segment': {
        const { runs, segments } = tableNames(kernel);
        code.line(`let ${segment} = wid.x;`);
        code.line(`let ${run} = ${segments}[4u * ${segment}];`);
        code.line(`let first_${chunk} = ${segments}[4u * ${segment} + 1u];`);
        code.line(`let ${chunk}_count = ${segmentChunks(kernel)};`);
        code.line(
          `let first_${row} = ${runs}[6u * ${run}] + (first_${chunk} - ${runs}[6u * ${run} + 2u]) * ${module.chunk}u;`,
        );
        code.line(`let end_${row} = ${runs}[6u * ${run} + 1u];`);
        return { ...home, segment, run };
      }
      case 'once':
        return home;
    }
  })();
  return { ...place, begin: code.slot(), known: new Map() };
}

/** WGSL names of a kernel's tables. */
const tableNames = ({ domain }: TileKernel) => ({
  runs: sizeName(domain, 'run'), segments: sizeName(domain, 'segment'), chunks: sizeName(domain, 'chunk'),
});

function chunkLines(code: Code, kernel: TileKernel): void {
  const { row, chunk, run } = kernel.domain;
  const { chunks } = tableNames(kernel);
  code.line(`let ${run} = ${chunks}[4u * ${chunk}];`);
  code.line(`let ${row} = ${chunks}[4u * ${chunk} + 1u];`);
  code.line(`let length = ${chunks}[4u * ${chunk} + 2u];`);
}

function runLines(code: Code, kernel: TileKernel): void {
  const { row, chunk, run } = kernel.domain;
  const { runs } = tableNames(kernel);
  code.line(`let first_${row} = ${runs}[6u * ${run}];`);
  code.line(`let end_${row} = ${runs}[6u * ${run} + 1u];`);
  code.line(`let first_${chunk} = ${runs}[6u * ${run} + 2u];`);
  code.line(`let ${chunk}_count = ${runs}[6u * ${run} + 3u];`);
}

/** In kernels per segment: is it its run's first, or last? */
export function outermost(kernel: TileKernel, end: RunEnd): string {
  const { runs, segments } = tableNames(kernel);
  const { segment, run } = kernel.domain;
  const index = `${segments}[4u * ${segment} + 3u]`;
  return end === 'first' ? `${index} == 0u` : `${index} + 1u == ${runs}[6u * ${run} + 5u]`;
}

/** In kernels per segment: is it all of its run? */
export function wholeRun(kernel: TileKernel): string {
  return `${tableNames(kernel).runs}[6u * ${kernel.domain.run} + 5u] == 1u`;
}

/** Number of chunks that a kernel walks in a segment. */
function segmentChunks(kernel: TileKernel): string {
  const count = `${tableNames(kernel).segments}[4u * ${kernel.domain.segment} + 2u]`;
  return kernel.idle === undefined ? count : `select(${count}, 0u, ${outermost(kernel, kernel.idle)})`;
}

/** Opens a loop; its trip count is the same for the whole workgroup. */
export function openLoop(code: Code, kernel: TileKernel, loop: TileLoop, place: Place, rows: number): Place {
  const inside = (extra: Partial<Place>): Place => ({ ...place, ...extra, begin: code.slot(), known: new Map(place.known) });
  const { row, chunk, segment, run } = kernel.domain;
  const { runs } = tableNames(kernel);
  switch (loop.over) {
    case 'chunks': {
      const all = kernel.outer === 'once';
      const count = all ? sizeText('chunk') : loop.only === undefined ? `${chunk}_count` : `min(${chunk}_count, 1u)`;
      code.open(`for (var n = 0u; n < ${count}; n++)`);
      if (loop.only === 'last') code.line(`let nth = ${chunk}_count - 1u;`);
      else code.line(`let nth = ${loop.reverse ? `${count} - 1u - n` : 'n'};`);
      if (all) {
        code.line(`let ${chunk} = nth;`);
        chunkLines(code, kernel);
      } else {
        code.line(`let ${chunk} = first_${chunk} + nth;`);
        code.line(`let ${row} = first_${row} + nth * ${rows}u;`);
        code.line(`let length = min(${rows}u, end_${row} - ${row});`);
      }
      return inside({ chunk, run, row, length: 'length' });
    }
    case 'segments': {
      const all = kernel.outer === 'once';
      const count = all ? sizeText('segment') : `${runs}[6u * ${run} + 5u]`;
      code.open(`for (var m = 0u; m < ${count}; m++)`);
      code.line(`let ${segment} = ${all ? '' : `${runs}[6u * ${run} + 4u] + `}${loop.reverse ? `${count} - 1u - m` : 'm'};`);
      return inside({ segment });
    }
    case 'runs':
      code.open(`for (var m = 0u; m < ${sizeText('run')}; m++)`);
      code.line(`let ${run} = ${loop.reverse ? `${sizeText('run')} - 1u - m` : 'm'};`);
      return inside({ run });
    case 'rows':
      code.open(`for (var at_${row} = first_${row}; at_${row} < end_${row}; at_${row}++)`);
      code.line(`let ${row} = ${loop.reverse ? `end_${row} - 1u - (at_${row} - first_${row})` : `at_${row}`};`);
      return inside({ row, length: undefined });
    case 'rounds':
      code.open(`for (var round = 0u; round < ${loop.while?.most}u; round++)`);
      return inside({});
    case 'members':
      code.open('for (var member = 0u; member < heads / groups; member++)');
      code.line(`let head = group * (heads / groups) + ${loop.reverse ? 'heads / groups - 1u - member' : 'member'};`);
      return inside({ head: 'head' });
  }
}
