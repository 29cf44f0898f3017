import type { TileId } from '../../../ir/tile/tile.js';
import type { Access, Writer } from './values.js';

/** Neighbours in one access, and rows of a thread: a sector of memory in two accesses. */
const PIECE = 4;
const SECTOR = 8;

/**
 * Do a thread's rows fill a sector in each of its columns? Then two neighbouring lanes take the columns of both, half a sector each, and
 * exchange what is the other's: every access has whole sectors, of half as many columns.
 */
export function sharesSectors(w: Writer, { axes, rows, columns }: Access, piece: number): boolean {
  const lanes = w.layout.groups.find(({ role, axes: own }) => role === 'lane' && own.some((axis) => axes.includes(axis)));
  return piece === PIECE && rows === SECTOR && lanes !== undefined && lanes.axes.length === 1 && lanes.threads % 2 === 0
    && lanes.regs === lanes.vec && lanes.regs === columns;
}

/** Column `c` of the even lane (`q` = 0) or the odd one, seen from either. */
const columnOf = (columns: number): string => `(c + (q - odd) * ${columns})`;
const half = `odd * ${PIECE}`;

/** `there`: C condition under which the buffer is given. */
export function loadPairs(w: Writer, tile: TileId, a: Access, there: string | undefined): void {
  const { code } = w;
  const to = (piece: number) => w.at(tile, `(${piece * PIECE} + e)`, 'c');
  const load = `ldn<${PIECE}>(both[q][c], ${a.address(half, columnOf(a.columns))});`;
  code.open('');
  code.line('const int odd = lane & 1;');
  code.line(`float both[2][${a.columns}][${PIECE}];`);
  code.line(
    `UNROLL for (int q = 0; q < 2; ++q) UNROLL for (int c = 0; c < ${a.columns}; ++c) `
    + (there === undefined ? load : `{ if (${there}) ${load} else zeron<${PIECE}>(both[q][c]); }`),
  );
  code.open(`UNROLL for (int c = 0; c < ${a.columns}; ++c) UNROLL for (int e = 0; e < ${PIECE}; ++e)`);
  code.line('const float own = odd ? both[1][c][e] : both[0][c][e];');
  code.line('const float other = __shfl_xor_sync(~0u, odd ? both[0][c][e] : both[1][c][e], 1);');
  code.line(`${to(0)} = odd ? other : own, ${to(1)} = odd ? own : other;`);
  code.close();
  code.close();
}

/** `guard`: C condition, the same for both lanes; '' for always. */
export function storePairs(w: Writer, value: TileId, a: Access, guard: string): void {
  const { code } = w;
  const of = (piece: number) => w.at(value, `(${piece * PIECE} + e)`, 'c');
  code.open('');
  code.line('const int odd = lane & 1;');
  code.line(`float both[2][${a.columns}][${PIECE}];`);
  code.open(`UNROLL for (int c = 0; c < ${a.columns}; ++c) UNROLL for (int e = 0; e < ${PIECE}; ++e)`);
  code.line(`const float own = odd ? ${of(1)} : ${of(0)}, other = __shfl_xor_sync(~0u, odd ? ${of(0)} : ${of(1)}, 1);`);
  code.line('both[0][c][e] = odd ? other : own, both[1][c][e] = odd ? own : other;');
  code.close();
  code.line(
    `UNROLL for (int q = 0; q < 2; ++q) UNROLL for (int c = 0; c < ${a.columns}; ++c) `
    + `${guard === '' ? '' : `if (${guard}) `}stn<${PIECE}>(${a.address(half, columnOf(a.columns))}, both[q][c]);`,
  );
  code.close();
}
