import type { TileId, TileKernel, TileStmt } from '../../../ir/tile/tile.js';
import { tilesReadBy } from '../uses.js';

/**
 * The kernel with what is made of matrices element by element made where it is first read, if these are there until then anyway: in shared
 * memory, or in registers for somebody later. It takes registers in between, and what it is made of takes no more of them.
 */
export function sunk(kernel: TileKernel): TileKernel {
  const { tiles, body } = kernel;
  if (body.some((stmt) => stmt.kind === 'loop')) return kernel;
  const isMatrix = (tile: TileId) => tiles[tile].axes.length > 1;
  const loaded = new Set(body.flatMap((stmt) => (stmt.kind === 'let' && stmt.op.op === 'load' ? [stmt.tile] : [])));
  // From the end on: what comes later has its place already.
  const placed: TileStmt[] = [];
  for (const stmt of [...body].reverse()) {
    const place = (): number => {
      if (stmt.kind !== 'let' || stmt.op.op !== 'map' || !isMatrix(stmt.tile)) return placed.length;
      const first = placed.findLastIndex((later) => tilesReadBy(later).includes(stmt.tile));
      const stays = (tile: TileId) => !isMatrix(tile) || loaded.has(tile)
        || placed.slice(0, first + 1).some((later) => tilesReadBy(later).includes(tile));
      return first >= 0 && stmt.op.args.every(stays) ? first + 1 : placed.length;
    };
    placed.splice(place(), 0, stmt);
  }
  return { ...kernel, body: placed.reverse() };
}
