import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLet, TileStmt } from '../../../ir/tile/tile.js';
import { usesOf, type Uses } from '../uses.js';

/**
 * Sums of sums of products as one sum, a product after the other: x + (p + q) is (x + p) + q, where nobody else reads p + q. Products then
 * add to the same registers in turn, and none has to be kept for its sum. But they begin when x is there: an x that waits for products
 * itself keeps what p and q read, unless `waiting`, where they come later and p + q has registers of its own meanwhile.
 */
export function sumsInTurn(kernel: TileKernel, waiting: boolean): TileKernel {
  const uses = usesOf(kernel);
  return {
    ...kernel, body: kernel.body.map((stmt) => (stmt.kind === 'loop' ? { ...stmt, body: inTurn(stmt.body, kernel, uses, waiting) } : stmt)),
  };
}

function inTurn(body: readonly TileStmt[], { tiles }: TileKernel, { counts }: Uses, waiting: boolean): readonly TileStmt[] {
  const made = new Map<TileId, TileLet>();
  const list: TileStmt[] = [];
  const afterProduct = new Map<TileId, boolean>();
  /** Whether a tile is worked out from a product of this turn. */
  const waits = (tile: TileId): boolean => {
    const known = afterProduct.get(tile);
    if (known !== undefined) return known;
    const op = made.get(tile)?.op;
    const found = op !== undefined && (op.op === 'contract' || operandsOf(op).some(waits));
    afterProduct.set(tile, found);
    return found;
  };
  /** Whether a sum that begins with it begins at once: it is a product, a sum of them, or there. */
  const early = (tile: TileId): boolean => {
    const op = made.get(tile)?.op;
    if (op?.op === 'map' && op.fn === 'add') return op.args.every(early);
    return op?.op === 'contract' || !waits(tile);
  };
  const addend = (tile: TileId): readonly [TileId, TileId] | undefined => {
    const op = made.get(tile)?.op;
    if (op?.op !== 'map' || op.fn !== 'add' || counts.get(tile) !== 1) return undefined;
    return op.args.every((arg) => tiles[arg].axes.join() === tiles[tile].axes.join()) ? [op.args[0], op.args[1]] : undefined;
  };
  const isProduct = (tile: TileId) => made.get(tile)?.op.op === 'contract';
  for (const stmt of body) {
    const sum = stmt.kind === 'let' && stmt.op.op === 'map' && stmt.op.fn === 'add' && tiles[stmt.tile].axes.length === 2
      ? stmt.op.args
      : undefined;
    if (stmt.kind !== 'let' || sum === undefined) {
      list.push(stmt);
      if (stmt.kind === 'let') made.set(stmt.tile, stmt);
      continue;
    }
    // What the right side adds up, last first; their names are those of the sums on the way.
    let [first, second] = sum;
    if (!waiting && !early(first)) {
      list.push(stmt);
      made.set(stmt.tile, stmt);
      continue;
    }
    const rest: { readonly name: TileId; readonly term: TileId }[] = [];
    for (let terms = addend(second); terms !== undefined && isProduct(terms[1]); terms = addend(second)) {
      rest.unshift({ name: second, term: terms[1] });
      second = terms[0];
    }
    const names = [...rest.map(({ name }) => name), stmt.tile];
    const terms = [second, ...rest.map(({ term }) => term)];
    for (const { name } of rest) {
      list.splice(list.findIndex((one) => one.kind === 'let' && one.tile === name), 1);
      made.delete(name);
    }
    for (const [n, term] of terms.entries()) {
      const next: TileLet = { kind: 'let', tile: names[n], op: { op: 'map', fn: 'add', args: [first, term] } };
      list.push(next);
      made.set(next.tile, next);
      first = next.tile;
    }
  }
  return list;
}
