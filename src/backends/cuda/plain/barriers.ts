import type { TileId } from '../../../ir/tile/tile.js';
import { leavesOf, type Homes } from './homes.js';
import type { Storage } from './storage.js';

/** Puts barriers where threads meet in memory, and nowhere else. Tiles stand for what their expressions read. */
export interface Barriers {
  /** Before a statement: waits for what it reads and for readers of what it writes. */
  before(sources: readonly TileId[], writes: readonly TileId[]): void;
  /** After it: notes both. */
  access(sources: readonly TileId[], writes: readonly TileId[]): void;
  /** Before a statement that only reads, notes included. */
  reads(sources: readonly TileId[]): void;
  /** Before the stage is written. */
  stage(): void;
  /** After a statement that reads the stage last. */
  stageRead(): void;
  /** Before a store to a buffer. */
  buffer(name: string): void;
  /** A barrier if anything is open: around loops, whose iterations follow each other. */
  flush(): void;
  /** A barrier. */
  force(): void;
}

interface Stretch {
  readonly space: 'shared' | 'global' | 'stage';
  readonly from: number;
  readonly to: number;
}

export function createBarriers(homes: Homes, storage: Storage, stagingFloats: number, emit: () => void): Barriers {
  let read: Stretch[] = [];
  let written: Stretch[] = [];
  let stores = false;
  const meets = (
    a: readonly Stretch[], b: readonly Stretch[],
  ) => a.some((x) => b.some((y) => x.space === y.space && x.from < y.to && y.from < x.to));
  const stretch = (tile: TileId): Stretch[] => {
    const home = storage.arrays.get(tile);
    return home === undefined ? [] : [{ space: home.space, from: home.offset, to: home.offset + home.floats }];
  };
  const leaves = (tiles: readonly TileId[]) => tiles.flatMap((tile) => leavesOf(homes, tile).flatMap((leaf) => stretch(leaf.tile)));
  const stage: Stretch = { space: 'stage', from: 0, to: Math.max(1, stagingFloats) };
  const force = () => {
    emit();
    read = [];
    written = [];
    stores = false;
  };
  const before = (reads: readonly Stretch[], writes: readonly Stretch[]) => {
    if (meets(reads, written) || meets(writes, read) || meets(writes, written)) force();
  };
  const barriers: Barriers = {
    before: (sources, writes) => before(leaves(sources), writes.flatMap(stretch)),
    access(sources, writes) {
      read.push(...leaves(sources));
      written.push(...writes.flatMap(stretch));
    },
    reads(sources) {
      before(leaves(sources), []);
      read.push(...leaves(sources));
    },
    stage: () => before([], [stage]),
    stageRead: () => void read.push(stage),
    buffer: () => void (stores = true),
    flush() {
      if (read.length > 0 || written.length > 0 || stores) force();
    },
    force,
  };
  return barriers;
}
