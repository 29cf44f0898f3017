import { ROW } from '../../../ir/common/axes.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLet, TileOp, TileStmt } from '../../../ir/tile/tile.js';

type Sum = TileLet & { readonly op: Extract<TileOp, { op: 'reduce' }> };

/** The statements of a kernel over chunks whose tokens meet in sums alone: a few rows at a time are enough for it. */
export interface Turns {
  /** What is the same at every token. */
  readonly before: readonly TileStmt[];
  readonly rows: readonly TileStmt[];
  /** Sums over the tokens. */
  readonly sums: readonly Sum[];
  /** What is made of those. */
  readonly after: readonly TileStmt[];
}

/** `undefined`: no kernel of that kind. */
export function turnsOf(kernel: TileKernel): Turns | undefined {
  const known = new Map<TileId, keyof Turns>();
  const found = { before: [] as TileStmt[], rows: [] as TileStmt[], sums: [] as Sum[], after: [] as TileStmt[] };
  const hasRows = (tile: TileId) => kernel.tiles[tile].axes.includes(ROW);
  for (const stmt of kernel.body) {
    if (stmt.kind === 'loop' || kernel.outer !== 'chunk') return undefined;
    if (stmt.kind === 'store') {
      const part = known.get(stmt.value);
      found[part === 'rows' || part === 'before' ? 'rows' : 'after'].push(stmt);
      continue;
    }
    const { op, tile } = stmt;
    if (op.op === 'recur' || op.op === 'shift' || op.op === 'pick' || op.op === 'cumsum') return undefined;
    const parts = operandsOf(op).map((arg) => known.get(arg));
    const late = parts.includes('sums') || parts.includes('after');
    if (op.op === 'reduce' && op.axis === ROW) {
      if (op.reduce !== 'sum' || late) return undefined;
      found.sums.push({ ...stmt, op });
      known.set(tile, 'sums');
      continue;
    }
    if (late && (hasRows(tile) || parts.includes('rows'))) return undefined;
    if (op.op === 'contract' && op.axis === ROW) return undefined;
    const part = hasRows(tile) || parts.includes('rows') ? 'rows' : late ? 'after' : 'before';
    found[part].push(stmt);
    known.set(tile, part);
  }
  return found.sums.length === 0 ? undefined : found;
}
