import type { TileKernel, TileLoop } from '../../ir/tile/tile.js';
import type { Place } from './address.js';
import type { Code } from './code.js';

/**
 * Says where a block works, from its index `outer` along the kernel's outer dimension. In kernels that walk, `walk_*` describe the run of chunks:
 * its first chunk among all, how many there are, its first token and the end of its sequence.
 */
export function outerLines(code: Code, kernel: TileKernel, home: Place): Place {
  switch (kernel.outer) {
    case 'chunk':
      code.line('const int chunk = outer, sequence = chunks[4 * chunk], first = chunks[4 * chunk + 1], length = chunks[4 * chunk + 2];');
      code.line('(void)sequence, (void)first, (void)length;');
      return { ...home, chunk: 'chunk', first: 'first', length: 'length', sequence: 'sequence' };
    case 'sequence':
      code.line('const int sequence = outer, walk_first = sequences[6 * sequence], walk_end = sequences[6 * sequence + 1];');
      code.line('const int walk_chunk = sequences[6 * sequence + 2], walk_chunks = sequences[6 * sequence + 3];');
      code.line('(void)walk_first, (void)walk_end, (void)walk_chunk, (void)walk_chunks;');
      return { ...home, sequence: 'sequence' };
    case 'segment':
      code.line('const int segment = outer, sequence = segments[4 * segment], walk_chunk = segments[4 * segment + 1], walk_chunks = segments[4 * segment + 2];');
      code.line('const int walk_first = chunks[4 * walk_chunk + 1], walk_end = sequences[6 * sequence + 1];');
      code.line('(void)walk_first, (void)walk_end;');
      return { ...home, segment: 'segment', sequence: 'sequence' };
    case 'once':
      return home;
  }
}

/** Chunk number `n` of a walk: index among all, first token, tokens. */
export function chunkLines(code: Code, names: { readonly n: string; readonly suffix: string }, reverse: boolean, tokens: number): void {
  const { n, suffix: s } = names;
  code.line(`const int index${s} = ${reverse ? `walk_chunks - 1 - (${n})` : n}, chunk${s} = walk_chunk + index${s}, first${s} = walk_first + index${s} * ${tokens};`);
  code.line(`const int length${s} = walk_end - first${s} < ${tokens} ? walk_end - first${s} : ${tokens};`);
  code.line(`(void)chunk${s}, (void)length${s};`);
}

/** Opens the loop of a plain kernel; `n` names its counter. */
export function openLoop(code: Code, kernel: TileKernel, loop: TileLoop, n: string, tokens: number, place: Place): Place {
  const backwards = (count: string) => (loop.reverse ? `${count} - 1 - ${n}` : n);
  switch (loop.over) {
    case 'chunks':
      if (kernel.outer === 'once') {
        code.open(`for (int ${n} = 0; ${n} < d.chunks; ++${n})`);
        code.line(`const int chunk = ${backwards('d.chunks')}, first = chunks[4 * chunk + 1], length = chunks[4 * chunk + 2];`);
        code.line('(void)first, (void)length;');
      } else {
        code.open(`for (int ${n} = 0; ${n} < walk_chunks; ++${n})`);
        chunkLines(code, { n, suffix: '' }, loop.reverse, tokens);
      }
      return { ...place, chunk: 'chunk', first: 'first', length: 'length' };
    case 'segments':
      code.open(`for (int ${n} = 0; ${n} < sequences[6 * sequence + 5]; ++${n})`);
      code.line(`const int segment = sequences[6 * sequence + 4] + ${backwards('sequences[6 * sequence + 5]')};`);
      return { ...place, segment: 'segment' };
    case 'tokens':
      code.open(`for (int ${n} = walk_first; ${n} < walk_end; ++${n})`);
      code.line(`const int token = ${loop.reverse ? `walk_end - 1 - (${n} - walk_first)` : n};`);
      return { ...place, token: 'token' };
    case 'members':
      code.open(`for (int ${n} = 0; ${n} < per_group; ++${n})`);
      code.line(`const int head = group * per_group + ${backwards('per_group')};`);
      return { ...place, head: 'head' };
  }
}
