import { storedBuffers } from '../../../ir/tile/buffers.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileStmt } from '../../../ir/tile/tile.js';

type Let = Extract<TileStmt, { kind: 'let' }>;

/**
 * The kernel with the vectors and numbers first that it makes of vectors and numbers in memory and that matrices are multiplied by, or that
 * running sums are made of: threads wait for matrices then, and meet when these come, so that meeting for vectors costs nothing. What is
 * only stored stays where it is, since registers would hold it for all that time.
 */
export function numbersFirst(kernel: TileKernel): TileKernel {
  const { tiles, body } = kernel;
  if (body.some((stmt) => stmt.kind === 'loop')) return kernel;
  const isMatrix = (tile: TileId) => tiles[tile].axes.length > 1;
  const stored = new Set(storedBuffers(body));
  const ready = new Map<TileId, Let>();
  for (const stmt of body) {
    if (stmt.kind !== 'let' || isMatrix(stmt.tile) || (stmt.op.op === 'load' && stored.has(stmt.op.buffer))) continue;
    if (operandsOf(stmt.op).every((tile) => ready.has(tile))) ready.set(stmt.tile, stmt);
  }
  const first = new Set<TileStmt>();
  const bring = (tile: TileId): void => {
    const stmt = ready.get(tile);
    if (stmt === undefined || first.has(stmt)) return;
    first.add(stmt);
    operandsOf(stmt.op).forEach(bring);
  };
  for (const stmt of body) {
    if (stmt.kind === 'let' && isMatrix(stmt.tile)) operandsOf(stmt.op).filter((tile) => tiles[tile].axes.length === 1).forEach(bring);
  }
  return { ...kernel, body: [...body.filter((stmt) => first.has(stmt)), ...body.filter((stmt) => !first.has(stmt))] };
}
