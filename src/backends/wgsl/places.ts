import type { SequenceEnd, TileKernel, TileLoop, TileModule } from '../../ir/tile/tile.js';
import type { Place } from './address.js';
import type { Memory } from './memory.js';
import type { Code } from './text.js';

export const scratchName = (kernel: string) => `${kernel}.scratch`;

/** Offset of an arena tensor, as WGSL. The first six of `dims` are sizes. */
export function arenaOffset(arena: readonly string[], tensor: string): string {
  const at = 6 + arena.indexOf(tensor);
  if (at < 6) throw new Error(`${tensor} is not in the arena`);
  return `dims[${at >> 2}].${'xyzw'[at & 3]}`;
}

/** The split axis of a kernel as its workgroups see it, and their memory. */
interface Grid {
  readonly block: number;
  readonly blocks: number;
  readonly memory: Memory;
}

/** Writes what a program of the grid knows of itself. */
export function topPlace(
  module: TileModule, arena: readonly string[], kernel: TileKernel, code: Code, { block, blocks, memory }: Grid,
): Place {
  code.line('let heads = dims[0].y;');
  code.line('let groups = dims[0].z;');
  code.line('let zero = dims[0].x >> 31u;');
  if (kernel.inner === 'head') {
    code.line('let head = wid.y;');
    code.line('let group = head * groups / heads;');
  } else {
    code.line('let group = wid.y;');
  }
  if (blocks > 1) code.line(`let block = wid.z * ${block}u;`);
  if (memory.far > 0) {
    const begin = arenaOffset(arena, scratchName(kernel.name));
    code.line(`let far = ${begin} + ((wid.z * count.y + wid.y) * count.x + wid.x) * ${memory.far}u;`);
  }
  const home = kernel.inner === 'head' ? { head: 'head', group: 'group' } : { group: 'group' };
  const place = ((): Omit<Place, 'begin' | 'known'> => {
    switch (kernel.outer) {
      case 'chunk':
        code.line('let chunk = wid.x;');
        code.line('let sequence = chunks[4u * chunk];');
        code.line('let token = chunks[4u * chunk + 1u];');
        code.line('let length = chunks[4u * chunk + 2u];');
        return { ...home, chunk: 'chunk', token: 'token', length: 'length', sequence: 'sequence' };
      case 'sequence':
        code.line('let sequence = wid.x;');
        sequenceLines(code);
        return { ...home, sequence: 'sequence' };
      case 'segment':
        code.line('let segment = wid.x;');
        code.line('let sequence = segments[4u * segment];');
        code.line('let first_chunk = segments[4u * segment + 1u];');
        code.line(`let chunk_count = ${segmentChunks(kernel)};`);
        code.line(`let first_token = sequences[6u * sequence] + (first_chunk - sequences[6u * sequence + 2u]) * ${module.chunk}u;`);
        code.line('let end_token = sequences[6u * sequence + 1u];');
        return { ...home, segment: 'segment', sequence: 'sequence' };
      case 'once':
        return home;
    }
  })();
  return { ...place, begin: code.slot(), known: new Map() };
}

function sequenceLines(code: Code): void {
  code.line('let first_token = sequences[6u * sequence];');
  code.line('let end_token = sequences[6u * sequence + 1u];');
  code.line('let first_chunk = sequences[6u * sequence + 2u];');
  code.line('let chunk_count = sequences[6u * sequence + 3u];');
}

/** In kernels per segment: is it its sequence's first, or last? */
export function outermost(end: SequenceEnd): string {
  return end === 'first' ? 'segments[4u * segment + 3u] == 0u' : 'segments[4u * segment + 3u] + 1u == sequences[6u * sequence + 5u]';
}

/** Number of chunks that a kernel walks in a segment. */
function segmentChunks(kernel: TileKernel): string {
  switch (kernel.idle) {
    case undefined: return 'segments[4u * segment + 2u]';
    case 'first': case 'last': return `select(segments[4u * segment + 2u], 0u, ${outermost(kernel.idle)})`;
  }
}

/** Opens a loop; its trip count is the same for the whole workgroup. */
export function openLoop(code: Code, kernel: TileKernel, loop: TileLoop, place: Place, chunk: number): Place {
  const inside = (extra: Partial<Place>): Place => ({ ...place, ...extra, begin: code.slot(), known: new Map(place.known) });
  switch (loop.over) {
    case 'chunks': {
      const all = kernel.outer === 'once';
      const count = all ? 'dims[1].x' : loop.only === undefined ? 'chunk_count' : 'min(chunk_count, 1u)';
      code.open(`for (var n = 0u; n < ${count}; n++)`);
      if (loop.only === 'last') code.line('let nth = chunk_count - 1u;');
      else code.line(`let nth = ${loop.reverse ? `${count} - 1u - n` : 'n'};`);
      if (all) {
        code.line('let chunk = nth;');
        code.line('let sequence = chunks[4u * chunk];');
        code.line('let token = chunks[4u * chunk + 1u];');
        code.line('let length = chunks[4u * chunk + 2u];');
      } else {
        code.line('let chunk = first_chunk + nth;');
        code.line(`let token = first_token + nth * ${chunk}u;`);
        code.line(`let length = min(${chunk}u, end_token - token);`);
      }
      return inside({ chunk: 'chunk', sequence: 'sequence', token: 'token', length: 'length' });
    }
    case 'segments':
      code.open('for (var m = 0u; m < sequences[6u * sequence + 5u]; m++)');
      code.line(`let segment = sequences[6u * sequence + 4u] + ${loop.reverse ? 'sequences[6u * sequence + 5u] - 1u - m' : 'm'};`);
      return inside({ segment: 'segment' });
    case 'tokens':
      code.open('for (var at_token = first_token; at_token < end_token; at_token++)');
      code.line(`let token = ${loop.reverse ? 'end_token - 1u - (at_token - first_token)' : 'at_token'};`);
      return inside({ token: 'token', length: undefined });
    case 'members':
      code.open('for (var member = 0u; member < heads / groups; member++)');
      code.line(`let head = group * (heads / groups) + ${loop.reverse ? 'heads / groups - 1u - member' : 'member'};`);
      return inside({ head: 'head' });
  }
}
