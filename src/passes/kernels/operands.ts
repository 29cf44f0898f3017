import { isRows } from '../../ir/tile/domain.js';
import { buffersRead } from '../../ir/tile/buffers.js';
import { operandsOf } from '../../ir/tile/facts.js';
import type { TileBuffer, TileId, TileKernel, TileModule, TileOp, TileStmt } from '../../ir/tile/tile.js';

type Buffers = ReadonlyMap<string, TileBuffer>;

/**
 * A module in which rows that nothing but products with matrices read have the bits of these: the products round their operands anyway, and
 * what is read as it lies in memory needs no threads that bring it. Gradients of scores are such.
 */
export function withNarrowOperands(module: TileModule): TileModule {
  const buffers: Buffers = new Map(module.buffers.map((buffer) => [buffer.name, buffer]));
  const reads = module.kernels.flatMap((kernel) => readsIn(kernel, buffers));
  const isNarrow = (buffer: TileBuffer): boolean => {
    if (buffer.role !== 'workspace' || buffer.dtype !== 'f32' || !isRows(buffer)) return false;
    const own = reads.filter((read) => read.buffer === buffer.name);
    return own.length > 0 && own.every(({ multiplied }) => multiplied);
  };
  return { ...module, buffers: module.buffers.map((buffer) => (isNarrow(buffer) ? { ...buffer, dtype: 'io' } : buffer)) };
}

/** What a kernel reads, and whether that is an operand of products with matrices and nothing else. */
function readsIn({ body }: TileKernel, buffers: Buffers): readonly { readonly buffer: string; readonly multiplied: boolean }[] {
  const made = new Map<TileId, TileOp>();
  const others = new Set<TileId>();
  const visit = (stmts: readonly TileStmt[]): void => {
    for (const stmt of stmts) {
      if (stmt.kind === 'let') made.set(stmt.tile, stmt.op);
      else if (stmt.kind === 'store') others.add(stmt.value);
      else {
        for (const { init, next } of stmt.carry) others.add(init).add(next);
        visit(stmt.body);
      }
    }
  };
  visit(body);
  const ops = [...made];
  const loaded = (tile: TileId): string | undefined => {
    const op = made.get(tile);
    return op?.op === 'keep' ? loaded(op.arg) : op?.op === 'load' || op?.op === 'gather' ? op.buffer : undefined;
  };
  const isMatrix = (tile: TileId): boolean => buffers.get(loaded(tile) ?? '')?.dtype === 'io';
  const multiplied = (tile: TileId): boolean => !others.has(tile) && ops.every(([user, op]) => {
    const operands = operandsOf(op);
    if (!operands.includes(tile)) return true;
    return op.op === 'keep' ? multiplied(user) : op.op === 'contract' && operands.some((one) => one !== tile && isMatrix(one));
  });
  return ops.flatMap(([tile, op]) => buffersRead(op).map((buffer) => (
    { buffer, multiplied: op.op === 'load' && op.buffer === buffer && multiplied(tile) }
  )));
}
