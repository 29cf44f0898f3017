import { loadedBuffers, storedBuffers } from '../../ir/tile/buffers.js';
import { onTiles } from '../../ir/tile/moved.js';
import type { TileBuffer, TileId, TileKernel, TileStmt } from '../../ir/tile/tile.js';
import { pruned } from './prune.js';

/** What backward may take of forward, and what both have to do then. */
export interface Kept<K = TileKernel> {
  /** Workspaces: forward leaves them as backward would make them. */
  readonly buffers: readonly string[];
  /** The kernels of forward; one that makes more for backward may stand for one that makes less. */
  readonly forward: readonly K[];
  /** The kernels of backward without those that make it again. */
  readonly backward: readonly K[];
}

/**
 * Backward makes again what forward has made. Where that takes products, it is worth its memory until backward comes: forward writes it
 * anyway. What is made element by element is as soon made as read. All of it lies at rows or chunks: where segments begin is nothing to it.
 */
export function keptOf(
  forward: readonly TileKernel[], backward: readonly TileKernel[], bufferOf: (name: string) => TileBuffer,
): Kept | undefined {
  const again = madeAgain(forward, backward);
  const stays = (name: string) => ['row', 'chunk'].includes(bufferOf(name).outer);
  const worth = [...again.keys()].filter(({ body }) => multiplies(body) && storedBuffers(body).every(stays));
  const others = backward.filter((kernel) => !worth.includes(kernel));
  const read = new Set(others.flatMap(({ body }) => loadedBuffers(body)));
  const buffers = worth.flatMap(({ body }) => storedBuffers(body)).filter((name) => read.has(name));
  if (buffers.length === 0) return undefined;
  const count = ({ body }: TileKernel) => storedBuffers(body).length;
  const makingMore = (kernel: TileKernel) => worth.find((other) => again.get(other) === kernel && count(other) > count(kernel));
  return { buffers, forward: forward.map((kernel) => makingMore(kernel) ?? kernel), backward: others };
}

/**
 * The kernels of backward that forward has, each with forward's: both store the same by the same operations on the same operands, but for
 * what one of them stores besides.
 */
function madeAgain(forward: readonly TileKernel[], backward: readonly TileKernel[]): ReadonlyMap<TileKernel, TileKernel> {
  const storing = (kernels: readonly TileKernel[], name: string) => kernels.filter(({ body }) => storedBuffers(body).includes(name));
  /** Of workspaces that both make alike. What nobody writes has been given to both. */
  const alike = new Set<string>();
  const isAlike = (name: string) => alike.has(name) || storing([...forward, ...backward], name).length === 0;
  const again = new Map<TileKernel, TileKernel>();
  for (const kernel of backward) {
    const stored = storedBuffers(kernel.body);
    const makers = new Set(stored.flatMap((name) => storing(forward, name)));
    const [maker] = makers;
    if (makers.size !== 1 || stored.some((name) => storing(backward, name).length > 1)) continue;
    if (!loadedBuffers(kernel.body).every(isAlike)) continue;
    const own = storedBuffers(maker.body);
    if (maker !== kernel && !sameWork(pruned([maker], stored), [kernel]) && !sameWork(pruned([kernel], own), [maker])) continue;
    again.set(kernel, maker);
    stored.forEach((name) => alike.add(name));
  }
  return again;
}

/** Do two kernels store the same, whatever the order in which they make it? Of those with loops nothing is said. */
function sameWork([one]: readonly TileKernel[], [other]: readonly TileKernel[]): boolean {
  const head = (kernel: TileKernel) => JSON.stringify({ ...kernel, name: '', doc: '', tiles: [], body: [] });
  if (one === undefined || other === undefined || head(one) !== head(other)) return false;
  const known = new Map<string, number>();
  const [mine, others] = [storedValues(one, known), storedValues(other, known)];
  return mine !== undefined && others !== undefined && mine.join() === others.join();
}

/** The stores of a kernel without loops, tiles numbered by what they are: `known` has the numbers of values. */
function storedValues({ body, tiles }: TileKernel, known: Map<string, number>): readonly string[] | undefined {
  const numbers = new Map<TileId, number>();
  const number = (tile: TileId) => numbers.get(tile) ?? -1;
  const stores: string[] = [];
  for (const stmt of body) {
    if (stmt.kind === 'loop') return undefined;
    if (stmt.kind === 'store') {
      stores.push(JSON.stringify({ ...stmt, value: number(stmt.value) }));
      continue;
    }
    // Of zeros the axes are all that there is.
    const value = JSON.stringify([onTiles(stmt.op, number), tiles[stmt.tile].axes]);
    const found = known.get(value) ?? known.size;
    known.set(value, found);
    numbers.set(stmt.tile, found);
  }
  return stores.sort();
}

function multiplies(body: readonly TileStmt[]): boolean {
  return body.some((stmt) => {
    if (stmt.kind === 'loop') return multiplies(stmt.body);
    return stmt.kind === 'let' && ['contract', 'dscore', 'compose', 'inverse'].includes(stmt.op.op);
  });
}
