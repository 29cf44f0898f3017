import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import { plus } from './tiles.js';

/**
 * Blocks of (I - A)^{-1} for the n erasing sources of a stage, A given by blocks [ROW, COL]: W_i = sum_j T_ij Y_j. Block elimination: with
 * the inverse of the leading blocks, the next one is inverse(A_nn + sum_i A_ni (sum_j T_ij A_jn)), whose argument is strictly lower again,
 * since one of A_ij and A_ji is. `fine`: with all digits that there are.
 */
export function solveBlocks(
  k: KernelBuilder, n: number, fine: boolean, block: (i: number, j: number) => TileId,
): readonly (readonly TileId[])[] {
  const product = (a: TileId, b: TileId) => k.compose(a, b, fine);
  const sum = (terms: readonly TileId[]): TileId => {
    const total = plus(k, ...terms);
    if (total === undefined) throw new Error('an empty sum');
    return total;
  };
  let solved: TileId[][] = [];
  for (let m = 0; m < n; m++) {
    const known = solved;
    const before = Array.from({ length: m }, (_, i) => i);
    const column = before.map((i) => sum(before.map((j) => product(known[i][j], block(j, m)))));
    const row = before.map((j) => sum(before.map((i) => product(block(m, i), known[i][j]))));
    const corner = k.inverse(before.reduce((a, i) => k.add(product(block(m, i), column[i]), a), block(m, m)), fine);
    const right = before.map((i) => product(column[i], corner));
    const below = before.map((j) => product(corner, row[j]));
    solved = [
      ...before.map((i) => [...before.map((j) => k.add(product(right[i], row[j]), known[i][j])), right[i]]),
      [...below, corner],
    ];
  }
  return solved;
}

