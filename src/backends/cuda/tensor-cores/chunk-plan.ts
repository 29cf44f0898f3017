import { COL, ROW } from '../../../ir/common/axes.js';
import { isRows } from '../../../ir/tile/domain.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileStmt } from '../../../ir/tile/tile.js';
import { keyOf } from '../../../support/key.js';
import { notesOf } from '../../notes.js';
import { bufferNamed, cellElements, type Place } from '../address.js';
import { createDraft } from '../instructions/draft.js';
import type { Step } from '../instructions/instruction.js';
import type { Arena } from '../instructions/pieces.js';
import { planTeam } from '../instructions/plan.js';
import type { CudaContext } from '../lowered.js';
import { chunkPlace } from '../prologue.js';
import type { Refused } from '../refused.js';
import { tilesReadBy } from '../uses.js';
import { PATIENCE } from './again.js';
import type { Parts } from './extents.js';
import { isDscore, type JoinedDecays } from './joined-decays.js';
import { definitions, fusedSums, letText, tokenRow } from './kernel.js';
import { askEarly, cellOf, copyBytes, copyCell, loadCell, loadNow, storeCell } from './memory.js';
import { panelled } from './panels.js';
import { isFold } from './tail-order.js';
import { createTeam } from './team.js';

export interface Shape {
  /** Warpgroups that share every fragment. */
  readonly parts: Parts;
  /** Blocks that a multiprocessor is to hold. */
  readonly blocks: 1 | 2;
  /** Are decay operations that share an operand computed together? That is less work in more registers. */
  readonly gather: boolean;
  /**
   * Are matrices that take little made again where they are read late? They need fewer registers, and what they are made of stays in shared
   * memory.
   */
  readonly again: boolean;
  /** Do threads meet before they store a matrix? It may take the place of the one before, then. */
  readonly tight?: boolean;
  /** Bytes that loaded tiles may take at a time; what does not fit at the start is loaded when others are done with. */
  readonly budget: number;
  /** Panels in shared memory of each matrix that has no room there as a whole; undefined: all have. */
  readonly panels?: 1 | 2;
}

/** A chunk kernel, but for its text. */
export interface ChunkPlan {
  readonly kernel: TileKernel;
  readonly shape: Shape;
  readonly steps: readonly Step[];
  readonly arena: Arena;
  readonly sharedBytes: number;
}

export function planChunk(cx: CudaContext, { kernel, groups }: JoinedDecays, shape: Shape): ChunkPlan | Refused {
  const defs = definitions(kernel);
  const draft = createDraft(['body'], 'M');
  const place = chunkPlace(kernel);
  const inMemory = shape.panels === undefined ? new Set<TileId>() : panelled(kernel, defs, largeLoads(cx, kernel, place));
  const deferred = new Map<TileId, () => void>();
  const team = createTeam({
    cx, kernel, draft, parts: shape.parts, defs, notes: notesOf(kernel), groups, rowOf: tokenRow,
    stage: { address: 'base', pointer: 'basep' }, exported: new Set(), ownVectors: true, deferred,
    ...(shape.panels !== undefined && { panels: { tiles: inMemory, depth: shape.panels } }),
  });
  const sums = fusedSums(kernel, kernel.body);
  const brought = new Set<string>();
  const copies = kernel.body.flatMap((stmt): Copy[] => {
    if (stmt.kind !== 'let' || stmt.op.op !== 'load') return [];
    const again = brought.has(keyOf(stmt.op));
    brought.add(keyOf(stmt.op));
    const { tile } = stmt;
    const cell = loadCell(cx, stmt.op, place, undefined);
    if (cell.copied === undefined || inMemory.has(tile)) return [];
    // Where room is short, what is read element by element comes to registers as it is.
    if (shape.panels !== undefined && cell.copied === 'array' && readByMaps(kernel, tile)) return [];
    return [{ tile, again, bytes: copyBytes(team, cell), begin: () => copyCell(team, tile, cell) }];
  });
  const copied = new Set(copies.map((copy) => copy.tile));
  const due = copiesDue(kernel.body, groups, shape.panels === undefined ? new Map() : sums, copies, shape.budget);
  const operands = scoreOperands(kernel, (tile) => team.resolve(tile).id);
  const spread = readByOthers(kernel, (tile) => team.resolve(tile).id);
  const longUnread = unreadFor(kernel, (tile) => team.resolve(tile).id);
  // What comes past shared memory is asked for at once: where it is used, its way would be waited for.
  const asked = new Map<TileId, string>();
  const early = () => kernel.body.forEach((stmt) => {
    if (stmt.kind !== 'let' || stmt.op.op !== 'load' || copied.has(stmt.tile)) return;
    const cell = loadCell(cx, stmt.op, place, undefined);
    const name = askEarly(team, stmt.tile, cell);
    if (name !== undefined) asked.set(stmt.tile, name);
    if (cell.axes.length > 0) return;
    loadNow(team, stmt.tile, cell);
    copied.add(stmt.tile);
  });
  for (const [at, stmt] of draft.untilRefused(kernel.body.entries())) {
    const now = due.get(at) ?? [];
    team.begin();
    for (const tile of longUnread.get(at) ?? []) team.letGo(tile);
    // Tiles that come late take the place of others, whose readers have to be done.
    if (now.length > 0 && at > 0) team.add({ kind: 'meet' });
    // Before matrices, behind which they would wait.
    if (at === 0) early();
    for (const copy of now) copy.begin();
    if (tilesReadBy(stmt).some((tile) => deferred.has(team.resolve(tile).id))) {
      for (const join of deferred.values()) join();
      deferred.clear();
    }
    switch (stmt.kind) {
      case 'let': {
        if (stmt.op.op !== 'load') {
          letText(team, stmt, place, sums);
          if (operands.has(stmt.tile)) team.t16(stmt.tile);
        }
        else if (!copied.has(stmt.tile)) loadNow(team, stmt.tile, loadCell(cx, stmt.op, place, undefined), asked.get(stmt.tile));
        if (spread.has(stmt.tile) && team.formsOf(stmt.tile).own !== undefined) team.vec(stmt.tile, 'owner');
        break;
      }
      case 'store': {
        const buffer = bufferNamed(cx.module, stmt.buffer);
        if (shape.tight === true && kernel.tiles[stmt.value].axes.length > 1) team.add({ kind: 'meet' });
        storeCell(team, stmt.value, cellOf(cx, { buffer }, isRows(buffer) ? ROW : undefined, place, undefined), undefined);
        break;
      }
      case 'loop': throw new Error(`${kernel.name}: a loop in a chunk kernel`);
      default: stmt satisfies never;
    }
  }
  const refusal = draft.refusal();
  if (refusal !== undefined) return refusal;
  draft.await();
  const { arena, steps } = planTeam(draft);
  return { kernel, shape, steps: steps('body'), arena, sharedBytes: arena.fixedBytes + 1024 };
}

/** Matrices made here that decay scores will read as operands: once these lie in shared memory, no register waits for the score. */
function scoreOperands({ body }: TileKernel, resolve: (tile: TileId) => TileId): ReadonlySet<TileId> {
  return new Set(body.flatMap((stmt) => (stmt.kind === 'let' && stmt.op.op === 'dscore' ? [stmt.op.x, stmt.op.y].map(resolve) : [])));
}

/** Vectors made here that other threads read: each leaves its element as soon as it has it, so that threads meet once for several. */
function readByOthers({ body, tiles }: TileKernel, resolve: (tile: TileId) => TileId): ReadonlySet<TileId> {
  const reads = (stmt: TileStmt) => stmt.kind === 'let' && (tiles[stmt.tile].axes.length === 2 || isFold(stmt.op));
  return new Set(body.flatMap((stmt) => (stmt.kind === 'let' && reads(stmt) ? operandsOf(stmt.op) : []))
    .filter((tile) => tiles[tile].axes.length === 1).map(resolve));
}

function readByMaps({ body }: TileKernel, tile: TileId): boolean {
  return body.every((stmt) => (
    stmt.kind === 'let' ? stmt.op.op === 'map' || !operandsOf(stmt.op).includes(tile) : stmt.kind !== 'store' || stmt.value !== tile
  ));
}

/** Bytes of a matrix that products had better take in panels, where it has no room beside others. */
const LARGE = 64 * 1024;

/** Loads of 16-bit matrices over no tokens that are large. */
function largeLoads(cx: CudaContext, kernel: TileKernel, place: Place): ReadonlySet<TileId> {
  return new Set(kernel.body.flatMap((stmt) => {
    if (stmt.kind !== 'let' || stmt.op.op !== 'load' || stmt.op.rows !== 'none') return [];
    const { buffer, axes, copied, even } = loadCell(cx, stmt.op, place, undefined);
    const large = cellElements(cx.module, buffer) * 2 >= LARGE && !axes.some((axis) => axis === ROW || axis === COL);
    return large && copied === 'tile' && even ? [stmt.tile] : [];
  }));
}

interface Copy {
  readonly tile: TileId;
  readonly bytes: number;
  /** Does it bring what an earlier one has brought? */
  readonly again: boolean;
  begin(): void;
}

/** Statements before its first use at which what is loaded again is asked for. */
const AHEAD = 16;

/** When to begin each copy, by position in the body: as early as the budget allows, at its first use at the latest. */
function copiesDue(
  body: readonly TileStmt[], groups: ReadonlyMap<TileId, readonly TileId[]>, sums: ReturnType<typeof fusedSums>, copies: readonly Copy[],
  budget: number,
): ReadonlyMap<number, readonly Copy[]> {
  const spans = new Map<TileId, { first: number; last: number }>();
  const sources = new Map<TileId, TileId>();
  const use = (id: TileId, at: number): void => {
    const tile = sources.get(id) ?? id;
    const known = spans.get(tile);
    spans.set(tile, { first: Math.min(known?.first ?? at, at), last: Math.max(known?.last ?? at, at) });
  };
  // The first of a group reads for all, a sum for the product that it takes over.
  const leaders = new Map([
    ...[...groups].flatMap(([first, members]) => members.map((member): [TileId, TileId] => [member, first])),
    ...[...sums].map(([sum, { product }]): [TileId, TileId] => [product, sum]),
  ]);
  const positions = new Map(body.flatMap((stmt, at) => (stmt.kind === 'let' ? [[stmt.tile, at]] : [])));
  body.forEach((stmt, at) => {
    if (stmt.kind === 'store') use(stmt.value, at);
    if (stmt.kind !== 'let') return;
    // A swap only renames.
    if (stmt.op.op === 'swap') sources.set(stmt.tile, sources.get(stmt.op.arg) ?? stmt.op.arg);
    else for (const arg of operandsOf(stmt.op)) use(arg, positions.get(leaders.get(stmt.tile) ?? stmt.tile) ?? at);
  });
  const spanOf = ({ tile }: Copy) => spans.get(tile) ?? { first: 0, last: 0 };
  const due = new Map<number, Copy[]>();
  const begun: Copy[] = [];
  let at = 0;
  for (const copy of [...copies].sort((a, b) => spanOf(a).first - spanOf(b).first)) {
    const taken = () => begun.filter((other) => spanOf(other).last >= at).reduce((sum, { bytes }) => sum + bytes, 0);
    if (copy.again) at = Math.max(at, spanOf(copy).first - AHEAD);
    while (at < spanOf(copy).first && taken() + copy.bytes > budget) at++;
    due.set(at, [...(due.get(at) ?? []), copy]);
    begun.push(copy);
  }
  return due;
}

/** Tensors that statements read element by element, by the position after which none does so for a while. */
function unreadFor({ body }: TileKernel, resolve: (tile: TileId) => TileId): ReadonlyMap<number, readonly TileId[]> {
  const reads = new Map<TileId, number[]>();
  body.forEach((stmt, at) => {
    const read = stmt.kind === 'store'
      ? [stmt.value]
      : stmt.kind === 'let' && !['contract', 'compose', 'inverse', 'swap'].includes(stmt.op.op) && !isDscore(stmt.op)
      ? operandsOf(stmt.op)
      : [];
    for (const tile of new Set(read.map(resolve))) reads.set(tile, [...(reads.get(tile) ?? []), at]);
  });
  const found = new Map<number, TileId[]>();
  for (const [tile, positions] of reads) {
    positions.forEach((at, n) => {
      const next = positions[n + 1] ?? Infinity;
      if (next - at > PATIENCE) found.set(at + 1, [...(found.get(at + 1) ?? []), tile]);
    });
  }
  return found;
}
