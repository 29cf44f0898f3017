import { COL, ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileKernel, TileOp, TileStmt, TileType } from '../../../ir/tile/tile.js';
import { prune } from '../../../ir/tile/prune.js';

/** A factor of a tile: the tile, and what has to happen to it first (innermost first). */
interface Factor {
  readonly tile: TileId;
  readonly through: readonly ('swap' | 'keep')[];
}

/** The tiles written so far. */
interface Tiles {
  readonly types: readonly TileType[];
  readonly defs: ReadonlyMap<TileId, TileOp>;
}

const axesOf = ({ types }: Tiles, tile: TileId) => types[tile].axes;

/** A matrix as the product of a base, transposed or not, with vectors and numbers. */
function factorsOf(tiles: Tiles, tile: TileId): { readonly base: TileId; readonly turned: boolean; readonly factors: readonly Factor[] } {
  const op = tiles.defs.get(tile);
  if (op?.op === 'swap' && op.axes === undefined) {
    const inner = factorsOf(tiles, op.arg);
    return { base: inner.base, turned: !inner.turned, factors: inner.factors.map((f) => ({ ...f, through: [...f.through, 'swap'] })) };
  }
  if (op?.op === 'keep') {
    const inner = factorsOf(tiles, op.arg);
    // Rows beyond the sequence are zero in the tensor already; its factors might be infinite there.
    const factors = inner.factors.map((f): Factor => (axesOf(tiles, f.tile).includes(ROW) ? { ...f, through: [...f.through, 'keep'] } : f));
    if (tiles.defs.get(inner.base)?.op === 'load' && !inner.turned) return { ...inner, factors };
  }
  if (op?.op === 'map' && op.fn === 'mul') {
    for (const [x, f] of [op.args, [op.args[1], op.args[0]]]) {
      if (axesOf(tiles, x).length === 2 && axesOf(tiles, f).length < 2) {
        const inner = factorsOf(tiles, x);
        return { ...inner, factors: [...inner.factors, { tile: f, through: [] }] };
      }
    }
  }
  return { base: tile, turned: false, factors: [] };
}

/** Numbers that multiply a tile, and the tile without them. */
function numbersOf(tiles: Tiles, tile: TileId): { readonly base: TileId; readonly turned: boolean; readonly numbers: readonly TileId[] } {
  const op = tiles.defs.get(tile);
  if (op?.op === 'swap' && op.axes === undefined) {
    const inner = numbersOf(tiles, op.arg);
    return { ...inner, turned: !inner.turned };
  }
  if (op?.op === 'map' && op.fn === 'mul') {
    const [x, y] = op.args;
    const [rest, number] = axesOf(tiles, x).length === 0 ? [y, x] : [x, y];
    if (axesOf(tiles, number).length === 0 && axesOf(tiles, rest).length === 2) {
      const inner = numbersOf(tiles, rest);
      return { ...inner, numbers: [...inner.numbers, number] };
    }
  }
  return { base: tile, turned: false, numbers: [] };
}

/** A product with its operands replaced; other operations as they are. */
function withOperands(op: TileOp, replaced: (tile: TileId) => TileId): TileOp {
  switch (op.op) {
    case 'contract': return { ...op, a: replaced(op.a), b: replaced(op.b) };
    case 'dscore': return { ...op, x: replaced(op.x), y: replaced(op.y) };
    case 'dscoreRow': return { ...op, a: replaced(op.a), y: replaced(op.y) };
    case 'dscoreCol': return { ...op, a: replaced(op.a), x: replaced(op.x) };
    default: return op;
  }
}

const swapped = (axes: readonly Axis[]) => axes.map((axis) => (axis === ROW ? COL : axis === COL ? ROW : axis));

/**
 * Frees the operands of products from numbers, so that a tile that enters several products is rounded the same in all of them (the gradient
 * of a gate is a difference of two such sums), and the right operands from vectors: contract(x, y * f) with f along the contracted axis is
 * contract(x * f, y), along the other axis f * contract(x, y). What remains is a tensor as it lies in memory, which the matrix units read
 * with no pass over it, and no operand is rounded twice (docs/algorithms.md: tolerances). `rowOf` names the axis that a result keeps in
 * registers: the operand that lacks it is the right one.
 */
export function freeOperands(kernel: TileKernel, rowOf: (axes: readonly Axis[]) => Axis | undefined): TileKernel {
  const types: TileType[] = [...kernel.tiles];
  const defs = new Map<TileId, TileOp>();
  const tiles: Tiles = { types, defs };
  const newTile = (axes: readonly Axis[]): TileId => types.push({ axes }) - 1;

  const rewriteBody = (body: readonly TileStmt[]): TileStmt[] => {
    const out: TileStmt[] = [];
    const put = (tile: TileId, op: TileOp): TileId => {
      defs.set(tile, op);
      out.push({ kind: 'let', tile, op });
      return tile;
    };
    const swap = (tile: TileId) => put(newTile(swapped(axesOf(tiles, tile))), { op: 'swap', arg: tile });
    const keep = (tile: TileId) => put(newTile(axesOf(tiles, tile)), { op: 'keep', arg: tile });
    const times = (a: TileId, b: TileId) => put(
      newTile([...new Set([...axesOf(tiles, a), ...axesOf(tiles, b)])]), { op: 'map', fn: 'mul', args: [a, b] },
    );
    const product = (factors: readonly TileId[]) => factors.slice(1).reduce(times, factors[0]);

    /** Operands without numbers: those multiply the result. False if there are none. */
    const freeOfNumbers = (tile: TileId, op: TileOp): boolean => {
      const numbers: TileId[] = [];
      const bare = withOperands(op, (operand) => {
        const found = numbersOf(tiles, operand);
        numbers.push(...found.numbers);
        return found.numbers.length === 0 ? operand : found.turned ? swap(found.base) : found.base;
      });
      if (numbers.length === 0) return false;
      const all = product(numbers);
      const unscaled = newTile(axesOf(tiles, tile));
      // The product may have vectors to get rid of, too.
      out.push(...rewriteBody([{ kind: 'let', tile: unscaled, op: bare }]));
      put(tile, { op: 'map', fn: 'mul', args: [unscaled, all] });
      return true;
    };

    /**
     * A right operand without vectors: those along the contracted axis multiply the left one, others the result. False if there is nothing
     * to do.
     */
    const freeOfVectors = (tile: TileId, op: TileOp): boolean => {
      const row = rowOf(axesOf(tiles, tile));
      if (op.op !== 'contract' || axesOf(tiles, tile).length !== 2 || row === undefined) return false;
      const [left, right] = axesOf(tiles, op.a).includes(row) ? [op.a, op.b] : [op.b, op.a];
      const { base, turned, factors } = factorsOf(tiles, right);
      if (axesOf(tiles, right).includes(row) || factors.length === 0 || defs.get(base)?.op !== 'load') return false;
      let scaled = left;
      const outside: TileId[] = [];
      for (const factor of factors) {
        const f = factor.through.reduce((inner, how) => (how === 'swap' ? swap(inner) : keep(inner)), factor.tile);
        if (axesOf(tiles, f).includes(op.axis)) scaled = times(scaled, f);
        else outside.push(f);
      }
      const freed: TileOp = { ...op, a: scaled, b: turned ? swap(base) : base };
      if (outside.length === 0) put(tile, freed);
      else {
        const inner = put(newTile(axesOf(tiles, tile)), freed);
        put(tile, { op: 'map', fn: 'mul', args: [inner, product(outside)] });
      }
      return true;
    };

    for (const stmt of body) {
      if (stmt.kind === 'loop') out.push({ ...stmt, body: rewriteBody(stmt.body) });
      else if (stmt.kind === 'store') out.push(stmt);
      else if (!freeOfNumbers(stmt.tile, stmt.op) && !freeOfVectors(stmt.tile, stmt.op)) put(stmt.tile, stmt.op);
    }
    return out;
  };
  const body = rewriteBody(kernel.body);
  return prune({ ...kernel, tiles: types, body });
}
