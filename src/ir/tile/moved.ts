import type { OpName } from './facts.js';
import type { TileId, TileOp } from './tile.js';

/** The same operation on other tiles. */
export function onTiles(op: TileOp, to: (id: TileId) => TileId): TileOp {
  const maybe = (id: TileId | undefined) => (id === undefined ? undefined : to(id));
  switch (op.op) {
    case 'load': case 'gather': case 'literal': case 'zeros': case 'identity': case 'head': case 'heads': case 'index': case 'number':
    case 'size': return op;
    case 'reduce': case 'cumsum': case 'runs': case 'keep': case 'round': case 'swap': case 'pick': case 'take': case 'mask':
    case 'inverse': case 'tally': return { ...op, arg: to(op.arg) };
    case 'map': return { ...op, args: op.args.map(to) };
    case 'contract': case 'compose': return { ...op, a: to(op.a), b: to(op.b) };
    case 'nth': return { ...op, count: to(op.count), of: maybe(op.of) };
    case 'top': return { ...op, arg: to(op.arg), count: to(op.count) };
    case 'pack': return { ...op, arg: to(op.arg), held: to(op.held) };
    case 'unpack': return { ...op, arg: to(op.arg), number: to(op.number) };
    case 'queue': return { ...op, arg: to(op.arg), first: to(op.first) };
    case 'shift': return { ...op, arg: to(op.arg), edge: maybe(op.edge) };
    case 'put': return { ...op, arg: to(op.arg), of: to(op.of) };
    case 'dscore': return { ...op, x: to(op.x), y: to(op.y), g: to(op.g) };
    case 'dscoreRow': return { ...op, a: to(op.a), y: to(op.y), g: to(op.g) };
    case 'dscoreCol': return { ...op, a: to(op.a), x: to(op.x), g: to(op.g) };
    case 'dgate': return { ...op, a: to(op.a), x: to(op.x), y: to(op.y), decay: to(op.decay) };
    case 'recur': return { ...op, decay: to(op.decay), less: maybe(op.less), write: to(op.write), init: to(op.init) };
    case 'draw': return {
      ...op, key: to(op.key), element: to(op.element), position: to(op.position), sequence: to(op.sequence), lane: to(op.lane),
    };
    default: return op satisfies never;
  }
}

/** Operations that scans alone have. */
const OF_SCANS: ReadonlySet<OpName> = new Set<OpName>([
  'nth', 'identity', 'swap', 'shift', 'pick', 'put', 'take', 'mask', 'dscore', 'dscoreRow', 'dscoreCol', 'dgate', 'compose', 'inverse',
  'recur',
]);

/** An operation of numbers and rows on other tiles; undefined: one of those that scans alone have. */
export function movedOp(op: TileOp, to: (id: TileId) => TileId): TileOp | undefined {
  return OF_SCANS.has(op.op) ? undefined : onTiles(op, to);
}
