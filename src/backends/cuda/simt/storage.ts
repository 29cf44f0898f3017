import type { Axis } from '../../../ir/common/axes.js';
import type { TileId, TileKernel, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { operands, usesOf, type Uses } from '../uses.js';

/** Where the values of a tile are: nowhere (the expression is repeated where it is used), in one register of every thread, or in an array. */
export type Home =
  | { readonly kind: 'inline'; readonly op: TileOp }
  | { readonly kind: 'scalar' }
  | { readonly kind: 'array'; readonly elements: number; readonly space: 'shared' | 'global'; readonly offset: number };

export interface Storage {
  readonly homes: ReadonlyMap<TileId, Home>;
  /** Floats. */
  readonly sharedFloats: number;
  /** Floats of scratch in device memory, per block. */
  readonly globalFloats: number;
}

/** Reads its operand many times per element, or in another order: operands must have values. */
const folds = (op: TileOp): boolean => {
  switch (op.op) {
    case 'contract': case 'compose': case 'reduce': case 'cumsum': case 'recur': case 'inverse': case 'dscore': case 'dscoreRow': case 'dscoreCol': return true;
    case 'load': case 'literal': case 'zeros': case 'head': case 'heads': case 'map': case 'swap': case 'pick': case 'mask': case 'keep': case 'shift': return false;
  }
};

const free = (op: TileOp): boolean => op.op === 'literal' || op.op === 'head' || op.op === 'heads' || op.op === 'zeros';

/**
 * Decides homes, then gives arrays offsets by first fit over their live intervals; what does not fit in `limit` floats goes to device memory.
 */
export function planStorage(kernel: TileKernel, elementsOf: (axes: readonly Axis[]) => number, limit: number): Storage {
  const uses = usesOf(kernel);
  const homes = new Map<TileId, Home>();
  const arrays: TileId[] = [];
  for (const [tile, def] of uses.defs) {
    const op = def.op;
    if (op !== undefined && inlines(tile, op, uses)) homes.set(tile, { kind: 'inline', op });
    else if (kernel.tiles[tile].axes.length === 0) homes.set(tile, { kind: 'scalar' });
    else arrays.push(tile);
  }
  const spans = liveness(kernel.body, homes);
  const placed: { start: number; end: number; offset: number; size: number }[] = [];
  let sharedFloats = 0;
  let globalFloats = 0;
  for (const tile of arrays.sort((a, b) => elementsOf(kernel.tiles[a].axes) - elementsOf(kernel.tiles[b].axes))) {
    const elements = elementsOf(kernel.tiles[tile].axes);
    const size = Math.ceil(elements / 4) * 4;
    const { start, end } = spans.get(tile) ?? { start: 0, end: Number.MAX_SAFE_INTEGER };
    const rivals = placed.filter((p) => p.start <= end && start <= p.end).sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const rival of rivals) {
      if (offset + size <= rival.offset) break;
      offset = Math.max(offset, rival.offset + rival.size);
    }
    if (offset + size <= limit) {
      placed.push({ start, end, offset, size });
      sharedFloats = Math.max(sharedFloats, offset + size);
      homes.set(tile, { kind: 'array', elements, space: 'shared', offset });
    } else {
      homes.set(tile, { kind: 'array', elements, space: 'global', offset: globalFloats });
      globalFloats += size;
    }
  }
  return { homes, sharedFloats, globalFloats };
}

function inlines(tile: TileId, op: TileOp, uses: Uses): boolean {
  if (free(op)) return true;
  if (folds(op)) return false;
  const body = uses.defs.get(tile)?.body;
  const readers = uses.bodies.get(tile);
  // A loop around the reader would repeat a load in another place, or see a carried tile later.
  if (readers === undefined || [...readers].some((reader) => reader !== body)) return false;
  const consumers = (body ?? []).filter((stmt) => stmt.kind === 'let' && operands(stmt.op).includes(tile));
  if (consumers.some((stmt) => stmt.kind === 'let' && (folds(stmt.op) || stmt.op.op === 'pick'))) return false;
  const carried = (body ?? []).some((stmt) => stmt.kind === 'loop' && stmt.carry.some((c) => c.init === tile));
  return (uses.counts.get(tile) ?? 0) <= 1 && !carried && !isNext(tile, uses);
}

function isNext(tile: TileId, uses: Uses): boolean {
  const body = uses.defs.get(tile)?.body ?? [];
  const direct = body.some((stmt) => (stmt.kind === 'let' && operands(stmt.op).includes(tile)) || (stmt.kind === 'store' && stmt.value === tile));
  return !direct;
}

/** Live intervals in the numbering of a walk; a tile read inside a loop that began after its definition lives to the loop's end. */
function liveness(body: readonly TileStmt[], homes: ReadonlyMap<TileId, Home>): Map<TileId, { start: number; end: number }> {
  const spans = new Map<TileId, { start: number; end: number }>();
  const loops: { start: number; touched: Set<TileId> }[] = [];
  let now = 0;
  const define = (tile: TileId) => {
    spans.set(tile, { start: now, end: now });
  };
  const read = (tile: TileId): void => {
    const home = homes.get(tile);
    if (home?.kind === 'inline') {
      for (const arg of operands(home.op)) read(arg);
      return;
    }
    const span = spans.get(tile);
    if (span === undefined) return;
    span.end = Math.max(span.end, now);
    for (const loop of loops) if (span.start <= loop.start) loop.touched.add(tile);
  };
  const scan = (stmts: readonly TileStmt[]): void => {
    for (const stmt of stmts) {
      now++;
      switch (stmt.kind) {
        case 'let':
          if (homes.get(stmt.tile)?.kind === 'inline') break;
          for (const arg of operands(stmt.op)) read(arg);
          define(stmt.tile);
          break;
        case 'store':
          read(stmt.value);
          break;
        case 'loop': {
          for (const carry of stmt.carry) read(carry.init);
          for (const carry of stmt.carry) define(carry.tile);
          const loop = { start: now, touched: new Set<TileId>(stmt.carry.map((c) => c.tile)) };
          loops.push(loop);
          scan(stmt.body);
          now++;
          for (const carry of stmt.carry) read(carry.next);
          now++;
          loops.pop();
          for (const tile of loop.touched) {
            const span = spans.get(tile);
            if (span !== undefined) span.end = Math.max(span.end, now);
          }
          break;
        }
        default:
          stmt satisfies never;
      }
    }
  };
  scan(body);
  return spans;
}
