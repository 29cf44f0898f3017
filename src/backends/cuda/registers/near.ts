import { ROW } from '../../../ir/common/axes.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLet, TileOp } from '../../../ir/tile/tile.js';
import type { Window } from './windows.js';

/** Tiles that are the same function of rows near each other, each of those so many before its own: made once for all rows of a thread. */
export interface Near {
  readonly backs: ReadonlyMap<TileId, number>;
  /** The first of them, which says how, and what has rows of what it is made of, itself last. */
  readonly like: TileId;
  readonly made: readonly TileId[];
}

export interface NearValues {
  readonly of: ReadonlyMap<TileId, Near>;
  /** Tiles that nobody else reads. */
  readonly unread: ReadonlySet<TileId>;
}

/** What a tile is but for how many rows before its own it reads; `back` undefined: the same at all rows. */
interface Kind {
  readonly key: string;
  readonly back: number | undefined;
}

export function nearValues(kernel: TileKernel, windows: ReadonlyMap<string, Window>): NearValues {
  const lets = kernel.body.filter((stmt): stmt is TileLet => stmt.kind === 'let');
  const defs = new Map(lets.map(({ tile, op }) => [tile, op]));
  const kinds = kindsOf(kernel, lets, windows);
  const groups = new Map<string, Map<TileId, number>>();
  for (const { tile, op } of lets) {
    const kind = kinds.get(tile);
    if (op.op === 'map' && kind?.back !== undefined) {
      groups.set(kind.key, (groups.get(kind.key) ?? new Map<TileId, number>()).set(tile, kind.back));
    }
  }
  for (const [key, backs] of groups) if (new Set(backs.values()).size < 2) groups.delete(key);
  const isShared = (tile: TileId) => groups.has(kinds.get(tile)?.key ?? '');
  // What is read by such tiles alone is made with them.
  const readElsewhere = new Set([
    ...lets.flatMap((stmt) => (isShared(stmt.tile) ? [] : operandsOf(stmt.op))),
    ...kernel.body.flatMap((stmt) => (stmt.kind === 'store' ? [stmt.value] : [])),
  ]);
  const of = new Map<TileId, Near>();
  for (const backs of groups.values()) {
    if (![...backs.keys()].some((tile) => readElsewhere.has(tile))) continue;
    const [like] = backs.keys();
    const near = { backs, like, made: madeOf(defs, kinds, like) };
    for (const tile of backs.keys()) of.set(tile, near);
  }
  return { of, unread: unreadOf(kernel, lets, of) };
}

function kindsOf(kernel: TileKernel, lets: readonly TileLet[], windows: ReadonlyMap<string, Window>): ReadonlyMap<TileId, Kind> {
  const known = new Map<TileId, Kind>();
  const names = new Map<string, string>();
  const short = (text: string): string => {
    const name = names.get(text) ?? `k${names.size}`;
    names.set(text, name);
    return name;
  };
  const kindOf = (tile: TileId, op: TileOp): Kind | undefined => {
    if (!kernel.tiles[tile].axes.includes(ROW)) return { key: `#${tile}`, back: undefined };
    if (op.op === 'load') return windows.has(op.buffer) && op.rows === 'row' ? { key: op.buffer, back: op.back ?? 0 } : undefined;
    // A window has what is put there.
    if (op.op === 'put') return [...windows.values()].some(({ put }) => put.has(tile)) ? known.get(op.arg) : undefined;
    if (op.op !== 'map') return undefined;
    const args = op.args.map((arg) => known.get(arg));
    const base = args.find((arg) => arg?.back !== undefined)?.back;
    if (base === undefined || args.includes(undefined)) return undefined;
    const text = args.map((arg) => (arg?.back === undefined ? arg?.key : `${arg.key}@${arg.back - base}`)).join(' ');
    return { key: short(`${op.fn} ${text}`), back: base };
  };
  for (const { tile, op } of lets) {
    const kind = kindOf(tile, op);
    if (kind !== undefined) known.set(tile, kind);
  }
  return known;
}

/** What has rows of what a tile is made of, but for loads. */
function madeOf(defs: ReadonlyMap<TileId, TileOp>, kinds: ReadonlyMap<TileId, Kind>, tile: TileId): readonly TileId[] {
  const made = new Set<TileId>();
  const visit = (at: TileId): void => {
    const op = defs.get(at);
    if (op?.op !== 'map' || kinds.get(at)?.back === undefined || made.has(at)) return;
    op.args.forEach(visit);
    made.add(at);
  };
  visit(tile);
  return [...made];
}

function unreadOf(kernel: TileKernel, lets: readonly TileLet[], of: ReadonlyMap<TileId, Near>): ReadonlySet<TileId> {
  const read = new Set(kernel.body.flatMap((stmt) => (stmt.kind === 'store' ? [stmt.value] : [])));
  for (const { tile, op } of [...lets].reverse()) {
    if (!read.has(tile)) continue;
    const near = of.get(tile);
    if (near === undefined) operandsOf(op).forEach((arg) => read.add(arg));
    else if (tile !== near.like) read.add(near.like);
    else for (const { tile: made, op: its } of lets) {
      if (near.made.includes(made)) for (const arg of operandsOf(its)) if (!kernel.tiles[arg].axes.includes(ROW)) read.add(arg);
    }
  }
  return new Set(lets.flatMap(({ tile }) => (read.has(tile) ? [] : [tile])));
}
