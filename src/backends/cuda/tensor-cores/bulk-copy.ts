import { isRows } from '../../../ir/tile/domain.js';
import type { TileId } from '../../../ir/tile/tile.js';
import type { Action } from '../instructions/instruction.js';
import { tensorMap, type CudaContext } from '../lowered.js';
import { tileToCome, type Cell } from './memory.js';
import type { Team } from './team.js';

/** A copy of a 16-bit matrix that the copy engine makes (TMA; PTX ISA, cp.async.bulk.tensor): with C texts. */
export interface BulkCopy {
  readonly buffer: string;
  /** What one instruction moves, innermost axis first: 64 columns, which is one swizzled panel of a tile. */
  readonly box: readonly [number, number, number];
  readonly bytes: number;
  /** Asks for it, told the stage and the barrier that counts its bytes: one thread does. */
  ask(stage: string, barrier: string): Action;
  /** Has it brought as far as the L2 cache. */
  readonly prefetch: Action;
  /** Clears rows past the end of a sequence, which the engine knows nothing of: all threads do. */
  readonly clear: Action | undefined;
  /** In a run's first chunk: writes rows before it, which the engine does not find there. */
  readonly first?: Action;
}

/** A store of a 16-bit matrix from shared memory that the copy engine makes. */
export interface BulkStore {
  readonly buffer: string;
  readonly box: BulkCopy['box'];
  /** One thread asks for it, where all rows of the box are the sequence's; else all threads store. */
  readonly actions: readonly Action[];
}

/** What one copy moves: a panel of 64 columns. */
const boxOf = ({ buffer }: Cell, rows: number): BulkCopy['box'] => (isRows(buffer) ? [64, 1, rows] : [64, rows, 1]);

/** A store by the copy engine that takes the place of `store`; undefined: it cannot. `address`: of the tile. */
export function bulkStore(cx: CudaContext, team: Team, cell: Cell, address: string, store: Action): BulkStore | undefined {
  if (cx.target !== 'cuda.sm90' || !cell.half || !cell.even || cell.there !== undefined || store.kind !== 'call') return undefined;
  const [rows, cols] = cell.axes.map(team.pad);
  const token = isRows(cell.buffer);
  // The engine knows nothing of sequences that end within a chunk.
  const text = `tile_push<${rows}, ${cols / 64}>(${[tensorMap(cell.buffer.name), ...cell.origin, address].join(', ')});`;
  return {
    buffer: cell.buffer.name,
    box: boxOf(cell, rows),
    actions: token
      ? [{ kind: 'one', text, when: `${cell.rows} == ${rows}` }, { ...store, when: `${cell.rows} < ${rows}` }]
      : [{ kind: 'one', text }],
  };
}

export function bulkCopy(team: Team, tile: TileId, cell: Cell): BulkCopy {
  const piece = tileToCome(team, tile, cell, true);
  const [rows, cols] = cell.axes.map(team.pad);
  const shape = [rows, cols / 64];
  const token = isRows(cell.buffer);
  const from = [tensorMap(cell.buffer.name), ...cell.origin];
  return {
    buffer: cell.buffer.name,
    box: boxOf(cell, rows),
    bytes: rows * cols * 2,
    ask: (stage, barrier) => ({ kind: 'call', fn: 'tile_bulk', shape, args: [`${stage} + ${piece.name}`, ...from, barrier] }),
    prefetch: { kind: 'call', fn: 'tile_prefetch', shape: [cols / 64], args: from },
    clear: token
      ? {
        kind: 'call', fn: 'tile_clear', shape,
        args: [team.address(piece), cell.rows, 't', ...(cell.skip === undefined ? [] : [cell.skip])],
      }
      : undefined,
  };
}
