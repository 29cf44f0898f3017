import { storedBuffers } from '../../../ir/tile/buffers.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLet, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { usesOf } from '../uses.js';

/** What threads meet for before its result is read. */
const isMet = (op: TileOp) => op.op === 'reduce' || op.op === 'cumsum';

/**
 * The kernel with the vectors and numbers first that it makes of vectors and numbers in memory, or of sums over matrices there, and that
 * matrices are multiplied by, or that running sums are made of: threads wait for matrices then, and meet when these come, so that meeting
 * for vectors costs nothing, and they meet once for all sums. What is only stored stays where it is, since registers would hold it for all
 * that time.
 */
export function numbersFirst(kernel: TileKernel): TileKernel {
  const { tiles, body } = kernel;
  if (body.some((stmt) => stmt.kind === 'loop')) return kernel;
  const isMatrix = (tile: TileId) => tiles[tile].axes.length > 1;
  const { counts } = usesOf(kernel);
  const stored = new Set(storedBuffers(body));
  const ready = new Map<TileId, TileLet>();
  /** Is a matrix there, or made for a sum alone? */
  const passes = ({ tile, op }: TileLet) => op.op === 'load' || (op.op === 'map' && counts.get(tile) === 1);
  for (const stmt of body) {
    if (stmt.kind !== 'let' || (stmt.op.op === 'load' && stored.has(stmt.op.buffer))) continue;
    if (isMatrix(stmt.tile) && !passes(stmt)) continue;
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
  const turns = new Map<TileId, number>();
  for (const { tile, op } of ready.values()) {
    turns.set(tile, Math.max(0, ...operandsOf(op).map((arg) => {
      const made = ready.get(arg);
      return (turns.get(arg) ?? 0) + (made !== undefined && isMet(made.op) ? 1 : 0);
    })));
  }
  const ofMatrices = new Set<TileId>();
  for (const { tile, op } of ready.values()) if (isMatrix(tile) || operandsOf(op).some((arg) => ofMatrices.has(arg))) ofMatrices.add(tile);
  // What reads matrices waits for them: whatever does not comes before it.
  const placeOf = (stmt: TileStmt) => (
    stmt.kind === 'let' ? 2 * (turns.get(stmt.tile) ?? 0) + (ofMatrices.has(stmt.tile) ? 1 : 0) : 0
  );
  const ahead = body.filter((stmt) => first.has(stmt)).sort((a, b) => placeOf(a) - placeOf(b));
  return { ...kernel, body: [...ahead, ...body.filter((stmt) => !first.has(stmt))] };
}
