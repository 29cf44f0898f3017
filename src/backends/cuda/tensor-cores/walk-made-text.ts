import { ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileId } from '../../../ir/tile/tile.js';
import type { Place } from '../address.js';
import type { Draft } from '../instructions/draft.js';
import type { Registers } from '../instructions/instruction.js';
import type { Piece } from '../instructions/pieces.js';
import type { CudaContext } from '../lowered.js';
import { scalarText } from '../scalar.js';
import { loadCell, present } from './memory.js';
import type { Team } from './team.js';
import { isLoad, type Made } from './walk-made.js';
import type { LoadingPart } from './walk-text.js';

/** Neighbours in a row that a thread has. */
const COLUMNS = 4;
/** Rows of a thread that it works out side by side: loads and stores keep their order, and registers are few. */
const AT_ONCE = 4;
/** Threads of the team that loads. */
const THREADS = 128;

/** The rows before a chunk, in f32, as they come through registers. */
export interface RowsBefore {
  readonly piece: Piece;
  readonly registers: Registers;
}

/** Asks for the rows before a chunk with its copies, and puts them down when its turn comes: those of states, where the run has none. */
export function rowsBefore(
  cx: CudaContext, team: Team, draft: Draft<LoadingPart>, { near, window: { before, edge } }: Made, place: Place, split: Axis,
): RowsBefore | undefined {
  const { defs } = team.options;
  const op = defs.get(near);
  if (!isLoad(op)) return undefined;
  const cell = loadCell(cx, op, place, split);
  const columns = team.pad(split);
  const n = before * columns;
  const registers = { name: team.fresh(`r${near}`), count: Math.ceil(n / THREADS) };
  const lost = [...edge].reduceRight((rest, [at, tile]) => {
    const from = defs.get(tile);
    if (!isLoad(from)) return rest;
    const initial = loadCell(cx, from, place, split);
    return `lost == ${at} ? ${present(initial, `ld(${initial.at} + c)`)} : ${rest}`;
  }, '0.f');
  draft.to('ask');
  team.add({
    kind: 'turns', count: registers.count,
    text: `const int back = ${before} - i / ${columns}, c = i % ${columns}, lost = ${place.runFirst} - ${place.first} + back; `
      + `${registers.name}[k] = i >= ${n} || c >= ${cell.cols} ? 0.f `
      + `: lost <= 0 ? ld(${cell.at} - back * (${cell.rowStride}) + c) : ${lost};`,
  });
  draft.to('fill');
  const piece = draft.take(n * 4, false);
  team.add({
    kind: 'turns', count: registers.count, text: `if (i < ${n}) ${team.pointerTo(piece)}[i] = ${registers.name}[k];`,
    writes: [{ piece, by: 'any' }],
  });
  return { piece, registers };
}

/** Makes the tile: a thread has some rows of four columns, and takes every row near them once. */
export function madeText(team: Team, { tile, value, near, window: { before }, steps, steady }: Made, rows: RowsBefore, place: Place): void {
  const { draft, options: { defs } } = team;
  const from = team.formsOf(near).t16;
  if (from === undefined) return team.refuse(`tile ${near} is not in shared memory`);
  team.begin();
  team.note(tile);
  team.need(from.piece, 'any');
  team.need(rows.piece, 'any');
  const [height, width] = [team.pad(ROW), team.pad(from.cols)];
  const across = width / COLUMNS;
  const mine = height / (THREADS / across);
  const vectors = steady.filter((at) => team.axesOf(at).length > 0);
  const pointers = vectors.map((at) => team.vec(at, 'any'));
  const text = (at: TileId): string => {
    const op = defs.get(at);
    if (vectors.includes(at)) return `v${at}[j]`;
    if (steady.includes(at)) return team.scalar(at);
    if (op?.op === 'put') return text(op.arg);
    return isLoad(op) ? `near[(r + ${before - (op.back ?? 0)}) * ${COLUMNS} + j]` : `n${at}`;
  };
  const take = `near_take<${height}>(&near[r * ${COLUMNS}], ${from.address}, row + r - ${before}, c);`;
  const each = `UNROLL for (int j = 0; j < ${COLUMNS}; ++j)`;
  const lines = [
    `const int c = t % ${across} * ${COLUMNS}, row = t / ${across} * ${mine};`,
    ...vectors.map((at, i) => `float v${at}[${COLUMNS}]; ${each} v${at}[j] = ${pointers[i]}[c + j];`),
    `float near[${(mine + before) * COLUMNS}];`,
    `UNROLL for (int r = 0; r < ${before}; ++r) {`,
    `  if (row == 0) ${each} near[r * ${COLUMNS} + j] = ${team.pointerTo(rows.piece)}[r * ${width} + c + j];`,
    `  else ${take}`,
    '}',
    `UNROLL for (int from = 0; from < ${mine}; from += ${AT_ONCE}) {`,
    `  UNROLL for (int r = from + ${before}; r < from + ${before + AT_ONCE}; ++r) ${take}`,
    `  UNROLL for (int r = from; r < from + ${AT_ONCE}; ++r) {`,
    `    float made[${COLUMNS}];`,
    `    ${each} {`,
    ...steps.map(({ tile: at, op }) => `      const float n${at} = ${op.op === 'map' ? scalarText(op.fn, op.args.map(text)) : ''};`),
    `      made[j] = ${text(value)};`,
    '    }',
  ];
  const piece = draft.take(height * width * 2, true, tile);
  const address = team.address(piece);
  team.add({
    kind: 'block', reads: [from.piece, rows.piece], writes: [{ piece, by: 'any' }],
    lines: [...lines, `    near_put<${height}>(${address}, row + r, c, made, row + r < ${place.length});`, '  }', '}'],
  });
  team.formsOf(tile).t16 = { piece, address, rows: ROW, cols: from.cols };
}
