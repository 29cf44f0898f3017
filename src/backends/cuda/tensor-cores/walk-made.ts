import type { Axis } from '../../../ir/common/axes.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLoop, TileModule, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { bufferNamed } from '../address.js';
import { windowsOf, type Window } from '../registers/windows.js';
import type { Load } from './memory.js';

type Let = Extract<TileStmt, { kind: 'let' }>;

/**
 * A tile of tokens along the split axis that is made, element by element, of a tensor's rows near each other, and 0 beyond the run. The
 * team that loads makes it of the tile that a copy brings and of the rows before that, so that the team that walks finds it as if it had
 * been loaded.
 */
export interface Made {
  readonly tile: TileId;
  /** The same before rows beyond the run are cleared. */
  readonly value: TileId;
  readonly buffer: string;
  /** The chunk's rows of the tensor. */
  readonly near: TileId;
  readonly window: Window;
  readonly steps: readonly Let[];
  /** What is the same at every token. */
  readonly steady: readonly TileId[];
  /** Tiles that nobody else reads. */
  readonly inner: ReadonlySet<TileId>;
}

export const isLoad = (op: TileOp | undefined): op is Load => op?.op === 'load';

export function madeIn(module: TileModule, kernel: TileKernel, loop: TileLoop, split: Axis): ReadonlyMap<TileId, Made> {
  const windows = loop.over === 'chunks' ? windowsOf(module, kernel) : new Map<string, Window>();
  const found = new Map<TileId, Made>();
  if (windows.size === 0) return found;
  const lets = loop.body.filter((stmt) => stmt.kind === 'let');
  for (const { tile, op } of lets) {
    if (op.op !== 'keep' || kernel.tiles[tile].axes.length !== 2 || !kernel.tiles[tile].axes.includes(split)) continue;
    const made = madeOf(module, kernel, loop, split, windows, { tile, value: op.arg });
    if (made !== undefined) found.set(tile, made);
  }
  return found;
}

function madeOf(
  module: TileModule, kernel: TileKernel, loop: TileLoop, split: Axis, windows: ReadonlyMap<string, Window>,
  { tile, value }: Pick<Made, 'tile' | 'value'>,
): Made | undefined {
  const defs = new Map(loop.body.flatMap((stmt) => (stmt.kind === 'let' ? [[stmt.tile, stmt] as const] : [])));
  const inner = new Set<TileId>();
  const steady = new Set<TileId>();
  const steps: Let[] = [];
  const nears = new Map<string, TileId | undefined>();
  const visit = (at: TileId): boolean => {
    const stmt = defs.get(at);
    const { axes } = kernel.tiles[at];
    if (inner.has(at)) return true;
    if (stmt === undefined || stmt.op.op === 'literal') {
      steady.add(at);
      return axes.every((axis) => axis === split);
    }
    const { op } = stmt;
    if (isLoad(op)) {
      if (op.rows !== 'row' || !windows.has(op.buffer) || (op.back ?? 0) < 0) return false;
      if (op.back === undefined) nears.set(op.buffer, at);
      else {
        nears.set(op.buffer, nears.get(op.buffer));
        inner.add(at);
      }
      return true;
    }
    if (op.op === 'put') {
      if (![...windows.values()].some(({ put }) => put.has(at))) return false;
      inner.add(at);
      if (defs.has(op.of)) inner.add(op.of);
      return visit(op.arg);
    }
    if (op.op !== 'map' || !op.args.every(visit)) return false;
    inner.add(at);
    steps.push(stmt);
    return true;
  };
  if (!visit(value) || nears.size !== 1) return undefined;
  const [[name, near]] = nears;
  const window = windows.get(name);
  const buffer = bufferNamed(module, name);
  if (near === undefined || window === undefined || window.before === 0 || window.after > 0) return undefined;
  if (buffer.dtype !== 'io' || buffer.axes.length !== 1 || buffer.axes[0] !== split) return undefined;
  const elsewhere = [
    ...loop.carry.map(({ next }) => next),
    ...loop.body.flatMap((stmt) => {
      if (stmt.kind === 'store') return [stmt.value];
      return stmt.kind === 'let' && stmt.tile !== tile && !inner.has(stmt.tile) ? operandsOf(stmt.op) : [];
    }),
  ];
  return elsewhere.some((at) => inner.has(at)) ? undefined : { tile, value, buffer: name, near, window, steps, steady: [...steady], inner };
}
