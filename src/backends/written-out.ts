import { ROW, withoutAxes, type Axis } from '../ir/common/axes.js';
import type { MathName } from '../ir/common/dag.js';
import { factsOf } from '../ir/tile/facts.js';
import type { TileId, TileKernel, TileOp, TileStmt, TileType } from '../ir/tile/tile.js';

type Listed = Extract<TileOp, { op: 'pack' | 'unpack' | 'tally' | 'queue' }>;

const isListed = (op: TileOp): op is Listed => ['pack', 'unpack', 'tally', 'queue'].includes(op.op);

/**
 * A kernel in which lists are written in other operations: every element is held against every place that it may have. For back ends that
 * have no way of their own.
 */
export function withListsWrittenOut(kernel: TileKernel, sizeOf: (axis: Axis) => number): TileKernel {
  const tiles: TileType[] = [...kernel.tiles];
  const body = (stmts: readonly TileStmt[]): readonly TileStmt[] => stmts.flatMap((stmt): readonly TileStmt[] => {
    if (stmt.kind === 'loop') return [{ ...stmt, body: body(stmt.body) }];
    return stmt.kind === 'let' && isListed(stmt.op) ? writtenOut(tiles, stmt.tile, stmt.op, sizeOf) : [stmt];
  });
  const lets = body(kernel.body);
  return tiles.length === kernel.tiles.length ? kernel : { ...kernel, tiles, body: lets };
}

/** Statements that give `tile`, and tiles for what is on the way. */
function writtenOut(tiles: TileType[], tile: TileId, op: Listed, sizeOf: (axis: Axis) => number): readonly TileStmt[] {
  const lets: { readonly kind: 'let'; tile: TileId; readonly op: TileOp }[] = [];
  const axesOf = (id: TileId): readonly Axis[] => tiles[id].axes;
  const add = (one: TileOp): TileId => {
    tiles.push({ axes: factsOf(one).axes(one, axesOf) ?? [] });
    lets.push({ kind: 'let', tile: tiles.length - 1, op: one });
    return tiles.length - 1;
  };
  const map = (fn: MathName, ...args: readonly TileId[]): TileId => add({ op: 'map', fn, args });
  const literal = (value: number): TileId => add({ op: 'literal', value });
  const sum = (axes: readonly Axis[], arg: TileId): TileId => (
    axes.reduce((all, axis) => add({ op: 'reduce', reduce: 'sum', axis, arg: all }), arg)
  );
  const before = (arg: TileId, axis?: Axis): TileId => (
    add({ op: 'cumsum', arg, exclusive: true, reverse: false, decays: false, ...(axis !== undefined && { axis }) })
  );
  /** Of whole numbers. */
  const same = (a: TileId, b: TileId): TileId => map('max', literal(0), map('sub', literal(1), map('abs', map('sub', a, b))));
  /** From 1, row by row. */
  const numbers = (axes: readonly Axis[]): TileId => axes.reduce(
    (all, axis) => map(
      'add', map('mul', map('sub', all, literal(1)), literal(sizeOf(axis))), map('add', add({ op: 'index', axis }), literal(1)),
    ),
    literal(1),
  );
  const rank = (one: TileId, axes: readonly Axis[]): TileId => {
    const [last, ...rest] = [...axes].reverse();
    const within = before(one, last);
    return rest.length === 0 ? within : map('add', within, rank(sum([last], one), rest.reverse()));
  };
  switch (op.op) {
    case 'pack': {
      const here = same(rank(op.held, op.axes), add({ op: 'index', axis: op.to }));
      sum(op.axes, map('chain', op.arg, map('mul', op.held, here)));
      break;
    }
    case 'unpack': sum([op.from], map('chain', op.arg, same(op.number, numbers(op.axes)))); break;
    case 'tally': sum(axesOf(op.arg), same(op.arg, numbers(op.axes))); break;
    case 'queue': {
      const own = same(op.arg, numbers(op.axes));
      const row = sum(withoutAxes(axesOf(op.arg), [ROW]), own);
      const place = sum(op.axes, map('mul', own, map('add', op.first, before(row))));
      map('sub', place, same(op.arg, literal(0)));
      break;
    }
  }
  // The last of them is the tile itself.
  const last = lets[lets.length - 1];
  tiles.pop();
  last.tile = tile;
  return lets;
}
