import type { Axis } from '../../ir/common/axes.js';
import { storedBuffers } from '../../ir/tile/buffers.js';
import { hasRole, operandsOf, roleOf } from '../../ir/tile/facts.js';
import {
  withKernels, type TileBuffer, type TileId, type TileKernel, type TileModule, type TileOp, type TileStmt,
} from '../../ir/tile/tile.js';
import { sum } from '../../support/sum.js';
import { axisSize } from '../describe.js';
import { isProduct } from './roles.js';

/**
 * Accesses of memory that a kernel may have in its text. Compilers of drivers take time that grows with the square of these: lavapipe's
 * (LLVM 15) 0.3 ms times their square, so that 190 take ten seconds and 780 three minutes.
 */
const MOST = 192;
/** Values that are worked out again in each piece are made of so many operations at most. */
const AGAIN = 8;

interface Cut {
  readonly module: TileModule;
  readonly kernel: TileKernel;
  readonly operations: ReadonlyMap<TileId, TileOp>;
  /** Operations that working out a tile from memory alone takes; Infinity: it is kept instead. */
  readonly again: ReadonlyMap<TileId, number>;
}

/**
 * Cuts kernels with too much text into several that follow each other: what one has and a later one reads goes through a workspace, where
 * much of it would lie anyway, since workgroup memory is small; values made of loads by a few operations are made again.
 * Numbers stay as they are: workspaces hold what tiles hold.
 */
export function cutKernels(module: TileModule): TileModule {
  const buffers: TileBuffer[] = [];
  const pieces = new Map<string, readonly TileKernel[]>();
  const names = new Set(module.kernels.map(({ name }) => name));
  for (const kernel of module.kernels) {
    const cut = piecesOf(module, kernel, names);
    buffers.push(...cut.buffers);
    pieces.set(kernel.name, cut.kernels);
    for (const { name } of cut.kernels) names.add(name);
  }
  return buffers.length === 0 ? module : withKernels(module, pieces, buffers);
}

function piecesOf(
  module: TileModule, kernel: TileKernel, names: ReadonlySet<string>,
): { readonly kernels: readonly TileKernel[]; readonly buffers: readonly TileBuffer[] } {
  const total = sum(kernel.body.map(accesses));
  if (total <= MOST || kernel.outer !== 'chunk' || kernel.split !== undefined) return { kernels: [kernel], buffers: [] };
  const operations = new Map(kernel.body.flatMap((stmt) => (stmt.kind === 'let' ? [[stmt.tile, stmt.op] as const] : [])));
  const cut: Cut = { module, kernel, operations, again: againOf(kernel, operations) };
  const bodies = parts(cut, Math.ceil(total / MOST), total);
  const buffers = new Map<TileId, TileBuffer>();
  const bufferOf = (tile: TileId): TileBuffer => {
    const { name, domain, inner, tiles } = kernel;
    const buffer = buffers.get(tile) ?? {
      name: `ws.${name}.kept${tile}`, outer: 'chunk', domain, inner, axes: tiles[tile].axes, dtype: 'f32', role: 'workspace',
    };
    buffers.set(tile, buffer);
    return buffer;
  };
  const had = new Set<TileId>();
  const kernels = bodies.map((body, i): TileKernel => {
    const read = bodies.slice(i + 1).flatMap((later) => later.flatMap(usedBy));
    const before = opening(cut, body, had, bufferOf);
    const own = definitions(body);
    const kept = own.filter((tile) => sourcesOf(cut, read).has(tile));
    own.forEach((tile) => had.add(tile));
    const after = kept.map((tile): TileStmt => ({ kind: 'store', buffer: bufferOf(tile).name, value: tile }));
    return { ...kernel, name: i === 0 ? kernel.name : freeName(kernel.name, i + 1, names), body: [...before, ...body, ...after] };
  });
  return { kernels, buffers: [...buffers.values()] };
}

/** The body in `count` parts of about as much text each, cut where least has to be kept. */
function parts(cut: Cut, count: number, total: number): readonly (readonly TileStmt[])[] {
  const { body } = cut.kernel;
  const bounds = [0];
  for (let i = 1; i < count; i++) {
    let best: { readonly at: number; readonly kept: number } | undefined;
    let before = 0;
    for (const [at, stmt] of body.entries()) {
      if (at > bounds[i - 1] && Math.abs((before * count) / total - i) < 0.25) {
        const kept = keptAt(cut, at);
        if (best === undefined || kept < best.kept) best = { at, kept };
      }
      before += accesses(stmt);
    }
    bounds.push(best?.at ?? bounds[i - 1]);
  }
  return bounds.map((from, i) => body.slice(from, bounds[i + 1] ?? body.length)).filter((part) => part.length > 0);
}

/** Elements that a cut before the statement `at` keeps. */
function keptAt(cut: Cut, at: number): number {
  const { module, kernel } = cut;
  const before = new Set(definitions(kernel.body.slice(0, at)));
  const elements = (axes: readonly Axis[]) => axes.reduce((n, axis) => n * axisSize(module, axis), 1);
  return sum([...sourcesOf(cut, kernel.body.slice(at).flatMap(usedBy))].filter((tile) => before.has(tile)).map(
    (tile) => elements(kernel.tiles[tile].axes)
  ));
}

/** What a piece reads of the pieces before it: from the workspace, or made again. */
function opening(
  cut: Cut, body: readonly TileStmt[], had: ReadonlySet<TileId>, bufferOf: (tile: TileId) => TileBuffer,
): readonly TileStmt[] {
  const begun = new Set<TileId>();
  const visit = (tile: TileId): readonly TileStmt[] => {
    if (!had.has(tile) || begun.has(tile)) return [];
    begun.add(tile);
    const op = cut.operations.get(tile);
    if (op !== undefined && isAgain(cut, tile)) return [...operandsOf(op).flatMap(visit), { kind: 'let', tile, op }];
    return [{ kind: 'let', tile, op: { op: 'load', buffer: bufferOf(tile).name, rows: 'none' } }];
  };
  return body.flatMap(usedBy).flatMap(visit);
}

/** Tiles that have to be there for `tiles`, those that are made again replaced by what they are made of. */
function sourcesOf(cut: Cut, tiles: readonly TileId[]): ReadonlySet<TileId> {
  return new Set(tiles.filter((tile) => !isAgain(cut, tile)));
}

const isAgain = (cut: Cut, tile: TileId) => (cut.again.get(tile) ?? Infinity) <= AGAIN;

function againOf(kernel: TileKernel, operations: ReadonlyMap<TileId, TileOp>): ReadonlyMap<TileId, number> {
  const stored = new Set(storedBuffers(kernel.body));
  const costs = new Map<TileId, number>();
  for (const [tile, op] of operations) {
    const moved = hasRole(op, 'pointwise', 'move') ? 1 + sum(operandsOf(op).map((arg) => costs.get(arg) ?? Infinity)) : Infinity;
    costs.set(tile, roleOf(op) === 'free' || (op.op === 'load' && !stored.has(op.buffer)) ? 1 : moved);
  }
  return costs;
}

/** Tiles that the statements of a list define where later ones see them. */
function definitions(body: readonly TileStmt[]): readonly TileId[] {
  return body.flatMap((stmt) => {
    switch (stmt.kind) {
      case 'let': return [stmt.tile];
      case 'store': return [];
      case 'loop': return stmt.carry.map(({ tile }) => tile);
    }
  });
}

function usedBy(stmt: TileStmt): readonly TileId[] {
  switch (stmt.kind) {
    case 'let': return operandsOf(stmt.op);
    case 'store': return [stmt.value];
    case 'loop': return [...stmt.carry.flatMap(({ init, next }) => [init, next]), ...stmt.body.flatMap(usedBy)];
  }
}

/** About how often the text of a statement reads or writes memory: products read rows and columns of a micro-tile. */
function accesses(stmt: TileStmt): number {
  switch (stmt.kind) {
    case 'let': return isProduct(stmt.op) ? 7 : hasRole(stmt.op, 'scan', 'fold') ? 4 : hasRole(stmt.op, 'load') ? 2 : 1;
    case 'store': return 1;
    case 'loop': return sum(stmt.body.map(accesses));
  }
}

function freeName(kernel: string, piece: number, taken: ReadonlySet<string>): string {
  let name = `${kernel}_part${piece}`;
  while (taken.has(name)) name += '_';
  return name;
}
