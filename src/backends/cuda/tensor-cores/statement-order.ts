import type { TileId, TileLet, TileOp } from '../../../ir/tile/tile.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { FusedSum } from './kernel.js';
import type { Pressure } from './pressure.js';

export interface OrderOptions {
  readonly lets: readonly TileLet[];
  readonly goals: readonly TileId[];
  readonly sums: ReadonlyMap<TileId, FusedSum>;
  readonly defs: ReadonlyMap<TileId, TileOp>;
  readonly late: { readonly tiles: ReadonlySet<TileId>; readonly atOnce: number };
  readonly pressure: Pressure;
  /** Registers that a thread may hold where statements are chosen by what they hold; undefined: they are not. */
  readonly room: number | undefined;
  /** Number of products begun after the one that makes a tile; undefined if it is there. */
  readonly running: (tile: TileId) => number | undefined;
  readonly emit: (stmt: TileLet) => void;
  /** Of a late load that has been read: its room is wanted. */
  readonly release: (tile: TileId) => void;
}

/**
 * Orders the statements of a walk so that the tensor cores have work while results are awaited: products as soon as their operands are
 * there, the longest way to the next state first; then what needs no running product; then what has to wait. Of the loads `late`, so many
 * are under way or unread at once. With `room`, what would hold more registers than that comes last, and what is worked out element by
 * element for later has no hurry.
 */
export function orderStatements({ lets, goals, sums, defs, late, pressure, room, running, emit, release }: OrderOptions): void {
  const products = new Set([...sums.values()].map((s) => s.product));
  const nodes = lets.filter((stmt) => !products.has(stmt.tile));
  const known = new Set(nodes.map((stmt) => stmt.tile));
  const find = (stmt: TileLet): readonly TileId[] => {
    const sum = sums.get(stmt.tile);
    if (sum === undefined) return operandsOf(stmt.op);
    const product = defs.get(sum.product);
    return [...(product === undefined ? [] : operandsOf(product)), sum.other];
  };
  const found = new Map(nodes.map((stmt) => [stmt, find(stmt)]));
  const inputs = (stmt: TileLet): readonly TileId[] => found.get(stmt) ?? [];
  const isProduct = (stmt: TileLet) => sums.has(stmt.tile) || stmt.op.op === 'contract';
  const height = new Map<TileId, number>(goals.map((goal) => [goal, 1]));
  for (const stmt of [...nodes].reverse()) {
    const own = height.get(stmt.tile) ?? 0;
    const cost = stmt.op.op === 'swap' ? 0 : isProduct(stmt) ? 4 : 1;
    // What leads to no state has height 0 and stays below everything that does.
    for (const arg of inputs(stmt)) if (own > 0) height.set(arg, Math.max(height.get(arg) ?? 0, own + cost));
  }
  const done = new Set<TileId>();
  const left = [...nodes];
  const isLate = (stmt: TileLet) => late.tiles.has(stmt.tile);
  const source = (tile: TileId): TileId => {
    const op = defs.get(tile);
    return op?.op === 'swap' ? source(op.arg) : tile;
  };
  /** Late loads, and how many statements have yet to read each. */
  const lateReads = (stmt: TileLet) => (
    stmt.op.op === 'swap' ? [] : [...new Set(inputs(stmt).map(source))].filter((tile) => late.tiles.has(tile))
  );
  const readers = new Map([...late.tiles].map((tile) => [tile, 0]));
  for (const stmt of nodes) for (const tile of lateReads(stmt)) readers.set(tile, (readers.get(tile) ?? 0) + 1);
  const unread = (): number => [...readers].filter(([tile, count]) => done.has(tile) && count > 0).length;
  const best = (list: readonly TileLet[]): TileLet | undefined => list.reduce<TileLet | undefined>(
    (a, b) => (a !== undefined && (height.get(a.tile) ?? 0) >= (height.get(b.tile) ?? 0) ? a : b), undefined,
  );
  /** What has to be there: not the other term of a sum whose registers the sum takes. */
  const awaits = (stmt: TileLet): readonly TileId[] => {
    const sum = sums.get(stmt.tile);
    return room === undefined || sum?.alone !== true ? inputs(stmt) : inputs(stmt).filter((arg) => arg !== sum.other);
  };
  /** Of statements that may come next, those that registers allow. */
  const within = (ready: readonly TileLet[], most: number): readonly TileLet[] => {
    const held = pressure.after;
    const now = pressure.now();
    const least = Math.min(...ready.map(held));
    const fit = ready.filter((stmt) => held(stmt) <= Math.max(most, now, least));
    // Where all want more: what is worked out for a product that is not there yet is the shorter way to registers that are free again.
    if (least > Math.max(most, now)) {
      const aside = fit.filter((stmt) => !isProduct(stmt));
      const one = best(aside.length > 0 ? aside : fit);
      return one === undefined ? [] : [one];
    }
    const calm = fit.filter((stmt) => isProduct(stmt) || held(stmt) <= now);
    if (calm.length > 0) return calm;
    const first = best(fit);
    return first === undefined ? [] : [first];
  };
  const brought = new Set<TileId>();
  while (left.length > 0) {
    const possible = left.filter((stmt) => inputs(stmt).every((arg) => !known.has(arg) || done.has(arg)));
    const allowed = late.tiles.size === 0 || unread() < late.atOnce ? possible : possible.filter((stmt) => !isLate(stmt));
    // Whatever else there is waits for one more.
    const ready = allowed.length > 0 ? allowed : possible;
    // How many products would still run after the wait that a statement needs.
    const leaves = (stmt: TileLet): number => (
      stmt.op.op === 'swap' ? Infinity : Math.min(...awaits(stmt).map((arg) => running(arg) ?? Infinity))
    );
    const choose = (among: readonly TileLet[]): TileLet | undefined => {
      const free = among.filter((stmt) => leaves(stmt) === Infinity);
      const most = Math.max(...among.map(leaves));
      return best(free.filter((stmt) => stmt.op.op === 'swap'))
        ?? best(free.filter(isLate))
        ?? best(free.filter(isProduct))
        ?? best(free)
        ?? best(among.filter((stmt) => leaves(stmt) === most));
    };
    const next = room === undefined ? choose(ready) : choose(within(ready, room));
    if (next === undefined) throw new Error('statements depend on each other in a circle');
    // Products whose sums are not asked for for long hold what they read.
    if (room !== undefined && isLate(next)) {
      for (const tile of [...brought].slice(0, Math.max(0, brought.size + 1 - late.atOnce))) {
        if (readers.get(tile) !== 0) continue;
        release(tile);
        brought.delete(tile);
      }
      brought.add(next.tile);
    }
    emit(next);
    pressure.made(next);
    done.add(next.tile);
    for (const tile of lateReads(next)) readers.set(tile, (readers.get(tile) ?? 0) - 1);
    left.splice(left.indexOf(next), 1);
  }
}
