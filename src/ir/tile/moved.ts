import { hasRole } from './facts.js';
import type { TileId, TileOp } from './tile.js';

/** An operation of numbers and rows on other tiles; undefined: one of those that scans alone have. */
export function movedOp(op: TileOp, to: (id: TileId) => TileId): TileOp | undefined {
  switch (op.op) {
    case 'load': case 'gather': return op;
    case 'reduce': case 'cumsum': case 'runs': case 'keep': case 'round': return { ...op, arg: to(op.arg) };
    case 'map': return { ...op, args: op.args.map(to) };
    case 'contract': return { ...op, a: to(op.a), b: to(op.b) };
    case 'top': return { ...op, arg: to(op.arg), count: to(op.count) };
    case 'pack': return { ...op, arg: to(op.arg), held: to(op.held) };
    case 'unpack': return { ...op, arg: to(op.arg), number: to(op.number) };
    case 'tally': return { ...op, arg: to(op.arg) };
    case 'queue': return { ...op, arg: to(op.arg), first: to(op.first) };
    case 'draw': return {
      ...op, key: to(op.key), element: to(op.element), position: to(op.position), sequence: to(op.sequence), lane: to(op.lane),
    };
    default: return hasRole(op, 'free') ? op : undefined;
  }
}
