import type { TileId, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { operandsOf } from '../../../ir/tile/facts.js';

type Let = Extract<TileStmt, { kind: 'let' }>;

/**
 * Orders the statements of a walk so that the tensor cores have work while results are awaited: products as soon as their operands are
 * there, the longest way to the next state first; then what needs no running product; then what has to wait. Of the loads `late`, so many
 * are under way or unread at once.
 */
export function orderStatements(
  lets: readonly Let[],
  goals: readonly TileId[],
  sums: ReadonlyMap<TileId, { readonly product: TileId; readonly other: TileId }>,
  defs: ReadonlyMap<TileId, TileOp>,
  late: { readonly tiles: ReadonlySet<TileId>; readonly atOnce: number },
  running: (tile: TileId) => number | undefined,
  emit: (stmt: Let) => void,
): void {
  const products = new Set([...sums.values()].map((s) => s.product));
  const nodes = lets.filter((stmt) => !products.has(stmt.tile));
  const known = new Set(nodes.map((stmt) => stmt.tile));
  const find = (stmt: Let): readonly TileId[] => {
    const sum = sums.get(stmt.tile);
    if (sum === undefined) return operandsOf(stmt.op);
    const product = defs.get(sum.product);
    return [...(product === undefined ? [] : operandsOf(product)), sum.other];
  };
  const found = new Map(nodes.map((stmt) => [stmt, find(stmt)]));
  const inputs = (stmt: Let): readonly TileId[] => found.get(stmt) ?? [];
  const isProduct = (stmt: Let) => sums.has(stmt.tile) || stmt.op.op === 'contract';
  const height = new Map<TileId, number>(goals.map((goal) => [goal, 1]));
  for (const stmt of [...nodes].reverse()) {
    const own = height.get(stmt.tile) ?? 0;
    const cost = stmt.op.op === 'swap' ? 0 : isProduct(stmt) ? 4 : 1;
    // What leads to no state has height 0 and stays below everything that does.
    for (const arg of inputs(stmt)) if (own > 0) height.set(arg, Math.max(height.get(arg) ?? 0, own + cost));
  }
  const done = new Set<TileId>();
  const left = [...nodes];
  const isLate = (stmt: Let) => late.tiles.has(stmt.tile);
  const source = (tile: TileId): TileId => {
    const op = defs.get(tile);
    return op?.op === 'swap' ? source(op.arg) : tile;
  };
  /** Late loads, and how many statements have yet to read each. */
  const lateReads = (stmt: Let) => (
    stmt.op.op === 'swap' ? [] : [...new Set(inputs(stmt).map(source))].filter((tile) => late.tiles.has(tile))
  );
  const readers = new Map([...late.tiles].map((tile) => [tile, 0]));
  for (const stmt of nodes) for (const tile of lateReads(stmt)) readers.set(tile, (readers.get(tile) ?? 0) + 1);
  const unread = (): number => [...readers].filter(([tile, count]) => done.has(tile) && count > 0).length;
  while (left.length > 0) {
    const possible = left.filter((stmt) => inputs(stmt).every((arg) => !known.has(arg) || done.has(arg)));
    const allowed = late.tiles.size === 0 || unread() < late.atOnce ? possible : possible.filter((stmt) => !isLate(stmt));
    // Whatever else there is waits for one more.
    const ready = allowed.length > 0 ? allowed : possible;
    const best = (list: readonly Let[]): Let | undefined => list.reduce<Let | undefined>(
      (a, b) => (a !== undefined && (height.get(a.tile) ?? 0) >= (height.get(b.tile) ?? 0) ? a : b), undefined,
    );
    // How many products would still run after the wait that a statement needs.
    const leaves = (stmt: Let): number => (
      stmt.op.op === 'swap' ? Infinity : Math.min(...inputs(stmt).map((arg) => running(arg) ?? Infinity))
    );
    const free = ready.filter((stmt) => leaves(stmt) === Infinity);
    const most = Math.max(...ready.map(leaves));
    const next = best(free.filter((stmt) => stmt.op.op === 'swap'))
      ?? best(free.filter(isLate))
      ?? best(free.filter(isProduct))
      ?? best(free)
      ?? best(ready.filter((stmt) => leaves(stmt) === most));
    if (next === undefined) throw new Error('statements depend on each other in a circle');
    emit(next);
    done.add(next.tile);
    for (const tile of lateReads(next)) readers.set(tile, (readers.get(tile) ?? 0) - 1);
    left.splice(left.indexOf(next), 1);
  }
}
