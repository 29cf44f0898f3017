import { ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import { bufferNamed, outerStride, type Place } from '../address.js';
import type { BlockPart } from './blocks-text.js';
import type { Draft } from '../instructions/draft.js';
import { cellPointer, type CudaContext } from '../lowered.js';
import { refused, type Refused } from '../refused.js';
import { STEP } from './forms.js';
import { cellOf, tileToCome, type Cell } from './memory.js';
import type { Team } from './team.js';

export type Gather = Extract<TileOp, { op: 'gather' }>;

/** Rows that an index names, as the cell that has all rows: `at` points to the first of all. */
export function gatheredCell(cx: CudaContext, op: Gather, place: Place, split: Axis | undefined): Cell | Refused {
  const [buffer, index] = [op.buffer, op.index].map((name) => bufferNamed(cx.module, name));
  if (index.axes.length > 0 || op.rows !== 'row') return refused(`rows of ${op.buffer}, several for each of the chunk`);
  const cell = cellOf(cx, { buffer }, ROW, { ...place, row: '0' }, split);
  return cell.copied === 'tile' && cell.even ? cell : refused(`rows of ${op.buffer}, which no copy of 16 bytes brings`);
}

/**
 * Has a step of gathered rows brought to the stage `to` of the ring, by what asks for a step. Which rows they are is asked for ahead:
 * once, before the loop, since they are the same in all steps, or, where steps are of rows (`isAlong`), for each step when the one before
 * is copied.
 */
export function gatherStep(
  cx: CudaContext, team: Team, draft: Pick<Draft<BlockPart>, 'to'>, { tile, op, cell, place, issue, isAlong }: {
    readonly tile: TileId; readonly op: Gather; readonly cell: Cell; readonly place: Place; readonly issue: BlockPart;
    readonly isAlong: boolean;
  },
): void {
  const index = bufferNamed(cx.module, op.index);
  const [rows, cols] = cell.axes;
  const shape = [team.pad(rows), team.pad(cols) / 64, team.threads];
  const name = team.fresh(`rows${tile}`);
  const pieces = team.pad(rows) * team.pad(cols) / 8 / team.threads;
  const ask = (first: string | undefined, rows: string) => ({
    kind: 'call', fn: 'gather_rows', shape,
    args: [name, cellPointer(cx.module, { buffer: index }, { ...place, first }), outerStride(cx.module, index), rows, 't'],
  }) as const;
  draft.to('before');
  const declares = [`int ${name}[${pieces}];`];
  team.add({ ...(isAlong ? ask('rows_first', 'rows_end - rows_first') : ask(place.first, cell.rows)), declares });
  draft.to(issue);
  const piece = tileToCome(team, tile, cell, true);
  team.add({
    kind: 'copy', piece, group: false, fn: 'gather_tile', shape,
    args: [`(to + ${piece.name})`, cell.at, cell.rowStride, name, cell.cols, 't'],
  });
  if (isAlong) team.add(ask(`(first + ${STEP})`, `rows_end - first - ${STEP}`));
}
