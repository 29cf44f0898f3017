import type { TileId, TileKernel, TileLet, TileStmt } from '../../../ir/tile/tile.js';
import { usesOf, type Uses } from '../uses.js';

/**
 * Sums of sums of products as one sum, a product after the other: x + (p + q) is (x + p) + q, where nobody else reads p + q. Products then
 * add to the same registers in turn, and none has to wait, or to be kept, for its sum.
 */
export function sumsInTurn(kernel: TileKernel): TileKernel {
  const uses = usesOf(kernel);
  return { ...kernel, body: kernel.body.map((stmt) => (stmt.kind === 'loop' ? { ...stmt, body: inTurn(stmt.body, kernel, uses) } : stmt)) };
}

function inTurn(body: readonly TileStmt[], { tiles }: TileKernel, { counts }: Uses): readonly TileStmt[] {
  const made = new Map<TileId, TileLet>();
  const list: TileStmt[] = [];
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
