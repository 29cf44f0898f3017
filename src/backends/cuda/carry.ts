import type { TileLoop } from '../../ir/tile/tile.js';

/** Orders the copies at the end of an iteration so that none reads a tile already overwritten. */
export function copiesInOrder(loop: TileLoop): readonly { readonly tile: number; readonly next: number }[] {
  const left = loop.carry.filter(({ tile, next }) => tile !== next);
  const done: { tile: number; next: number }[] = [];
  while (left.length > 0) {
    const ready = left.findIndex((copy) => !left.some((other) => other !== copy && other.next === copy.tile));
    if (ready < 0) throw new Error('carried tiles exchange their values: give one of them a tile of its own');
    done.push(...left.splice(ready, 1));
  }
  return done;
}
