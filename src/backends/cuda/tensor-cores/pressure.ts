import type { TileId, TileLet, TileOp } from '../../../ir/tile/tile.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { FusedSum } from './kernel.js';

/** Registers that a thread of a walk holds, as its statements are made one after the other. */
export interface Pressure {
  /** What it holds once the statement has been made, too. */
  after(stmt: TileLet): number;
  made(stmt: TileLet): void;
  /** Is read by products alone from now on, so that it may be packed for them? */
  onlyMultiplied(tile: TileId): boolean;
  /** What it holds, and the most that it held so far. */
  now(): number;
  peak(): number;
}

/** Readers to come of a matrix in registers: of its values, and of what products take of it, half as much. */
interface Held {
  readonly size: number;
  values: number;
  operands: number;
  packed: boolean;
  /** Its values are those of its operand. */
  rounded: boolean;
}

const registersOf = ({ size, values, operands, packed, rounded }: Held): number => (
  ((values > 0 && !rounded) || (operands > 0 && !packed) ? size : 0) + (packed && (operands > 0 || (rounded && values > 0)) ? size / 2 : 0)
);

export interface PressureOptions {
  readonly lets: readonly TileLet[];
  readonly sums: ReadonlyMap<TileId, FusedSum>;
  readonly defs: ReadonlyMap<TileId, TileOp>;
  /** Registers that a tile takes; 0: it lies elsewhere. */
  readonly size: (tile: TileId) => number;
  /** Matrices that are there before, and those that are read when all is done. */
  readonly given: readonly TileId[];
  readonly goals: readonly TileId[];
}

export function pressureOf({ lets, sums, defs, size, given, goals }: PressureOptions): Pressure {
  const source = (tile: TileId): TileId => {
    const op = defs.get(tile);
    return op?.op === 'swap' ? source(op.arg) : tile;
  };
  /** What a statement reads: values, and left operands of products. */
  const reads = ({ tile, op }: TileLet): { readonly values: readonly TileId[]; readonly operands: readonly TileId[] } => {
    const sum = sums.get(tile);
    const product = sum === undefined ? op : defs.get(sum.product);
    if (op.op === 'swap') return { values: [], operands: [] };
    const values = sum === undefined ? [] : [source(sum.other)];
    return product?.op === 'contract'
      ? { values, operands: operandsOf(product).map(source) }
      : { values: operandsOf(op).map(source), operands: [] };
  };
  const held = new Map<TileId, Held>();
  const there = new Set<TileId>(given);
  const heldOf = (tile: TileId): Held => {
    const found = held.get(tile) ?? { size: size(tile), values: 0, operands: 0, packed: false, rounded: false };
    held.set(tile, found);
    return found;
  };
  const fused = new Set([...sums.values()].map(({ product }) => product));
  for (const stmt of lets) {
    if (fused.has(stmt.tile)) continue;
    const { values, operands } = reads(stmt);
    for (const tile of values) heldOf(tile).values++;
    for (const tile of operands) heldOf(tile).operands++;
  }
  for (const goal of goals) heldOf(source(goal)).values++;
  /** What of the matrices that a statement touches is held before and after it, and what they become. */
  const step = (stmt: TileLet) => {
    const next = new Map<TileId, Held>();
    const change = (tile: TileId, by: Partial<Held>) => next.set(tile, { ...(next.get(tile) ?? heldOf(tile)), ...by });
    const { values, operands } = reads(stmt);
    const now = (tile: TileId) => next.get(tile) ?? heldOf(tile);
    for (const tile of values) change(tile, { values: now(tile).values - 1 });
    for (const tile of operands) change(tile, { operands: now(tile).operands - 1, packed: true });
    // It is packed, and so is what it is made of.
    if (stmt.op.op === 'round') {
      change(stmt.tile, { packed: true, rounded: true });
      if (now(source(stmt.op.arg)).operands > 0) change(source(stmt.op.arg), { packed: true });
    }
    const fresh = now(stmt.tile);
    if (stmt.op.op === 'map' && !sums.has(stmt.tile) && fresh.values === 0) change(stmt.tile, { packed: true });
    const before = [...next.keys()].reduce((sum, tile) => sum + (there.has(tile) ? registersOf(heldOf(tile)) : 0), 0);
    change(stmt.tile, {});
    const after = [...next].reduce((sum, [tile, one]) => sum + (there.has(tile) || tile === stmt.tile ? registersOf(one) : 0), 0);
    return { next, change: after - before };
  };
  let now = given.reduce((sum, tile) => sum + registersOf(heldOf(tile)), 0);
  let most = now;
  return {
    after: (stmt) => now + (stmt.op.op === 'swap' ? 0 : step(stmt).change),
    made(stmt) {
      if (stmt.op.op === 'swap') return;
      const { next, change } = step(stmt);
      for (const [tile, one] of next) held.set(tile, one);
      there.add(stmt.tile);
      now += change;
      most = Math.max(most, now);
    },
    onlyMultiplied: (tile) => heldOf(tile).values === 0 && heldOf(tile).operands > 0,
    now: () => now,
    peak: () => most,
  };
}
