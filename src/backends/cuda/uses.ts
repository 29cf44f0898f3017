import { operandsOf, valueOperands } from '../../ir/tile/facts.js';
import type { TileId, TileKernel, TileOp, TileStmt } from '../../ir/tile/tile.js';

/** Tiles that a statement reads; a loop, which has statements of its own, none. */
export function tilesReadBy(stmt: TileStmt): readonly TileId[] {
  return stmt.kind === 'let' ? operandsOf(stmt.op) : stmt.kind === 'store' ? [stmt.value] : [];
}

/** Every statement with the loops around it. */
export function eachStatement(body: readonly TileStmt[], visit: (stmt: TileStmt, depth: number) => void, depth = 0): void {
  for (const stmt of body) {
    visit(stmt, depth);
    if (stmt.kind === 'loop') eachStatement(stmt.body, visit, depth + 1);
  }
}

export function hasOp({ body }: TileKernel, ...names: readonly TileOp['op'][]): boolean {
  let found = false;
  eachStatement(body, (stmt) => {
    if (stmt.kind === 'let' && names.includes(stmt.op.op)) found = true;
  });
  return found;
}

export interface Definition {
  readonly op: TileOp | undefined;
  /** The list of statements that holds the definition (for carried tiles: of the loop). */
  readonly body: readonly TileStmt[];
}

export interface Uses {
  readonly defs: ReadonlyMap<TileId, Definition>;
  /** Number of places that read a tile. */
  readonly counts: ReadonlyMap<TileId, number>;
  /** Bodies in which a tile is read. */
  readonly bodies: ReadonlyMap<TileId, ReadonlySet<readonly TileStmt[]>>;
}

export function usesOf(kernel: TileKernel): Uses {
  const defs = new Map<TileId, Definition>();
  const counts = new Map<TileId, number>();
  const bodies = new Map<TileId, Set<readonly TileStmt[]>>();
  const read = (tile: TileId, body: readonly TileStmt[]) => {
    counts.set(tile, (counts.get(tile) ?? 0) + 1);
    const set = bodies.get(tile) ?? new Set();
    bodies.set(tile, set.add(body));
  };
  const scan = (body: readonly TileStmt[]): void => {
    for (const stmt of body) {
      switch (stmt.kind) {
        case 'let':
          defs.set(stmt.tile, { op: stmt.op, body });
          for (const arg of operandsOf(stmt.op)) read(arg, body);
          break;
        case 'store':
          read(stmt.value, body);
          break;
        case 'loop':
          for (const carry of stmt.carry) {
            defs.set(carry.tile, { op: undefined, body: stmt.body });
            read(carry.init, body);
            read(carry.next, stmt.body);
          }
          scan(stmt.body);
          break;
        default:
          stmt satisfies never;
      }
    }
  };
  scan(kernel.body);
  return { defs, counts, bodies };
}

/**
 * Is `tile`, under any of its names, read by a statement after the one that defines `moment`, `except` left aside?
 * Decay scores and exclusive sums do not count as readers of their gates: they take the inclusive sums.
 */
export function readAfter(kernel: TileKernel, tile: TileId, moment: TileId, except: TileId): boolean {
  const names = new Set<TileId>([tile]);
  let passed = false;
  let found = false;
  eachStatement(kernel.body, (stmt) => {
    if (stmt.kind === 'let' && stmt.op.op === 'swap' && names.has(stmt.op.arg)) names.add(stmt.tile);
    else if (passed && !(stmt.kind === 'let' && stmt.tile === except)) {
      const read = stmt.kind === 'let'
        ? valueOperands(stmt.op)
        : stmt.kind === 'store'
        ? [stmt.value]
        : stmt.carry.flatMap((c) => [c.init, c.next]);
      found ||= read.some((id) => names.has(id));
    }
    if (stmt.kind === 'let' && stmt.tile === moment) passed = true;
  });
  return found;
}
