import { COL, ROW, type Axis } from '../../../ir/common/axes.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileStmt } from '../../../ir/tile/tile.js';
import { flat, type Arrays } from './element.js';
import { leavesOf, type Homes } from './homes.js';

/** An array of floats, row-major; rows are `pitch` long. */
export interface ArrayHome {
  readonly space: 'shared' | 'global';
  readonly offset: number;
  readonly floats: number;
  readonly axes: readonly Axis[];
  readonly pitch: number;
}

export interface Storage {
  readonly arrays: ReadonlyMap<TileId, ArrayHome>;
  /** Floats of shared memory that arrays take. */
  readonly sharedFloats: number;
  /** Floats of scratch in device memory, per block. */
  readonly globalFloats: number;
}

/** Rows of a multiple of 32 floats would all start in the same bank. */
export function pitchOf(axes: readonly Axis[], sizeOf: (axis: Axis) => number): number {
  const last = axes.length === 0 ? 1 : sizeOf(axes[axes.length - 1]);
  if (axes.length < 2) return last;
  return last % 32 === 0 ? last + 4 : Math.ceil(last / 4) * 4;
}

/** The arrays of a storage for those who write expressions. */
export function arraysIn({ name }: TileKernel, { arrays }: Storage, sizeOf: (axis: Axis) => number): Arrays {
  const homeOf = (tile: TileId) => {
    const home = arrays.get(tile);
    if (home === undefined) throw new Error(`${name}: tile ${tile} has no array`);
    return home;
  };
  return {
    inMemory: true,
    axes: (tile) => homeOf(tile).axes,
    number(tile, at) {
      const { axes, pitch } = homeOf(tile);
      return flat(axes, (axis) => (axis === axes[axes.length - 1] ? pitch : sizeOf(axis)), at);
    },
  };
}

/** Order of the axes of an array: tokens first. */
export function arrayAxes(axes: readonly Axis[]): readonly Axis[] {
  return [...[ROW, COL].filter((axis) => axes.includes(axis)), ...axes.filter((axis) => axis !== ROW && axis !== COL)];
}

/** Gives arrays offsets by first fit over their live intervals; what does not fit in `limit` floats goes to device memory. */
export function planStorage(kernel: TileKernel, homes: Homes, sizeOf: (axis: Axis) => number, limit: number): Storage {
  const spans = liveness(kernel.body, homes);
  const floatsOf = (tile: TileId) => {
    const axes = arrayAxes(kernel.tiles[tile].axes);
    return Math.ceil((axes.slice(0, -1).reduce((n, axis) => n * sizeOf(axis), 1) * pitchOf(axes, sizeOf)) / 4) * 4;
  };
  const tiles = [...homes].filter(([, home]) => home.kind === 'array').map(([tile]) => tile);
  const arrays = new Map<TileId, ArrayHome>();
  const placed: { start: number; end: number; offset: number; floats: number }[] = [];
  let sharedFloats = 0;
  let globalFloats = 0;
  // Those that live longest first: the short ones fill the gaps. The largest stay outside if something must.
  const length = (tile: TileId) => (spans.get(tile)?.end ?? Infinity) - (spans.get(tile)?.start ?? 0);
  const order = [...tiles].sort((a, b) => length(b) - length(a) || floatsOf(b) - floatsOf(a));
  for (const tile of order) {
    const floats = floatsOf(tile);
    const axes = arrayAxes(kernel.tiles[tile].axes);
    const { start, end } = spans.get(tile) ?? { start: 0, end: Number.MAX_SAFE_INTEGER };
    const rivals = placed.filter((p) => p.start <= end && start <= p.end).sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const rival of rivals) {
      if (offset + floats <= rival.offset) break;
      offset = Math.max(offset, rival.offset + rival.floats);
    }
    const home = { floats, axes, pitch: pitchOf(axes, sizeOf) };
    if (offset + floats <= limit) {
      placed.push({ start, end, offset, floats });
      sharedFloats = Math.max(sharedFloats, offset + floats);
      arrays.set(tile, { ...home, space: 'shared', offset });
    } else {
      arrays.set(tile, { ...home, space: 'global', offset: globalFloats });
      globalFloats += floats;
    }
  }
  return { arrays, sharedFloats, globalFloats };
}

/** Live intervals in the numbering of a walk; a tile read inside a loop that began after its definition lives to the loop's end. */
function liveness(body: readonly TileStmt[], homes: Homes): Map<TileId, { start: number; end: number }> {
  const spans = new Map<TileId, { start: number; end: number }>();
  const loops: { start: number; touched: Set<TileId> }[] = [];
  let now = 0;
  const read = (tile: TileId): void => {
    for (const leaf of leavesOf(homes, tile)) {
      const span = spans.get(leaf.tile);
      if (span === undefined) continue;
      span.end = Math.max(span.end, now);
      for (const loop of loops) if (span.start <= loop.start) loop.touched.add(leaf.tile);
    }
  };
  const scan = (stmts: readonly TileStmt[]): void => {
    for (const stmt of stmts) {
      now++;
      switch (stmt.kind) {
        case 'let': {
          const kind = homes.get(stmt.tile)?.kind;
          if (kind === 'inline' || kind === 'fused') break;
          for (const arg of operandsOf(stmt.op)) read(arg);
          if (kind === 'same') read(stmt.tile);
          else spans.set(stmt.tile, { start: now, end: now });
          break;
        }
        case 'store':
          read(stmt.value);
          break;
        case 'loop': {
          for (const carry of stmt.carry) read(carry.init);
          for (const carry of stmt.carry) spans.set(carry.tile, { start: now, end: now });
          const loop = { start: now, touched: new Set<TileId>(stmt.carry.map((c) => c.tile)) };
          loops.push(loop);
          scan(stmt.body);
          now++;
          for (const carry of stmt.carry) read(carry.next);
          now++;
          loops.pop();
          for (const tile of loop.touched) {
            const span = spans.get(tile);
            if (span !== undefined) span.end = Math.max(span.end, now);
          }
          break;
        }
        default:
          stmt satisfies never;
      }
    }
  };
  scan(body);
  return spans;
}
