import { COL, ROW, type Axis } from '../../ir/common/axes.js';
import { hasRole, operandsOf } from '../../ir/tile/facts.js';
import type { Surroundings, TileId, TileKernel, TileOp, TileStmt } from '../../ir/tile/tile.js';

/** Bytes that a tile takes from the first statement to the last that needs them. */
interface Lease {
  readonly bytes: number;
  first: number;
  last: number;
}

const padded = (size: number) => Math.ceil(size / 64) * 64;

/**
 * Shared memory that the tiles of a chunk kernel without loops take where most of them live, in bytes, on a machine whose matrix products
 * read their operands there in 16 bits: tensors from the first statement that reads them to the last, results while later products read
 * them, what runs or moves along the tokens in f32 (rows a little longer, for the banks). What is only counted element by element lives in
 * registers.
 */
export function liveBytes(kernel: TileKernel, { sizeOf, bufferOf }: Surroundings): number {
  const defs = new Map<TileId, TileOp>();
  for (const stmt of kernel.body) if (stmt.kind === 'let') defs.set(stmt.tile, stmt.op);
  const valueOf = (tile: TileId): TileId => {
    const op = defs.get(tile);
    return op?.op === 'swap' ? valueOf(op.arg) : tile;
  };
  const axesOf = (tile: TileId) => kernel.tiles[tile].axes;
  const isMatrix = (tile: TileId) => axesOf(tile).length === 2;
  const narrow = (axes: readonly Axis[]) => axes.reduce((bytes, axis) => bytes * padded(sizeOf(axis)), 2);
  const wide = (axes: readonly Axis[]) => {
    const columns = axes.find((axis) => axis !== ROW) ?? COL;
    return 4 * sizeOf(ROW) * (padded(sizeOf(columns)) + 8);
  };
  const leases = new Map<string, Lease>();
  const hold = (kind: string, tile: TileId, bytes: number, at: number): void => {
    const key = `${kind}${valueOf(tile)}`;
    const lease = leases.get(key) ?? { bytes, first: at, last: at };
    leases.set(key, { ...lease, last: at });
  };
  const isNarrow = (tile: TileId): boolean => {
    const op = defs.get(valueOf(tile));
    return op?.op === 'load' && bufferOf(op.buffer).dtype === 'io';
  };
  /** `tile` as an operand of a product. */
  const operand = (tile: TileId, at: number) => {
    if (isMatrix(tile)) hold('narrow', tile, narrow(axesOf(tile)), at);
  };
  /** `tile` element by element: a tensor has to be there, a result is. */
  const element = (tile: TileId, at: number) => {
    const op = defs.get(valueOf(tile));
    if (!isMatrix(tile)) return;
    if (isNarrow(tile)) operand(tile, at);
    else if (op?.op === 'load' || op?.op === 'cumsum') hold('wide', summed(valueOf(tile)), wide(axesOf(tile)), at);
  };
  /** The running sums of a tensor take its place. */
  const summed = (tile: TileId): TileId => {
    const op = defs.get(tile);
    return op?.op === 'cumsum' ? summed(valueOf(op.arg)) : tile;
  };
  const visit = (stmt: TileStmt, at: number): void => {
    if (stmt.kind === 'loop') return;
    if (stmt.kind === 'store') {
      element(stmt.value, at);
      if (isMatrix(stmt.value) && bufferOf(stmt.buffer).dtype === 'io') operand(stmt.value, at);
      return;
    }
    const { op, tile } = stmt;
    if (hasRole(op, 'free', 'load') || op.op === 'swap') return;
    switch (op.op) {
      case 'contract':
        // What gives a vector is summed up element by element.
        for (const arg of [op.a, op.b]) if (isMatrix(tile) || !axesOf(arg).some((axis) => axis === ROW || axis === COL)) operand(arg, at);
          else element(arg, at);
        return;
      case 'dscore': case 'dscoreRow': case 'dscoreCol': {
        const [a, b] = operandsOf(op);
        operand(a, at);
        operand(b, at);
        hold('wide', summed(valueOf(op.g)), wide(axesOf(op.g)), at);
        hold('scratch', tile, 2 * sizeOf(ROW) * padded(sizeOf(op.axis)), at);
        return;
      }
      case 'cumsum': case 'shift':
        if (isMatrix(op.arg)) hold('wide', summed(valueOf(op.arg)), wide(axesOf(op.arg)), at);
        return;
      case 'inverse': case 'compose': case 'dgate':
        for (const arg of [...operandsOf(op), tile]) hold('wide', arg, wide(axesOf(arg)), at);
        return;
      default:
        for (const arg of operandsOf(op)) element(arg, at);
    }
  };
  kernel.body.forEach(visit);
  const live = kernel.body.map((_, at) => [...leases.values()].reduce(
    (sum, lease) => (lease.first <= at && at <= lease.last ? sum + lease.bytes : sum), 0,
  ));
  return Math.max(0, ...live);
}

/** Kernels whose tiles take no more than so many bytes. */
export function within(bytes: number): (kernel: TileKernel, around: Surroundings) => boolean {
  return (kernel, around) => liveBytes(kernel, around) <= bytes;
}
