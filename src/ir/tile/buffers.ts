import type { TileKernel, TileOp, TileStmt } from './tile.js';

/** Buffers that a list of statements stores to, inner loops included. */
export function storedBuffers(body: readonly TileStmt[]): readonly string[] {
  return [...new Set(body.flatMap((stmt) => (
    stmt.kind === 'store' ? [stmt.buffer] : stmt.kind === 'loop' ? storedBuffers(stmt.body) : []
  )))];
}

/** Buffers that a list of statements loads from, inner loops included. */
export function loadedBuffers(body: readonly TileStmt[]): readonly string[] {
  return [...new Set(body.flatMap((stmt) => (
    stmt.kind === 'let' ? buffersRead(stmt.op) : stmt.kind === 'loop' ? loadedBuffers(stmt.body) : stmt.by === undefined ? [] : [stmt.by]
  )))];
}

/** Buffers of which an operation reads cells. */
export function buffersRead(op: TileOp): readonly string[] {
  switch (op.op) {
    case 'load': return op.whole === undefined ? [op.buffer] : [op.buffer, op.whole];
    case 'gather': return [op.buffer, op.index];
    case 'nth': return [op.buffer];
    default: return [];
  }
}

/** The same kernel on other buffers. */
export function withBuffers(kernel: TileKernel, rename: (buffer: string) => string): TileKernel {
  const elsewhere = (op: TileOp): TileOp => {
    switch (op.op) {
      case 'load': return { ...op, buffer: rename(op.buffer), ...(op.whole !== undefined && { whole: rename(op.whole) }) };
      case 'gather': return { ...op, buffer: rename(op.buffer), index: rename(op.index) };
      case 'nth': return { ...op, buffer: rename(op.buffer) };
      default: return op;
    }
  };
  const body = (stmts: readonly TileStmt[]): TileStmt[] => stmts.map((stmt) => {
    switch (stmt.kind) {
      case 'let': return { ...stmt, op: elsewhere(stmt.op) };
      case 'store': return { ...stmt, buffer: rename(stmt.buffer), ...(stmt.by !== undefined && { by: rename(stmt.by) }) };
      case 'loop': return { ...stmt, body: body(stmt.body) };
    }
  });
  return { ...kernel, body: body(kernel.body) };
}
