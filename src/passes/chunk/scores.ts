import { COL } from '../../ir/common/axes.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import type { Decays } from './decay.js';
import type { Parts, ReadPart, Vector } from './parts.js';
import { scaled, times } from './tiles.js';
import type { Values } from './values.js';

/** The tensor of a vector, [ROW, K], 0 beyond the sequence. */
export function baseTile(k: KernelBuilder, values: Values, parts: Parts, vector: Vector): TileId {
  if (vector.base === undefined) return k.keep(k.add(k.zeros([parts.row]), k.literal(1)));
  return values.padded(vector.base);
}

/** The numbers in front of a vector, [ROW] or []; undefined for 1. */
export function coefficient(k: KernelBuilder, values: Values, vector: Vector): TileId | undefined {
  return times(k, vector.literal === 1 ? undefined : k.literal(vector.literal), ...vector.scalars.map((scalar) => values.finite(scalar)));
}

/** Which pairs of tokens a reader and a write have in common. */
export function pairsOf(read: ReadPart, source: number): { readonly before: boolean; readonly strict: boolean } {
  return { before: read.before, strict: read.before || !read.sees[source] };
}

/**
 * [ROW, COL] products of a reader's row vector and the column vector of source `j`, with the decays between them (docs/algorithms.md: the
 * chunk).
 */
export function scoreTile(k: KernelBuilder, parts: Parts, values: Values, decays: Decays, read: ReadPart, j: number): TileId {
  const source = parts.sources[j];
  const how = pairsOf(read, j);
  const [x, y] = [baseTile(k, values, parts, read.row), baseTile(k, values, parts, source.col)];
  const raw = parts.channels
    ? k.dscore(x, y, decays.log(), parts.row, how)
    : k.mask(k.contract(x, k.swap(y), parts.row), how.strict);
  return scaled(k, raw, decays.pairs(how.before), coefficient(k, values, read.row), turned(k, coefficient(k, values, source.col)));
}

/** A number per token as one along COL. */
export function turned(k: KernelBuilder, tile: TileId | undefined): TileId | undefined {
  return tile === undefined || k.axesOf(tile).length === 0 || k.axesOf(tile).includes(COL) ? tile : k.swap(tile);
}
