import { ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileKernel, TileOp, TileStmt, TileType } from '../../../ir/tile/tile.js';
import { operandsOf } from '../../../ir/tile/operands.js';

/** A factor of a tile: the tile, and what has to happen to it first (innermost first). */
interface Factor {
  readonly tile: TileId;
  readonly through: readonly ('swap' | 'keep')[];
}

/**
 * Frees the operands of products from numbers, so that a tile that enters several products is rounded the same in all of them (the gradient of a
 * gate is a difference of two such sums), and the right operands from vectors: contract(x, y * f) with f along the contracted axis is contract(x * f, y), along the
 * other axis f * contract(x, y). What remains is a tensor as it lies in memory, which the matrix units read with no pass over it, and no
 * operand is rounded twice (docs/algorithms.md: tolerances). `rowOf` names the axis that a result keeps in registers: the operand that lacks it is the right one.
 */
export function freeOperands(kernel: TileKernel, rowOf: (axes: readonly Axis[]) => Axis | undefined): TileKernel {
  const tiles: TileType[] = [...kernel.tiles];
  const defs = new Map<TileId, TileOp>();
  const axesOf = (tile: TileId) => tiles[tile].axes;

  const factorsOf = (tile: TileId): { base: TileId; turned: boolean; factors: Factor[] } => {
    const op = defs.get(tile);
    if (op?.op === 'swap') {
      const inner = factorsOf(op.arg);
      return { base: inner.base, turned: !inner.turned, factors: inner.factors.map((f) => ({ ...f, through: [...f.through, 'swap'] })) };
    }
    if (op?.op === 'keep') {
      const inner = factorsOf(op.arg);
      // Rows beyond the sequence are zero in the tensor already; its factors might be infinite there.
      const factors = inner.factors.map((f): Factor => (axesOf(f.tile).includes(ROW) ? { ...f, through: [...f.through, 'keep'] } : f));
      if (defs.get(inner.base)?.op === 'load' && !inner.turned) return { ...inner, factors };
    }
    if (op?.op === 'map' && op.fn === 'mul') {
      for (const [x, f] of [op.args, [op.args[1], op.args[0]]]) {
        if (axesOf(x).length === 2 && axesOf(f).length < 2) {
          const inner = factorsOf(x);
          return { ...inner, factors: [...inner.factors, { tile: f, through: [] }] };
        }
      }
    }
    return { base: tile, turned: false, factors: [] };
  };

  /** Numbers that multiply a tile, and the tile without them. */
  const numbersOf = (tile: TileId): { base: TileId; turned: boolean; numbers: TileId[] } => {
    const op = defs.get(tile);
    if (op?.op === 'swap') {
      const inner = numbersOf(op.arg);
      return { ...inner, turned: !inner.turned };
    }
    if (op?.op === 'map' && op.fn === 'mul') {
      const [x, y] = op.args;
      const [rest, number] = axesOf(x).length === 0 ? [y, x] : [x, y];
      if (axesOf(number).length === 0 && axesOf(rest).length === 2) {
        const inner = numbersOf(rest);
        return { ...inner, numbers: [...inner.numbers, number] };
      }
    }
    return { base: tile, turned: false, numbers: [] };
  };

  const rewriteBody = (body: readonly TileStmt[]): TileStmt[] => {
    const out: TileStmt[] = [];
    const add = (axes: readonly Axis[], op: TileOp): TileId => {
      tiles.push({ axes });
      const tile = tiles.length - 1;
      defs.set(tile, op);
      out.push({ kind: 'let', tile, op });
      return tile;
    };
    const swapped = (axes: readonly Axis[]) => axes.map((axis) => (axis === ROW ? '%col' : axis === '%col' ? ROW : axis));
    const through = (f: Factor): TileId =>
      f.through.reduce((tile, how) => add(how === 'swap' ? swapped(axesOf(tile)) : axesOf(tile), how === 'swap' ? { op: 'swap', arg: tile } : { op: 'keep', arg: tile }), f.tile);
    const bare = (tile: TileId, numbers: TileId[]): TileId => {
      const found = numbersOf(tile);
      if (found.numbers.length === 0) return tile;
      numbers.push(...found.numbers);
      return found.turned ? add(swapped(axesOf(found.base)), { op: 'swap', arg: found.base }) : found.base;
    };
    const withoutNumbers = (op: TileOp): { op: TileOp; numbers: readonly TileId[] } => {
      const numbers: TileId[] = [];
      switch (op.op) {
        case 'contract': return { op: { ...op, a: bare(op.a, numbers), b: bare(op.b, numbers) }, numbers };
        case 'dscore': return { op: { ...op, x: bare(op.x, numbers), y: bare(op.y, numbers) }, numbers };
        case 'dscoreRow': return { op: { ...op, a: bare(op.a, numbers), y: bare(op.y, numbers) }, numbers };
        case 'dscoreCol': return { op: { ...op, a: bare(op.a, numbers), x: bare(op.x, numbers) }, numbers };
        case 'load': case 'literal': case 'zeros': case 'head': case 'heads': case 'keep': case 'round': case 'map': case 'reduce': case 'swap': case 'cumsum':
        case 'shift': case 'pick': case 'mask': case 'inverse': case 'compose': case 'recur':
          return { op, numbers };
      }
    };
    const times = (a: TileId, b: TileId) => add([...new Set([...axesOf(a), ...axesOf(b)])], { op: 'map', fn: 'mul', args: [a, b] });

    for (const stmt of body) {
      if (stmt.kind === 'loop') {
        out.push({ ...stmt, body: rewriteBody(stmt.body) });
        continue;
      }
      if (stmt.kind === 'store') {
        out.push(stmt);
        continue;
      }
      const { tile } = stmt;
      const { op, numbers } = withoutNumbers(stmt.op);
      if (numbers.length > 0) {
        const all = numbers.slice(1).reduce(times, numbers[0]);
        tiles.push({ axes: axesOf(tile) });
        const product = tiles.length - 1;
        const scaled: TileOp = { op: 'map', fn: 'mul', args: [product, all] };
        // The product may have vectors to get rid of, too.
        out.push(...rewriteBody([{ kind: 'let', tile: product, op }]), { kind: 'let', tile, op: scaled });
        defs.set(tile, scaled);
        continue;
      }
      defs.set(tile, op);
      const row = rowOf(axesOf(tile));
      if (op.op !== 'contract' || axesOf(tile).length !== 2 || row === undefined) {
        out.push(stmt);
        continue;
      }
      const [left, right] = axesOf(op.a).includes(row) ? [op.a, op.b] : [op.b, op.a];
      const found = factorsOf(right);
      if (axesOf(right).includes(row) || found.factors.length === 0 || defs.get(found.base)?.op !== 'load') {
        out.push(stmt);
        continue;
      }
      let scaled = left;
      const outside: TileId[] = [];
      for (const factor of found.factors) {
        const f = through(factor);
        if (axesOf(f).includes(op.axis)) scaled = times(scaled, f);
        else outside.push(f);
      }
      const base = found.turned ? add(swapped(axesOf(found.base)), { op: 'swap', arg: found.base }) : found.base;
      if (outside.length === 0) {
        out.push({ kind: 'let', tile, op: { ...op, a: scaled, b: base } });
        continue;
      }
      const product = add(axesOf(tile), { op: 'contract', a: scaled, b: base, axis: op.axis });
      const all = outside.slice(1).reduce(times, outside[0]);
      const last: TileOp = { op: 'map', fn: 'mul', args: [product, all] };
      defs.set(tile, last);
      out.push({ kind: 'let', tile, op: last });
    }
    return out;
  };
  const body = rewriteBody(kernel.body);
  return prune({ ...kernel, tiles, body });
}

/** Leaves out statements whose tile nobody reads. */
function prune(kernel: TileKernel): TileKernel {
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


