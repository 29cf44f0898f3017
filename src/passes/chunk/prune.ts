import { loadedBuffers } from '../../ir/tile/buffers.js';
import { operandsOf } from '../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLoop, TileStmt } from '../../ir/tile/tile.js';

/** The kernels of a program, in their order, without what neither its results (`gives`) nor other kernels after them read. */
export function pruned(kernels: readonly TileKernel[], gives: Iterable<string>): readonly TileKernel[] {
  const read = new Set(gives);
  const left: TileKernel[] = [];
  for (const kernel of [...kernels].reverse()) {
    // What a kernel reads of its own stores, earlier rows of a run say, is read too.
    let body = live(kernel.body, read, new Set());
    for (let known = -1; known !== read.size; body = live(kernel.body, read, new Set())) {
      known = read.size;
      for (const name of loadedBuffers(body)) read.add(name);
    }
    if (body.length > 0) left.unshift({ ...kernel, body });
  }
  return left;
}

/** The statements that lead to a store in one of the buffers, or to a wanted tile; what they read is wanted too. */
function live(body: readonly TileStmt[], buffers: ReadonlySet<string>, wanted: Set<TileId>): readonly TileStmt[] {
  const left: TileStmt[] = [];
  for (const stmt of [...body].reverse()) {
    const kept = liveStatement(stmt, buffers, wanted);
    if (kept !== undefined) left.unshift(kept);
  }
  return left;
}

function liveStatement(stmt: TileStmt, buffers: ReadonlySet<string>, wanted: Set<TileId>): TileStmt | undefined {
  switch (stmt.kind) {
    case 'let':
      if (!wanted.has(stmt.tile)) return undefined;
      for (const tile of operandsOf(stmt.op)) wanted.add(tile);
      return stmt;
    case 'store':
      if (!buffers.has(stmt.buffer)) return undefined;
      wanted.add(stmt.value);
      return stmt;
    case 'loop': return liveLoop(stmt, buffers, wanted);
  }
}

/** What is carried is wanted if it is after the loop, or within by what is. */
function liveLoop(loop: TileLoop, buffers: ReadonlySet<string>, wanted: Set<TileId>): TileLoop | undefined {
  for (;;) {
    const carry = loop.carry.filter(({ tile }) => wanted.has(tile));
    const inside = new Set(carry.map(({ next }) => next));
    const body = live(loop.body, buffers, inside);
    for (const tile of inside) wanted.add(tile);
    if (loop.carry.some((one) => wanted.has(one.tile) && !carry.includes(one))) continue;
    for (const { init } of carry) wanted.add(init);
    return carry.length === 0 && body.length === 0 ? undefined : { ...loop, carry, body };
  }
}
