import { operandsOf } from '../ir/tile/facts.js';
import { printLet, printLoopHead, printStore } from '../ir/tile/print.js';
import type { TileId, TileKernel, TileLoop, TileOp, TileStmt, TileStore } from '../ir/tile/tile.js';
import { lineComment } from '../support/text.js';

/**
 * Comments of a kernel's text: the statements of Tile, above the lines that were written for them. An operation without lines of its own
 * (an expression inside the loop of its reader, say) stands above its first reader; each is said once.
 */
export interface Notes {
  tile(id: TileId): readonly string[];
  store(stmt: Pick<TileStore, 'buffer' | 'value' | 'by'>): readonly string[];
  loop(loop: TileLoop): readonly string[];
}

export function notesOf(kernel: TileKernel): Notes {
  const left = new Map<TileId, TileOp>();
  const collect = (body: readonly TileStmt[]): void => {
    for (const stmt of body) {
      if (stmt.kind === 'let') left.set(stmt.tile, stmt.op);
      if (stmt.kind === 'loop') collect(stmt.body);
    }
  };
  collect(kernel.body);
  const comment = (text: string) => `// ${lineComment(text)}`;
  /**
   * Tiles not yet said that a tile is made of, itself last. Operands come before their readers, so that the stack stays as deep as
   * expressions are.
   */
  const tile = (id: TileId): readonly string[] => {
    const op = left.get(id);
    if (op === undefined) return [];
    left.delete(id);
    return [...operandsOf(op).flatMap(tile), comment(printLet(kernel, id, op))];
  };
  return {
    tile,
    store: (stmt) => [...tile(stmt.value), comment(printStore(stmt))],
    loop: (loop) => [...loop.carry.flatMap(({ init }) => tile(init)), comment(printLoopHead(kernel, loop))],
  };
}

/** A text without its comments, for those who look for names in it. */
export function uncommented(text: string): string {
  return text.replace(/^\s*\/\/.*$/gm, '');
}
