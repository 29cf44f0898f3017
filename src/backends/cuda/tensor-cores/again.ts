import type { TileId, TileKernel, TileOp, TileStmt, TileType } from '../../../ir/tile/tile.js';
import { storedBuffers } from '../../../ir/tile/buffers.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import { math } from '../../../math/index.js';
import type { Cost } from '../../../math/math.js';

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

/** Statements without a reader after which what is made of a tensor of f32 is better made of another copy of it. */
const FORGOTTEN = 24;
/** Operations per element that this may take. */
const BEARABLE = 24;
const WEIGHTS: Readonly<Record<Cost, number>> = { simple: 1, root: 3, series: 8 };

const isRunning = (op: TileOp) => op.op === 'cumsum' && op.decays && !op.exclusive;

/**
 * The kernel with what is made of tensors of f32 element by element made where it is read, and where that is long after it was read before,
 * made again of what is loaded again: neither takes room in between. `isWide`: does a load bring such a tensor?
 */
export function loadedAgain(kernel: TileKernel, isWide: (buffer: string) => boolean): TileKernel {
  if (kernel.body.some((stmt) => stmt.kind === 'loop')) return kernel;
  const tiles: TileType[] = [...kernel.tiles];
  const defs = new Map<TileId, TileOp>();
  const body: TileStmt[] = [];
  const isMatrix = (tile: TileId) => tiles[tile].axes.length === 2;
  const changed = new Set(storedBuffers(kernel.body));
  const costs = new Map<TileId, number>();
  const costOf = (tile: TileId): number => {
    const found = costs.get(tile) ?? ((op): number => {
      switch (op?.op) {
        case undefined: return Infinity;
        case 'load': return isWide(op.buffer) && !changed.has(op.buffer) ? 0 : Infinity;
        // Running sums of log decays stay in shared memory.
        case 'cumsum': return isRunning(op) ? 0 : Infinity;
        case 'keep': return 1 + costOf(op.arg);
        case 'map': return op.args.filter(isMatrix).reduce((sum, arg) => sum + costOf(arg), WEIGHTS[math[op.fn].cost]);
        default: return Infinity;
      }
    })(defs.get(tile));
    costs.set(tile, found);
    return found;
  };
  /** Made where it is read, and made again. */
  const isLight = (tile: TileId) => isMatrix(tile) && costOf(tile) <= BEARABLE && defs.get(tile)?.op !== 'cumsum';
  const current = new Map<TileId, TileId>();
  const touched = new Map<TileId, number>();
  kernel.body.forEach((stmt, at) => {
    /** The tile where it is read: made now, if it was not before or so long ago. */
    const of = (tile: TileId, anew = true): TileId => {
      const op = defs.get(tile);
      if (op === undefined || !isLight(tile)) return tile;
      const since = at - (touched.get(tile) ?? -Infinity);
      touched.set(tile, at);
      const known = current.get(tile);
      if (known !== undefined && (!anew || since <= FORGOTTEN)) return anew ? known : tile;
      const made = known === undefined ? tile : tiles.push(tiles[tile]) - 1;
      body.push({ kind: 'let', tile: made, op: withArguments(op, (arg) => of(arg)) });
      current.set(tile, made);
      return made;
    };
    if (stmt.kind !== 'let') {
      if (stmt.kind === 'store') of(stmt.value, false);
      body.push(stmt);
      return;
    }
    const { op, tile } = stmt;
    defs.set(tile, op);
    if (isLight(tile)) return;
    const elements = new Set(elementArguments(op));
    for (const arg of operandsOf(op)) if (!elements.has(arg)) of(arg, false);
    body.push({ ...stmt, op: withArguments(op, (arg) => of(arg)) });
  });
  return { ...kernel, tiles, body };
}
