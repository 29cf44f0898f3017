import type { TileId, TileKernel, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { operandsOf } from '../../../ir/tile/operands.js';

export type Dscore = Extract<TileOp, { op: 'dscore' | 'dscoreRow' | 'dscoreCol' }>;

/** Operations computed together: more would not fit in registers. */
const MOST = 2;

/**
 * Brings decay operations together that scale the same operand by the same gates: the factors and the scaled operand are made once. Returns the
 * kernel with what the later ones need moved before the first one, and the groups by their first tile.
 */
export function gatherDecays(kernel: TileKernel): { readonly kernel: TileKernel; readonly groups: ReadonlyMap<TileId, readonly TileId[]> } {
  const groups = new Map<TileId, readonly TileId[]>();
  const defs = new Map<TileId, TileOp>();
  for (const stmt of kernel.body) if (stmt.kind === 'let') defs.set(stmt.tile, stmt.op);
  const taken = new Set<TileId>();
  let body: readonly TileStmt[] = kernel.body;
  for (const stmt of kernel.body) {
    if (stmt.kind !== 'let' || taken.has(stmt.tile)) continue;
    const key = sharing(stmt.op, defs);
    if (key === undefined) continue;
    const members = [stmt.tile];
    for (const other of kernel.body) {
      if (other.kind !== 'let' || taken.has(other.tile) || members.includes(other.tile) || members.length === MOST || sharing(other.op, defs) !== key) continue;
      const moved = moveAfter(body, members[members.length - 1], other.tile);
      if (moved === undefined) continue;
      body = moved;
      members.push(other.tile);
    }
    for (const tile of members) taken.add(tile);
    if (members.length > 1) groups.set(stmt.tile, members);
  }
  return { kernel: { ...kernel, body }, groups };
}

/** What operations computed together have in common; undefined for others. Readers on the scaled side decay alike. */
function sharing(op: TileOp, defs: ReadonlyMap<TileId, TileOp>): string | undefined {
  const source = (tile: TileId): TileId => {
    const def = defs.get(tile);
    return def?.op === 'swap' ? source(def.arg) : tile;
  };
  switch (op.op) {
    case 'dscore': case 'dscoreRow': return [op.op, source(op.g), op.axis, source(op.y)].join();
    case 'dscoreCol': return [op.op, source(op.g), op.axis, source(op.x), op.before].join();
    case 'load': case 'literal': case 'zeros': case 'head': case 'heads': case 'keep': case 'map': case 'reduce': case 'contract': case 'swap': case 'cumsum':
    case 'shift': case 'pick': case 'mask': case 'compose': case 'inverse': case 'recur':
      return undefined;
  }
}

/** The body with `later` right after `first`, and what it depends on before that; undefined if that depends on `first`. */
function moveAfter(body: readonly TileStmt[], first: TileId, later: TileId): readonly TileStmt[] | undefined {
  const position = (tile: TileId) => body.findIndex((stmt) => stmt.kind === 'let' && stmt.tile === tile);
  const [from, to] = [position(first), position(later)];
  if (to <= from) return undefined;
  const between = body.slice(from + 1, to);
  const needed = new Set<TileStmt>();
  const need = (tile: TileId): boolean => {
    if (tile === first) return false;
    const stmt = between.find((candidate) => candidate.kind === 'let' && candidate.tile === tile);
    if (stmt === undefined || stmt.kind !== 'let') return true;
    needed.add(stmt);
    return operandsOf(stmt.op).every(need);
  };
  const stmt = body[to];
  if (stmt.kind !== 'let' || !operandsOf(stmt.op).every(need)) return undefined;
  return [...body.slice(0, from), ...between.filter((s) => needed.has(s)), body[from], stmt, ...between.filter((s) => !needed.has(s)), ...body.slice(to + 1)];
}
