import type { TileId, TileKernel, TileOp, TileStmt, TileType } from '../../../ir/tile/tile.js';
import { math } from '../../../math/index.js';

/** Statements without a reader after which a matrix is better made, or read from shared memory, again than kept in registers. */
export const PATIENCE = 6;
/** Operations per element that making a matrix again may take. */
const CHEAP = 4;

/** Statements that read matrices element by element; others read operands of 16 bits in shared memory. */
function elementArguments(op: TileOp): readonly TileId[] {
  switch (op.op) {
    case 'map': return op.args;
    case 'keep': case 'round': case 'reduce': case 'mask': return [op.arg];
    default: return [];
  }
}

function withArguments(op: TileOp, of: (tile: TileId) => TileId): TileOp {
  switch (op.op) {
    case 'map': return { ...op, args: op.args.map(of) };
    case 'keep': case 'round': case 'reduce': case 'mask': return { ...op, arg: of(op.arg) };
    default: return op;
  }
}

/**
 * The kernel with matrices made again that take little (a tensor times vectors and numbers) and that nobody has read for a while:
 * registers for them would be taken from what lies between. `inShared`: does the tensor that a load brings stay in shared memory?
 */
export function madeAgain(kernel: TileKernel, inShared: (buffer: string) => boolean): TileKernel {
  if (kernel.body.some((stmt) => stmt.kind === 'loop')) return kernel;
  const tiles: TileType[] = [...kernel.tiles];
  const defs = new Map<TileId, TileOp>();
  const body: TileStmt[] = [];
  const isMatrix = (tile: TileId) => tiles[tile].axes.length === 2;
  /** Operations per element; Infinity for what is not cheap. */
  const costs = new Map<TileId, number>();
  const costOf = (tile: TileId): number => {
    const found = costs.get(tile);
    if (found !== undefined) return found;
    const op = defs.get(tile);
    const own = op?.op === 'keep' || (op?.op === 'map' && math[op.fn].cost === 'simple') ? 1 : Infinity;
    const made = op?.op === 'load' ? (inShared(op.buffer) ? 0 : Infinity)
      : op === undefined || own === Infinity ? Infinity
        : elementArguments(op).filter(isMatrix).reduce((sum, arg) => sum + costOf(arg), own);
    costs.set(tile, made);
    return made;
  };
  const remake = (tile: TileId): TileId => {
    const op = defs.get(tile);
    if (op === undefined || op.op === 'load' || !isMatrix(tile)) return tile;
    const again = withArguments(op, remake);
    const made = tiles.push(tiles[tile]) - 1;
    body.push({ kind: 'let', tile: made, op: again });
    return made;
  };
  const current = new Map<TileId, TileId>();
  const touched = new Map<TileId, number>();
  kernel.body.forEach((stmt, at) => {
    const of = (tile: TileId): TileId => {
      const cost = isMatrix(tile) ? costOf(tile) : 0;
      if (cost === 0 || cost > CHEAP) return tile;
      if (at - (touched.get(tile) ?? at) > PATIENCE) current.set(tile, remake(tile));
      touched.set(tile, at);
      return current.get(tile) ?? tile;
    };
    if (stmt.kind === 'loop') return;
    if (stmt.kind === 'store') {
      body.push(stmt);
      return;
    }
    const op = withArguments(stmt.op, of);
    defs.set(stmt.tile, stmt.op);
    touched.set(stmt.tile, at);
    body.push({ ...stmt, op });
  });
  return { ...kernel, tiles, body };
}
