import { operandsOf } from './facts.js';
import type { TileId, TileKernel, TileStmt } from './tile.js';

/** Leaves out statements whose tile nobody reads. */
export function prune(kernel: TileKernel): TileKernel {
  const live = new Set<TileId>();
  const mark = (body: readonly TileStmt[]): void => {
    for (const stmt of [...body].reverse()) {
      switch (stmt.kind) {
        case 'let':
          if (live.has(stmt.tile)) for (const arg of operandsOf(stmt.op)) live.add(arg);
          break;
        case 'store':
          live.add(stmt.value);
          break;
        case 'loop':
          for (const carry of stmt.carry) for (const id of [carry.tile, carry.init, carry.next]) live.add(id);
          mark(stmt.body);
          break;
        default:
          stmt satisfies never;
      }
    }
  };
  mark(kernel.body);
  const sweep = (body: readonly TileStmt[]): TileStmt[] =>
    body
      .filter((stmt) => stmt.kind !== 'let' || live.has(stmt.tile))
      .map((stmt) => (stmt.kind === 'loop' ? { ...stmt, body: sweep(stmt.body) } : stmt));
  return { ...kernel, body: sweep(kernel.body) };
}
