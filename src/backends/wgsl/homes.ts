import { COL, ROW, sameAxes, unionAxes } from '../../ir/common/axes.js';
import { isRows } from '../../ir/tile/domain.js';
import { hasRole, operandsOf, roleOf } from '../../ir/tile/facts.js';
import type { TileId, TileLoop, TileOp } from '../../ir/tile/tile.js';
import { sum } from '../../support/sum.js';
import { endsHeld, onlyHeld, type Panels } from './panels.js';
import { scalarCost } from './roles.js';
import { cellAxes, type Structure, type User } from './structure.js';

/**
 * Where the elements of a tile are. `inline`: nowhere, the expression is repeated where it is read. `fused`: a fold in the registers of the
 * loop that reads it. `held`: in registers, each element with the invocation that has its micro-tile. `scalar`: in a variable of every
 * invocation. `array`: in memory.
 */
export type Home = 'inline' | 'fused' | 'held' | 'scalar' | 'array';

export interface Forced {
  /** Tiles that need memory of their own. */
  readonly arrays: ReadonlySet<TileId>;
  /** Loads that found no room in workgroup memory. */
  readonly inline: ReadonlySet<TileId>;
}

/** Statements of an inner loop run about this often per run of the outer ones. */
const TRIPS = 8;
/** What a barrier costs, in reads of workgroup memory by one invocation. */
const BARRIER = 200;
/** Ten rounds of the generator. */
const DRAW = 60;

/** Chooses by the cheapest sum of evaluations, reads and writes; twice, since what an operand costs depends on where it is. */
export function homesOf(s: Structure, panels: Panels, forced: Forced): ReadonlyMap<TileId, Home> {
  return choose(s, panels, forced, choose(s, panels, forced, new Map()));
}

/** From the last reader to the first definition. */
function choose(s: Structure, panels: Panels, forced: Forced, before: ReadonlyMap<TileId, Home>): ReadonlyMap<TileId, Home> {
  const homes = new Map<TileId, Home>();
  const costs = expressionCosts(s, before);
  const evaluations = new Map<TileId, number>();
  for (const tile of [...s.order].reverse()) {
    const definition = s.definitions.get(tile);
    const op = definition?.op;
    const runs = sum((s.users.get(tile) ?? []).map((user) => readsBy(s, panels, tile, user, homes, evaluations)));
    const home = ((): Home => {
      if (panels.sums.has(tile)) return 'held';
      if (panels.brought.has(tile)) return 'inline';
      if (panels.products.has(tile)) return onlyHeld(s, tile, homes) ? 'held' : 'array';
      if (op === undefined) return s.axes(tile).length === 0 ? 'scalar' : 'array';
      const role = roleOf(op);
      if (role === 'free') return 'inline';
      if (role === 'scan') return 'array';
      if (s.axes(tile).length === 0) return 'scalar';
      if (forced.arrays.has(tile) || endsHeld(s, panels, tile, homes)) return 'array';
      // A load from what the kernel also writes means the time at which it stands.
      if (op.op === 'load' && s.stored.has(op.buffer)) return 'array';
      if (role === 'fold') return readOnce(s, tile, homes) ? 'fused' : 'array';
      if (forced.inline.has(tile)) return 'inline';
      const elements = s.elements(s.axes(tile));
      const cost = costs.get(tile) ?? 1;
      return runs * cost <= elements * (cost + 1) + runs + BARRIER ? 'inline' : 'array';
    })();
    homes.set(tile, home);
    evaluations.set(tile, home === 'inline' ? runs : s.elements(s.axes(tile)));
  }
  return homes;
}

/** Time of one element, operands included as far as they were inline before. */
function expressionCosts(s: Structure, before: ReadonlyMap<TileId, Home>): ReadonlyMap<TileId, number> {
  const costs = new Map<TileId, number>();
  for (const tile of s.order) {
    const op = s.definitions.get(tile)?.op;
    const operandCost = (arg: TileId): number => {
      switch (before.get(arg)) {
        case 'array': return 1;
        case 'scalar': return 0;
        case 'inline': return costs.get(arg) ?? 1;
        case 'fused': case 'held': return 0;
        case undefined: return Math.min(2, costs.get(arg) ?? 1);
      }
    };
    const spread = op !== undefined && hasRole(op, 'pointwise', 'move');
    costs.set(tile, (op === undefined ? 1 : ownCost(s, op)) + (spread ? sum(operandsOf(op).map(operandCost)) : 0));
  }
  return costs;
}

function ownCost(s: Structure, op: TileOp): number {
  switch (roleOf(op)) {
    case 'free': return 0;
    case 'load': return op.op === 'gather' ? 3 : op.op === 'load' && isRows(s.buffer(op.buffer)) ? 2 : 1.5;
    case 'pointwise': return op.op === 'map' ? scalarCost(op.fn) : op.op === 'draw' ? DRAW : 0.25;
    case 'move': return 0;
    case 'fold': case 'scan': return 1;
  }
}

/** How many elements of `tile` one user reads in one run of the body that defines the tile. */
function readsBy(
  s: Structure, panels: Panels, tile: TileId, user: User, homes: ReadonlyMap<TileId, Home>, evaluations: ReadonlyMap<TileId, number>,
): number {
  const depth = user.loops.length - (s.definitions.get(tile)?.loops.length ?? 0);
  const trips = TRIPS ** Math.max(0, depth);
  const elements = s.elements(s.axes(tile));
  switch (user.kind) {
    case 'store': return trips * s.elements(cellAxes(s, user.stmt, user.loops));
    case 'init': case 'next': return trips * elements;
    case 'let': {
      const { op } = user;
      const out = s.elements(s.axes(user.tile));
      if (hasRole(op, 'free', 'load')) return 0;
      if (hasRole(op, 'pointwise', 'move')) return trips * (homes.get(user.tile) === 'scalar' ? out : evaluations.get(user.tile) ?? out);
      switch (op.op) {
        case 'contract': {
          // Panels have every element once.
          if (panels.products.has(user.tile)) return trips * elements;
          const all = s.elements(unionAxes(s.axes(op.a), s.axes(op.b)));
          // An operand is held in registers along one side of a micro-tile.
          return (trips * all) / (all > elements ? 4 : 1);
        }
        case 'compose': return (trips * elements * s.size(ROW)) / 4;
        case 'nth': return trips * out;
        case 'pack': case 'unpack': case 'tally': case 'queue': throw new Error(`${op.op} is written in other operations`);
        // Once for each bit of a key, and where seats are given.
        case 'top': return trips * (tile === op.arg ? 34 : 1) * out;
        case 'reduce': case 'runs': case 'cumsum': case 'recur': return trips * Math.max(out, elements);
        case 'dgate': return (trips * out * s.size(ROW)) / 2;
        case 'inverse': return trips * elements * s.size(ROW);
        case 'dscore': return trips * s.elements([ROW, COL, op.axis]) * (op.g === tile ? s.size(ROW) / 6 : 1);
        case 'dscoreRow': case 'dscoreCol': return trips * s.elements([ROW, COL, op.axis]);
      }
      return op satisfies never;
    }
  }
}

/** Does one loop read every element of the fold exactly once, where the fold itself stands? */
function readOnce(s: Structure, tile: TileId, homes: ReadonlyMap<TileId, Home>): boolean {
  const users = s.users.get(tile) ?? [];
  const definition = s.definitions.get(tile);
  const [user] = users;
  if (users.length !== 1 || user === undefined || definition === undefined) return false;
  if (!sameLoops(user.loops, definition.loops)) return false;
  const axes = s.axes(tile);
  switch (user.kind) {
    case 'store': {
      const cell = cellAxes(s, user.stmt, user.loops);
      return sameAxes(cell, axes) || (
        axes.includes(COL) && !axes.includes(ROW) && sameAxes(cell, axes.map((axis) => (axis === COL ? ROW : axis)))
      );
    }
    case 'init': case 'next': return true;
    case 'let':
      if (!hasRole(user.op, 'pointwise') || !sameAxes(s.axes(user.tile), axes)) return false;
      if (user.op.op === 'map' && user.op.args.filter((arg) => arg === tile).length !== 1) return false;
      return homes.get(user.tile) === 'array' || (homes.get(user.tile) === 'inline' && readOnce(s, user.tile, homes));
  }
}

function sameLoops(a: readonly TileLoop[], b: readonly TileLoop[]): boolean {
  return a.length === b.length && a.every((loop, i) => loop === b[i]);
}
