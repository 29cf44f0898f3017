import type { Axis } from '../../../ir/common/axes.js';
import { isRows } from '../../../ir/tile/domain.js';
import type { TileId } from '../../../ir/tile/tile.js';
import { bufferNamed, outerStride, type Place } from '../address.js';
import type { Instruction } from '../instructions/instruction.js';
import type { Piece } from '../instructions/pieces.js';
import { cellPointer, tensorMap, type CudaContext } from '../lowered.js';
import { BLOCK_ROWS } from './blocks-text.js';
import { STEP } from './forms.js';
import type { Gather } from './gathered.js';
import { tileToCome, type Cell } from './memory.js';
import type { Team } from './team.js';

/** A copy that the engine makes. */
export function mappedCopy(
  team: Team, piece: Piece, { axes, buffer, origin: [x, y, z] }: Cell, { when, isOwn, narrowed }: {
    readonly when: string; readonly isOwn: boolean;
    /** The axis of which a narrow block has less. */
    readonly narrowed: Axis | undefined;
  },
): Instruction {
  const [rows, cols] = axes.map(team.pad);
  const most = axes.map((axis, i) => (axis === narrowed ? 'v_wide' : [rows, cols][i]));
  return {
    kind: 'copy', piece, group: false, when, fn: isRows(buffer) ? 'pipe_rows' : 'pipe_matrix', shape: [rows, cols / 64],
    args: [
      `to + ${piece.name}`, tensorMap(buffer.name), x,
      ...(isRows(buffer) ? [z, isOwn ? BLOCK_ROWS : rows] : [y, z, ...most]), 'bar',
    ],
  };
}

/** One that the threads make. */
export function ownCopy(team: Team, piece: Piece, { axes, at, rowStride, rows, cols }: Cell, when: string | undefined): Instruction {
  const [high, wide] = axes.map(team.pad);
  return {
    kind: 'copy', piece, group: false, ...(when !== undefined && { when }), fn: 'pipe_load', shape: [high, wide / 64, team.copiers],
    args: [`to + ${piece.name}`, at, rowStride, rows, cols, 't'],
  };
}

/** Gathered rows of a step: what asks which they are, for the first step that knows, and what copies them. */
export function gatherCopies(
  cx: CudaContext, team: Team, { tile, op, cell, place, isAlong }: {
    readonly tile: TileId; readonly op: Gather; readonly cell: Cell; readonly place: Place; readonly isAlong: boolean;
  },
): { readonly first: Instruction; readonly copy: Instruction } {
  const index = bufferNamed(cx.module, op.index);
  const piece = tileToCome(team, tile, cell, true);
  const name = team.fresh(`rows${tile}`);
  const [rows, cols] = cell.axes.map(team.pad);
  const shape = [rows, cols / 64];
  const at = (row: string | undefined) => [
    cellPointer(cx.module, { buffer: index }, { ...place, first: row }), outerStride(cx.module, index),
  ];
  const [from, count] = isAlong ? ['rows_first', 'rows_end - rows_first'] : [place.first, cell.rows];
  const copied = [`to + ${piece.name}`, cell.at, cell.rowStride, name, cell.cols];
  return {
    first: { kind: 'call', fn: 'pipe_ask', shape, args: [name, ...at(from), count, 't'], declares: [`int ${name};`] },
    copy: {
      kind: 'copy', piece, group: false, shape,
      ...(isAlong
        ? { fn: 'pipe_gather_on', args: [...copied, ...at(`(first + ${STEP})`), `rows_end - first - ${STEP}`, 't'] }
        : { fn: 'pipe_gather', args: [...copied, cell.rows, 't'] }),
    },
  };
}
