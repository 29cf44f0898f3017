import type { SequenceEnd, TileKernel, TileLoop } from '../../ir/tile/tile.js';
import type { Place } from './address.js';
import type { Code } from './code.js';

/**
 * Says where a block works, from its index `outer` along the kernel's outer dimension. In kernels that walk, `walk_*` describe the run of
 * chunks: its first chunk among all, how many there are, its first token and the end of its sequence.
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
      code.line('const int segment = outer, sequence = segments[4 * segment], walk_chunk = segments[4 * segment + 1];');
      code.line(
        'const bool is_first = segments[4 * segment + 3] == 0, '
        + 'is_last = segments[4 * segment + 3] + 1 == sequences[6 * sequence + 5], is_whole = sequences[6 * sequence + 5] == 1;',
      );
      code.line(`const int walk_chunks = ${idle(kernel)}segments[4 * segment + 2];`);
      // Of an empty sequence the table of chunks knows nothing.
      code.line(
        'const int walk_first = sequences[6 * sequence] + (walk_chunk - sequences[6 * sequence + 2]) * kChunk, '
        + 'walk_end = sequences[6 * sequence + 1];',
      );
      code.line('(void)walk_first, (void)walk_end, (void)is_first, (void)is_last, (void)is_whole;');
      return { ...home, segment: 'segment', sequence: 'sequence' };
    case 'once':
      // The table may have empty rows beyond these (TableKernel in ir/plan), of which walks write nothing.
      code.line('const int real_chunks = d.sequences > 0 ? sequences[6 * d.sequences - 4] + sequences[6 * d.sequences - 3] : 0;');
      code.line('(void)real_chunks;');
      return home;
  }
}

/** C condition in kernels per segment: is it its sequence's first, or last? */
export function outermost(end: SequenceEnd): string {
  return `is_${end}`;
}

/** Text before the number of a segment's chunks: 0 where it is idle. */
function idle(kernel: TileKernel): string {
  switch (kernel.idle) {
    case undefined: return '';
    case 'first': case 'last': return `${outermost(kernel.idle)} ? 0 : `;
  }
}

/** Chunk number `n` of a walk: index among all, first token, tokens. */
export function chunkLines(code: Code, names: { readonly n: string; readonly suffix: string }, reverse: boolean, tokens: number): void {
  const { n, suffix: s } = names;
  const index = reverse ? `walk_chunks - 1 - (${n})` : n;
  code.line(`const int index${s} = ${index}, chunk${s} = walk_chunk + index${s}, first${s} = walk_first + index${s} * ${tokens};`);
  code.line(`const int length${s} = walk_end - first${s} < ${tokens} ? walk_end - first${s} : ${tokens};`);
  code.line(`(void)chunk${s}, (void)length${s};`);
}

/** Number of iterations of a loop. */
export function loopCount(kernel: TileKernel, loop: TileLoop): string {
  switch (loop.over) {
    case 'chunks': return kernel.outer === 'once' ? 'real_chunks' : loop.only !== undefined ? '(walk_chunks > 0)' : 'walk_chunks';
    case 'segments': return 'sequences[6 * sequence + 5]';
    case 'tokens': return '(walk_end - walk_first)';
    case 'members': return 'per_group';
  }
}

/** Says where iteration `n` of a loop works; `suffix` tells the names of several iterations apart. */
export function iterationLines(
  code: Code, kernel: TileKernel, loop: TileLoop, n: string, suffix: string, tokens: number, place: Place,
): Place {
  const at = loop.reverse ? `${loopCount(kernel, loop)} - 1 - (${n})` : n;
  const s = suffix;
  switch (loop.over) {
    case 'chunks':
      if (kernel.outer === 'once') {
        code.line(`const int chunk${s} = ${at}, first${s} = chunks[4 * chunk${s} + 1], length${s} = chunks[4 * chunk${s} + 2];`);
        code.line(`(void)first${s}, (void)length${s};`);
      } else chunkLines(code, { n, suffix: s }, loop.reverse || loop.only === 'last', tokens);
      return { ...place, chunk: `chunk${s}`, first: `first${s}`, length: `length${s}` };
    case 'segments':
      code.line(`const int segment${s} = sequences[6 * sequence + 4] + ${at};`);
      return { ...place, segment: `segment${s}` };
    case 'tokens':
      code.line(`const int token${s} = walk_first + ${at};`);
      return { ...place, token: `token${s}` };
    case 'members':
      code.line(`const int head${s} = group * per_group + ${at};`);
      return { ...place, head: `head${s}` };
  }
}

/** Opens the loop of a plain kernel; `n` names its counter. */
export function openLoop(code: Code, kernel: TileKernel, loop: TileLoop, n: string, tokens: number, place: Place): Place {
  code.open(`for (int ${n} = 0; ${n} < ${loopCount(kernel, loop)}; ++${n})`);
  return iterationLines(code, kernel, loop, n, '', tokens, place);
}
