import { ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileKernel } from '../../../ir/tile/tile.js';
import { eachStatement } from '../uses.js';
import { productAxes, type Product } from './homes.js';
import { orient, shapeOf, stagingFloats } from './product.js';
import { pitchOf } from './storage.js';

/** Floats of the stages that the kernel's statements need, one after the other. */
export function stagingOf(kernel: TileKernel, size: (axis: Axis) => number): number {
  let floats = 0;
  eachStatement(kernel.body, (stmt) => {
    if (stmt.kind !== 'let') return;
    const { op } = stmt;
    if (op.op === 'contract' || op.op === 'compose') floats = Math.max(floats, productStaging(kernel, op, size));
    // Counters.
    if (op.op === 'nth') floats = Math.max(floats, 256);
    const marks = op.op === 'tally' ? 1 : op.op === 'queue' ? Math.ceil(size(ROW) / 32) : 0;
    if (op.op === 'tally' || op.op === 'queue') floats = Math.max(floats, op.axes.reduce((n, axis) => n * size(axis), marks));
    if (op.op === 'inverse') floats = Math.max(floats, (size(ROW) * size(ROW)) / 4);
    if (op.op === 'dscore' || op.op === 'dscoreRow' || op.op === 'dscoreCol') floats = Math.max(
      floats, size(ROW) * pitchOf([ROW, op.axis], size),
    );
  });
  return floats;
}

/** Of either orientation, alone or beside another: the target decides later. */
function productStaging(kernel: TileKernel, op: Product, size: (axis: Axis) => number): number {
  if (productAxes(kernel, op) === undefined) return 0;
  const { m, n, ka } = orient(kernel, op, []);
  const [M, N, K] = [size(m), size(n), size(ka)];
  return Math.max(...[1, 2].flatMap((count) => [stagingFloats(shapeOf(M, N, K, count)), stagingFloats(shapeOf(N, M, K, count))]));
}
