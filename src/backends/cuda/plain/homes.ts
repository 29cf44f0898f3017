import { COL, includesAll, ROW, sameAxes, type Axis } from '../../../ir/common/axes.js';
import { storedBuffers } from '../../../ir/tile/buffers.js';
import { hasRole, isElementwise, operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLoop, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { eachStatement, usesOf, type Uses } from '../uses.js';

/**
 * Where the values of a tile are: nowhere (the expression stands where it is used), in one register of every thread, in an array, in the
 * array of the carried tile it replaces, or in registers: accumulators of a product that runs where its result is used, what a loop
 * carries.
 */
export type Home =
  | { readonly kind: 'inline'; readonly op: TileOp }
  | { readonly kind: 'scalar' }
  | { readonly kind: 'array' }
  | { readonly kind: 'same'; readonly as: TileId }
  /** In a register of the thread that goes through a loop for it: the expression's spot knows its name. */
  | { readonly kind: 'running' }
  | { readonly kind: 'fused'; readonly op: Product };

export type Homes = ReadonlyMap<TileId, Home>;
export type Product = Extract<TileOp, { op: 'contract' | 'compose' }>;

/** The matrix product of an operation as [m, k] x [k, n]. */
export interface ProductAxes {
  readonly m: Axis;
  readonly n: Axis;
  /** Name of the summed axis in either operand. */
  readonly ka: Axis;
  readonly kb: Axis;
}

/** `undefined`: no product of two matrices (batched, or with a vector). */
export function productAxes(kernel: TileKernel, op: TileOp): ProductAxes | undefined {
  if (op.op === 'compose') return { m: ROW, n: COL, ka: COL, kb: ROW };
  if (op.op !== 'contract') return undefined;
  const [a, b] = [kernel.tiles[op.a].axes, kernel.tiles[op.b].axes];
  if (a.length !== 2 || b.length !== 2) return undefined;
  const [m, n] = [a, b].map((axes) => axes.find((axis) => axis !== op.axis));
  return m === undefined || n === undefined || m === n ? undefined : { m, n, ka: op.axis, kb: op.axis };
}

const free = (op: TileOp): boolean => hasRole(op, 'free');

/** What reads a tile, one entry per place. `same` body as the definition. */
interface Reader {
  readonly by: 'store' | 'init' | 'next' | TileOp;
  readonly tile: TileId | undefined;
  readonly same: boolean;
}

function readersOf(kernel: TileKernel, uses: Uses): ReadonlyMap<TileId, readonly Reader[]> {
  const readers = new Map<TileId, Reader[]>();
  const note = (tile: TileId, by: Reader['by'], reader: TileId | undefined, body: readonly TileStmt[]) =>
    readers.set(tile, [...(readers.get(tile) ?? []), { by, tile: reader, same: uses.defs.get(tile)?.body === body }]);
  const scan = (body: readonly TileStmt[]): void => {
    for (const stmt of body) {
      switch (stmt.kind) {
        case 'let':
          for (const arg of operandsOf(stmt.op)) note(arg, stmt.op, stmt.tile, body);
          break;
        case 'store':
          note(stmt.value, 'store', undefined, body);
          break;
        case 'loop':
          for (const carry of stmt.carry) {
            note(carry.init, 'init', carry.tile, body);
            note(carry.next, 'next', carry.tile, stmt.body);
          }
          scan(stmt.body);
          break;
        default:
          stmt satisfies never;
      }
    }
  };
  scan(kernel.body);
  return readers;
}

/** `cellOf`: axes of what a store writes, token axes left out. */
export function homesOf(kernel: TileKernel, cellOf: (buffer: string) => readonly Axis[]): Homes {
  const uses = usesOf(kernel);
  const readers = readersOf(kernel, uses);
  const stored = new Set(storedBuffers(kernel.body));
  const homes = new Map<TileId, Home>();
  const axesOf = (tile: TileId) => kernel.tiles[tile].axes;
  const isProduct = (op: TileOp) => productAxes(kernel, op) !== undefined;

  /** May the expression of `tile` stand at all its readers instead? */
  const inlines = (tile: TileId, op: TileOp): boolean => {
    if (free(op)) return true;
    if (!isElementwise(op)) return false;
    const list = readers.get(tile) ?? [];
    if (list.some(({ same }) => !same)) return false;
    const { length } = axesOf(tile);
    const inner = op.op === 'swap' ? homes.get(op.arg) : undefined;
    const view = (
      op.op === 'swap' && (inner?.kind !== 'inline' || inner.op.op === 'load')
    ) || (op.op === 'load' && length > 1 && !stored.has(op.buffer));
    if (!view && list.length > 1) return false;
    return list.every(({ by, tile: reader }) => {
      if (by === 'next') return false;
      if (by === 'init') return op.op === 'load' && list.length === 1;
      if (by === 'store') return true;
      // Matrices of every token take the most room.
      if (by.op === 'pick' || by.op === 'recur') return length > 2;
      // Folds read every element once; so do products, which copy their operands.
      if (by.op === 'reduce' || by.op === 'runs' || by.op === 'contract' || by.op === 'compose') return length > 1 || by.op === 'reduce';
      // A vector over a matrix would be computed once per row.
      return isElementwise(by) && reader !== undefined && (length === axesOf(reader).length || op.op === 'swap' || length === 0);
    });
  };
  for (const [tile, { op }] of uses.defs) {
    if (op !== undefined && inlines(tile, op) && !(axesOf(tile).length === 0 && !free(op))) homes.set(tile, { kind: 'inline', op });
    else homes.set(tile, { kind: axesOf(tile).length === 0 ? 'scalar' : 'array' });
  }

  const spread = new Set<TileId>();
  eachStatement(kernel.body, (stmt) => {
    if (stmt.kind !== 'store') return;
    if (stmt.by !== undefined || !includesAll(axesOf(stmt.value), cellOf(stmt.buffer))) spread.add(stmt.value);
  });
  // Products whose result only one elementwise statement reads run there.
  const taken = new Map<TileId | TileStmt, number>();
  const rootOf = (tile: TileId): TileId | 'store' | undefined => {
    const list = readers.get(tile) ?? [];
    if (list.length !== 1 || !list[0].same) return undefined;
    const [{ by, tile: reader }] = list;
    // A store that repeats the value along an axis, or brings it to other rows, is no place for the product.
    if (by === 'store') return spread.has(tile) ? undefined : 'store';
    if (by === 'init' || by === 'next' || reader === undefined || !['map', 'keep', 'mask'].includes(by.op)) return undefined;
    if (!sameAxes(axesOf(reader), axesOf(tile))) return undefined;
    return homes.get(reader)?.kind === 'inline' ? rootOf(reader) : homes.get(reader)?.kind === 'array' ? reader : undefined;
  };
  for (const [tile, { op, body }] of uses.defs) {
    if (op === undefined || (op.op !== 'contract' && op.op !== 'compose') || !isProduct(op)) continue;
    const root = rootOf(tile);
    if (root === undefined) continue;
    const key = root === 'store' ? storeOf(body, tile, uses) : root;
    // Two sets of accumulators are as many as registers hold.
    if (key === undefined || (taken.get(key) ?? 0) >= 2) continue;
    taken.set(key, (taken.get(key) ?? 0) + 1);
    homes.set(tile, { kind: 'fused', op });
  }
  eachStatement(kernel.body, (stmt) => {
    if (stmt.kind === 'loop') for (const tile of inPlace(kernel, stmt, homes)) homes.set(tile.next, { kind: 'same', as: tile.tile });
  });
  return homes;
}

/** The store at the end of a chain of statements that have one reader each. */
function storeOf(body: readonly TileStmt[], tile: TileId, uses: Uses): TileStmt | undefined {
  for (const stmt of body) {
    if (stmt.kind === 'store' && stmt.value === tile) return stmt;
    if (stmt.kind === 'let' && operandsOf(stmt.op).includes(tile) && uses.defs.get(stmt.tile)?.body === body) {
      return storeOf(body, stmt.tile, uses);
    }
  }
  return undefined;
}

/** Tiles that have values of their own and that an expression reads; `moved`: at another index than that of the result. */
export function leavesOf(homes: Homes, tile: TileId, moved = false): readonly { readonly tile: TileId; readonly moved: boolean }[] {
  const home = homes.get(tile);
  switch (home?.kind) {
    case undefined: case 'running': return [];
    case 'inline': {
      // `put` moves no row but the one that it writes.
      const moves = hasRole(home.op, 'move') && home.op.op !== 'put';
      return operandsOf(home.op).flatMap((arg) => leavesOf(homes, arg, moved || moves));
    }
    case 'fused': return operandsOf(home.op).flatMap((arg) => leavesOf(homes, arg, true));
    case 'same': return [{ tile: home.as, moved }];
    case 'scalar': case 'array': return [{ tile, moved }];
  }
}

/** Carried tiles whose next value can be written over the present one, which nothing reads afterwards. */
function inPlace(kernel: TileKernel, loop: TileLoop, homes: Homes): readonly { readonly tile: TileId; readonly next: TileId }[] {
  return loop.carry.filter(({ tile, next }) => {
    const at = loop.body.findIndex((stmt) => stmt.kind === 'let' && stmt.tile === next);
    const def = loop.body[at];
    if (def?.kind !== 'let' || tile === next || homes.get(next)?.kind !== 'array' || !isElementwise(def.op)) return false;
    if (loop.carry.filter((carry) => carry.next === next).length > 1) return false;
    if (kernel.tiles[tile].axes.join() !== kernel.tiles[next].axes.join()) return false;
    const own = operandsOf(def.op).flatMap((arg) => leavesOf(homes, arg, def.op.op === 'swap' || def.op.op === 'shift'));
    if (own.some((leaf) => leaf.tile === tile && leaf.moved)) return false;
    // Other carried tiles may take this one's value of before, or be read by it.
    if (loop.carry.some((carry) => carry.tile !== tile && leavesOf(homes, carry.next).some((leaf) => leaf.tile === tile))) return false;
    return !loop.body.slice(at + 1).some((stmt) => reads(stmt, homes).includes(tile));
  });
}

function reads(stmt: TileStmt, homes: Homes): readonly TileId[] {
  switch (stmt.kind) {
    case 'let': {
      const kind = homes.get(stmt.tile)?.kind;
      return kind === 'inline' || kind === 'fused'
        ? []
        : operandsOf(stmt.op).flatMap((arg) => leavesOf(homes, arg).map((leaf) => leaf.tile));
    }
    case 'store': return leavesOf(homes, stmt.value).map((leaf) => leaf.tile);
    case 'loop': return [
      ...stmt.carry.flatMap((carry) => leavesOf(homes, carry.init).map((leaf) => leaf.tile)),
      ...stmt.body.flatMap((inner) => reads(inner, homes)),
    ];
  }
}
