import { COL, ROW, type Axis } from '../../ir/common/axes.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';

/** Product of those that are there. */
export function times(k: KernelBuilder, ...factors: readonly (TileId | undefined)[]): TileId | undefined {
  return factors.reduce(
    (product, factor) => (product === undefined ? factor : factor === undefined ? product : k.mul(product, factor)), undefined,
  );
}

/** Product with a tile that is there. */
export function scaled(k: KernelBuilder, tile: TileId, ...factors: readonly (TileId | undefined)[]): TileId {
  const factor = times(k, ...factors);
  return factor === undefined ? tile : k.mul(factor, tile);
}

/** Sum of those that are there. */
export function plus(k: KernelBuilder, ...terms: readonly (TileId | undefined)[]): TileId | undefined {
  return terms.reduce((sum, term) => (sum === undefined ? term : term === undefined ? sum : k.add(sum, term)), undefined);
}

/** Transpose of a [ROW, COL] tile times rows: sum over the tokens r of a[r, row] * x[r, ...], as [ROW, ...]. */
export function transposed(k: KernelBuilder, a: TileId, x: TileId): TileId {
  return k.contract(k.swap(a), k.swap(x), COL);
}

/** A tile as a sum of what products see of it: with `fine`, of two parts that leave next to nothing out. */
export function inParts(k: KernelBuilder, tile: TileId, fine: boolean): readonly [TileId, ...TileId[]] {
  if (!fine) return [tile];
  const first = k.round(tile);
  return [first, k.sub(tile, first)];
}

/** sum over `axis` of a * b, or the plain product where there is no such axis. */
export function fold(k: KernelBuilder, a: TileId, b: TileId, axis: string | undefined): TileId {
  return axis === undefined ? k.mul(a, b) : k.contract(a, b, axis);
}

/** The same along axes that the tile lacks; zero if there is no tile. */
export function widened(k: KernelBuilder, tile: TileId | undefined, axes: readonly Axis[]): TileId {
  if (tile === undefined) return k.zeros(axes);
  const missing = axes.filter((axis) => !k.axesOf(tile).includes(axis));
  return missing.length === 0 ? tile : k.add(tile, k.zeros(missing));
}

/** One value per token of the chunk, 0 beyond the sequence, of a tile that may be the same at every token. */
export function perToken(k: KernelBuilder, tile: TileId): TileId {
  return k.axesOf(tile).includes(ROW) ? tile : k.keep(tile);
}

/** What must be there. */
export function sure<T>(tile: T | undefined): T {
  if (tile === undefined) throw new Error('something that must be there is not');
  return tile;
}
