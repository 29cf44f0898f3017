import type { Axis as FlowAxis } from '../../ir/graph/types.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import { names } from './memory.js';

/** Of whole numbers: 1 where they are the same, else 0. */
export function same(k: KernelBuilder, x: TileId, y: TileId): TileId {
  return k.map('max', k.literal(0), k.sub(k.literal(1), k.map('abs', k.sub(x, y))));
}

/** The number of an element of several axes, row by row. */
export function numberOf(k: KernelBuilder, axes: readonly FlowAxis[]): TileId {
  const [first, ...rest] = axes;
  if (first === undefined) return k.literal(0);
  const own = names([first]).map((axis) => k.index(axis))[0];
  const step = rest.reduce((n, { size }) => n * size, 1);
  return rest.length === 0 ? own : k.add(k.mul(own, k.literal(step)), numberOf(k, rest));
}

/** The same from 1. */
export const elementOf = (k: KernelBuilder, axes: readonly FlowAxis[]): TileId => k.add(numberOf(k, axes), k.literal(1));
