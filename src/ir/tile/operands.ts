import type { TileId, TileOp, TileStmt } from './tile.js';

/** Tiles an operation reads, in the order it names them. */
export function operandsOf(op: TileOp): readonly TileId[] {
  switch (op.op) {
    case 'load': case 'literal': case 'zeros': case 'head': case 'heads': return [];
    case 'map': return op.args;
    case 'reduce': case 'swap': case 'cumsum': case 'pick': case 'mask': case 'keep': case 'round': case 'inverse': case 'take': return [op.arg];
    case 'put': return [op.arg, op.of];
    case 'shift': return op.edge === undefined ? [op.arg] : [op.arg, op.edge];
    case 'contract': case 'compose': return [op.a, op.b];
    case 'dscore': return [op.x, op.y, op.g];
    case 'dscoreRow': return [op.a, op.y, op.g];
    case 'dscoreCol': return [op.a, op.x, op.g];
    case 'dgate': return [op.a, op.x, op.y, op.decay];
    case 'recur': return [op.decay, op.write, op.init];
  }
  op satisfies never;
}

/** Buffers that a list of statements stores to, inner loops included. */
export function storedBuffers(body: readonly TileStmt[]): readonly string[] {
  return [...new Set(body.flatMap((stmt) => (stmt.kind === 'store' ? [stmt.buffer] : stmt.kind === 'loop' ? storedBuffers(stmt.body) : [])))];
}

/** Buffers that a list of statements loads from, inner loops included. */
export function loadedBuffers(body: readonly TileStmt[]): readonly string[] {
  return [...new Set(body.flatMap((stmt) => (stmt.kind === 'let' && stmt.op.op === 'load' ? [stmt.op.buffer] : stmt.kind === 'loop' ? loadedBuffers(stmt.body) : [])))];
}
