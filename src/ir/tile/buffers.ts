import type { TileStmt } from './tile.js';

/** Buffers that a list of statements stores to, inner loops included. */
export function storedBuffers(body: readonly TileStmt[]): readonly string[] {
  return [...new Set(body.flatMap((stmt) => (stmt.kind === 'store' ? [stmt.buffer] : stmt.kind === 'loop' ? storedBuffers(stmt.body) : [])))];
}

/** Buffers that a list of statements loads from, inner loops included. */
export function loadedBuffers(body: readonly TileStmt[]): readonly string[] {
  return [...new Set(body.flatMap((stmt) => (stmt.kind === 'let' && stmt.op.op === 'load' ? [stmt.op.buffer] : stmt.kind === 'loop' ? loadedBuffers(stmt.body) : [])))];
}
