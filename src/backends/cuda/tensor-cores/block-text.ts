import { ROW, type Axis } from '../../../ir/common/axes.js';
import { isRows } from '../../../ir/tile/domain.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileStmt } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { bufferNamed, type Place } from '../address.js';
import type { CudaContext } from '../lowered.js';
import { chunkPlace } from '../prologue.js';
import { isAlongRows, type BlockParts } from './block-parts.js';
import { BLOCK_ROWS } from './blocks-text.js';
import { STEP } from './forms.js';
import { letText } from './kernel.js';
import { cellOf, copyCell, loadCell, loadNow, storeCell, type Cell } from './memory.js';
import type { Team } from './team.js';

/** What a block does before and after its steps. */
export function straightText(
  cx: CudaContext, team: Team, body: readonly TileStmt[], { place, split }: { readonly place: Place; readonly split: Axis },
): void {
  let read: readonly TileId[] = [];
  for (const stmt of team.draft.untilRefused(body)) {
    for (const tile of read) team.letGo(tile);
    read = stmt.kind === 'let' ? operandsOf(stmt.op) : [];
    if (stmt.kind === 'let' && stmt.op.op === 'load') {
      const cell = loadCell(cx, stmt.op, place, split);
      if (cell.copied === 'tile') copyCell(team, stmt.tile, cell);
      else loadNow(team, stmt.tile, cell);
    } else if (stmt.kind === 'let') letText(team, stmt, place, new Map());
    else if (stmt.kind === 'store') {
      const buffer = bufferNamed(cx.module, stmt.buffer);
      storeCell(team, stmt.value, cellOf(cx, { buffer }, isRows(buffer) ? ROW : undefined, place, split), undefined);
    }
  }
}

/** Where a block works: in a step of rows, or in the rows of a chunk. */
export function blockPlace({ kernel, rows }: BlockParts): Place {
  const place = chunkPlace(kernel);
  if (!isAlongRows(kernel)) return { ...place, length: BLOCK_ROWS };
  return { ...place, segment: kernel.domain.segment, parts: new Map([[rows, { from: 'u0', here: 'u_here' }]]) };
}

/** What step `n` sees of a cell. Where steps are of rows, its place says so. */
export function stepOf(cx: CudaContext, cell: Cell, axis: Axis): Cell {
  if (axis === ROW) return cell;
  const left = `${axisSize(cx.module, axis)} - n * ${STEP}`;
  const [first, second] = cell.axes;
  const [x, y, z] = cell.origin;
  if (cell.axes.length === 1) return { ...cell, at: `${cell.at} + n * ${STEP}`, rows: left };
  return first === axis
    ? { ...cell, at: `${cell.at} + (i64)n * ${STEP} * ${cell.rowStride}`, rows: left, origin: [x, `n * ${STEP}`, z] }
    : second === axis ? { ...cell, at: `${cell.at} + n * ${STEP}`, cols: left, origin: [`n * ${STEP}`, y, z] } : cell;
}
