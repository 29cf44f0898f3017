import type { TileId, TileKernel, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { operandsOf } from '../../../ir/tile/facts.js';

export type Dscore = Extract<TileOp, { op: 'dscore' | 'dscoreRow' | 'dscoreCol' }>;

export interface JoinedDecays {
  readonly kernel: TileKernel;
  readonly groups: ReadonlyMap<TileId, readonly TileId[]>;
}

/**
 * Brings decay operations together that scale the same operands by the same gates, so that factors and scaled operands are made once:
 * adjoints in pairs, scores of up to two readers and two writers (more would not fit in registers). Returns the kernel with what the later
 * ones need moved before the first one, and the groups by their first tile.
 */
export function joinDecays(kernel: TileKernel): JoinedDecays {
  const groups = new Map<TileId, readonly TileId[]>();
  const defs = new Map<TileId, TileOp>();
  for (const stmt of kernel.body) if (stmt.kind === 'let') defs.set(stmt.tile, stmt.op);
  const source = (tile: TileId): TileId => {
    const def = defs.get(tile);
    return def?.op === 'swap' ? source(def.arg) : tile;
  };
  const left = kernel.body.flatMap((stmt) => (stmt.kind === 'let' && isDscore(stmt.op) ? [{ tile: stmt.tile, op: stmt.op }] : []));
  let body: readonly TileStmt[] = kernel.body;
  for (let first = left.shift(); first !== undefined; first = left.shift()) {
    for (const more of partners(first.op, left, source)) {
      const members = [first, ...more].map(({ tile }) => tile);
      const moved = more.reduce<readonly TileStmt[] | undefined>(
        (at, { tile }, n) => at && moveAfter(at, members.slice(0, n + 1), tile), body,
      );
      if (moved === undefined) continue;
      body = moved;
      groups.set(first.tile, members);
      for (const taken of more) left.splice(left.indexOf(taken), 1);
      break;
    }
  }
  return { kernel: { ...kernel, body }, groups };
}

interface Member {
  readonly tile: TileId;
  readonly op: Dscore;
}

export function isDscore(op: TileOp): op is Dscore {
  return op.op === 'dscore' || op.op === 'dscoreRow' || op.op === 'dscoreCol';
}

/** Operations that could be computed together with this one, the best choice first. */
function partners(op: Dscore, others: readonly Member[], source: (tile: TileId) => TileId): readonly (readonly Member[])[] {
  const alike = others.filter((other) => other.op.op === op.op && source(other.op.g) === source(op.g) && other.op.axis === op.axis);
  const one = (member: Member | undefined): readonly (readonly Member[])[] => (member === undefined ? [] : [[member]]);
  switch (op.op) {
    case 'dscore': {
      const writer = (score: Dscore) => (score.op === 'dscore' ? source(score.y) : undefined);
      const reader = (score: Dscore) => (score.op === 'dscore' ? [source(score.x), score.before, score.strict].join() : undefined);
      const below = alike.find((other) => writer(other.op) === writer(op));
      const beside = alike.find((other) => reader(other.op) === reader(op));
      const across = below && beside && alike.find(
        (other) => reader(other.op) === reader(below.op) && writer(other.op) === writer(beside.op)
      );
      return [...(below && beside && across ? [[below, beside, across]] : []), ...one(below), ...one(beside)];
    }
    case 'dscoreRow': return one(alike.find((other) => other.op.op === 'dscoreRow' && source(other.op.y) === source(op.y)));
    // Readers on the scaled side decay alike.
    case 'dscoreCol': return one(alike.find(
      (other) => other.op.op === 'dscoreCol' && source(other.op.x) === source(op.x) && other.op.before === op.before
    ));
  }
}

/**
 * The body with `later` right after the last of `members`, and what it depends on before the first of them; undefined if that depends on
 * one.
 */
function moveAfter(body: readonly TileStmt[], members: readonly TileId[], later: TileId): readonly TileStmt[] | undefined {
  const position = (tile: TileId) => body.findIndex((stmt) => stmt.kind === 'let' && stmt.tile === tile);
  const [first, last, to] = [position(members[0]), position(members[members.length - 1]), position(later)];
  if (to <= last) return undefined;
  const between = body.slice(last + 1, to);
  const needed = new Set<TileStmt>();
  const need = (tile: TileId): boolean => {
    if (members.includes(tile)) return false;
    const stmt = between.find((candidate) => candidate.kind === 'let' && candidate.tile === tile);
    if (stmt === undefined || stmt.kind !== 'let') return true;
    needed.add(stmt);
    return operandsOf(stmt.op).every(need);
  };
  const stmt = body[to];
  if (stmt.kind !== 'let' || !operandsOf(stmt.op).every(need)) return undefined;
  return [
    ...body.slice(0, first), ...between.filter((s) => needed.has(s)), ...body.slice(first, last + 1), stmt,
    ...between.filter((s) => !needed.has(s)), ...body.slice(to + 1),
  ];
}
