import type { Axis } from '../../../ir/common/axes.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLet, TileStmt } from '../../../ir/tile/tile.js';
import { notesOf, type Notes } from '../../notes.js';
import { bufferNamed, type Place } from '../address.js';
import { copiesInOrder } from '../carry.js';
import { outermost } from '../prologue.js';
import { createDraft, type Draft } from '../instructions/draft.js';
import type { Registers } from '../instructions/instruction.js';
import { arenaOf, createPieces, type Piece } from '../instructions/pieces.js';
import { operandsOfTeam, planTeam } from '../instructions/plan.js';
import type { CudaContext, LoweredKernel } from '../lowered.js';
import { isRefused, refused, type Refused } from '../refused.js';
import { tilesReadBy } from '../uses.js';
import { bulkCopy, bulkStore, type BulkCopy } from './bulk-copy.js';
import type { Tall } from './extents.js';
import { letText, tokenRow } from './kernel.js';
import { cellOf, copyCell, loadCell, loadNow, storeCell, vectorElement, type Load, present } from './memory.js';
import { pressureOf } from './pressure.js';
import { orderStatements } from './statement-order.js';
import { sumsInTurn } from './sums-in-turn.js';
import { createTeam, type Team } from './team.js';
import { divide, needed, walkOf, type Division, type DivisionOptions, type Walk } from './walk-division.js';
import { keepRows, nearCopy, nearFragments, putAlready, type Near, type NearTile } from './walk-near.js';
import { fitsTall, roomOf } from './walk-room.js';
import { walkText, type Drain, type Loading, type LoadingPart, type WalkingPart } from './walk-text.js';

/** Where the text of the current stage finds it, and what a chunk gives out. */
const STAGE = { address: 'sa', pointer: 'sp', outputs: 'oa' };

/**
 * Kernels that carry states along the chunks of a sequence, split along an axis of the state. Two teams of 128 threads: one loads what the
 * next chunks need and works out what does not depend on the state; the other walks, states in registers with the split axis as rows,
 * so that every product on the way has its left operand in registers (docs/algorithms.md: the walk). Or two warpgroups walk side by side.
 */
export function lowerWalk(cx: CudaContext, kernel: TileKernel): LoweredKernel | Refused {
  const walk = walkOf(cx, kernel);
  if (isRefused(walk)) return walk;
  const tall = fitsTall(cx, walk) ? divided(cx, walk, TALL) : undefined;
  if (tall !== undefined && !isRefused(tall)) return tall;
  let found: LoweredKernel | Refused = refused('no way to divide a walk');
  for (const way of WAYS) {
    found = divided(cx, walk, way);
    if (!isRefused(found) || found.crowded !== true) return found;
  }
  return found;
}

interface Way extends DivisionOptions {
  readonly leastStages: number;
  /** Late loads that may be under way or unread at once. */
  readonly lateAtOnce: number;
  /** Warpgroups that walk, each with 64 rows of the states. */
  readonly tall: Tall;
}

/** How to divide a walk, best first: what is loaded ahead takes its room in every stage. */
const WAYS: readonly Way[] = [
  { arrays: true, squaresLate: false, leastStages: 2, lateAtOnce: 0, tall: 1 },
  { arrays: false, squaresLate: false, leastStages: 1, lateAtOnce: 0, tall: 1 },
  ...[6, 4, 2].map((lateAtOnce) => ({ arrays: true, squaresLate: true, leastStages: 2, lateAtOnce, tall: 1 } as const)),
  ...[6, 4, 2].map((lateAtOnce) => ({ arrays: false, squaresLate: true, leastStages: 1, lateAtOnce, tall: 1 } as const)),
];
const TALL: Way = { ...WAYS[0], tall: 2 };

/** Registers that a walk may hold in matrices: a thread has 255, and wants some for everything else. */
const MOST_HELD = 208;
/** What a frugal walk may hold before it puts off whatever can wait; the fewer, the less runs at once. */
const ROOMS = [MOST_HELD, 160];

/** A walk in an order, and in forms, that hold few registers. */
interface Frugal {
  readonly walk: Walk;
  readonly room: number;
}

/** `room`: that of a frugal walk; undefined for any other. */
function divided(cx: CudaContext, walk: Walk, way: Way, room?: number): LoweredKernel | Refused {
  const { kernel } = walk;
  const division = divide(cx, walk, way);
  const notes = notesOf(kernel);
  const loading = loadingTeam(cx, kernel, division, notes, way);
  const walking = walkingTeam(cx, kernel, division, notes, loading, way, room);
  if (room === undefined && walking.held > MOST_HELD) {
    const least = leastHeld(cx, kernel, way);
    return isRefused(least) ? least : divided(cx, least.walk, way, least.room);
  }
  const refusal = loading.draft.refusal() ?? walking.draft.refusal();
  if (refusal !== undefined) return refusal;
  const plans = { loading: planTeam(loading.draft, operandsOfTeam(walking.draft)), walking: planTeam(walking.draft) };
  const kept = { walk: plans.walking.arena, load: plans.loading.arena, out: arenaOf(walking.outgoing, new Map()) };
  const memory = roomOf(cx, division, kept, way);
  if (isRefused(memory)) return memory;
  const { draining } = walking;
  return walkText(cx, {
    division, loading: { ...loading, plan: plans.loading }, walking: plans.walking, draining, room: memory, tall: way.tall,
  });
}

/**
 * The walk with all its sums in turn, if that fits; else with all or with those whose products need not wait for what they are added to,
 * with more or less put off: whichever holds least.
 */
function leastHeld(cx: CudaContext, kernel: TileKernel, way: Way): Frugal | Refused {
  let least: Frugal | undefined;
  let fewest = Infinity;
  for (const room of ROOMS) for (const waiting of [true, false]) {
    const walk = walkOf(cx, sumsInTurn(kernel, waiting));
    if (isRefused(walk)) return walk;
    const division = divide(cx, walk, way);
    const notes = notesOf(walk.kernel);
    const { held } = walkingTeam(cx, walk.kernel, division, notes, loadingTeam(cx, walk.kernel, division, notes, way), way, room);
    if (least === undefined && held <= MOST_HELD) return { walk, room };
    // What does not fit either way spills less where more is put off.
    if (held < fewest || (held === fewest && least?.room !== room)) [least, fewest] = [{ walk, room }, held];
  }
  return least ?? refused('no order of a walk');
}

interface LoadingTeam extends Loading {
  readonly team: Team;
  readonly draft: Draft<LoadingPart>;
  readonly near: ReadonlyMap<Near, NearTile>;
}

interface WalkingTeam {
  readonly draft: Draft<WalkingPart>;
  /** What a chunk gives out, and the stores of it that the other team makes. */
  readonly outgoing: readonly Piece[];
  readonly draining: readonly Drain[];
  /** The most registers that it holds in matrices. */
  readonly held: number;
}

function loadingTeam(cx: CudaContext, kernel: TileKernel, division: Division, notes: Notes, { tall }: Way): LoadingTeam {
  const { split, loop, before, ahead, aheadTiles, near, aside, exported, sums, outside, inside, source, isRaw } = division;
  const draft: Draft<LoadingPart> = createDraft(['before', 'ask', 'issue', 'fill', 'body'], 'L');
  const registers: Registers[] = [];
  const bulk: BulkCopy[] = [];
  const brought = new Set<TileId>();
  const team = createTeam({
    cx, kernel, draft, slab: 64 * tall, defs: division.defs, notes, rowOf: tokenRow, stage: STAGE, exported, ownVectors: true,
  });
  draft.keepPieces(true);
  outsideText(cx, team, before, needed(ahead, aside.map((stmt) => stmt.value), before), outside, split);
  team.add({ kind: 'settle' });
  draft.keepPieces(false);
  draft.to('fill');
  team.add({ kind: 'loop', edge: 'begin' });
  for (const stmt of ahead) {
    if (!isRaw(stmt)) continue;
    const cell = loadCell(cx, stmt.op, inside, split);
    if (cell.axes.length === 2) {
      draft.to('issue');
      brought.add(stmt.tile);
      if (cell.copied === 'tile' && cell.even && cx.target === 'cuda.sm90') bulk.push(bulkCopy(team, stmt.tile, cell));
      else copyCell(team, stmt.tile, cell, 'to');
    } else registers.push(throughRegisters(cx, team, draft, stmt, division));
  }
  const copies = brought.size > bulk.length;
  draft.to('issue');
  const nearTiles = new Map<Near, NearTile>();
  for (const one of near) {
    const tile = nearCopy(team, one, inside, split);
    if (tile === undefined) continue;
    nearTiles.set(one, tile);
    bulk.push(tile.copy);
  }
  draft.to('body');
  const read = [...ahead.flatMap(({ op }) => (op.op === 'swap' ? [] : operandsOf(op))), ...aside.map((stmt) => stmt.value)];
  const readsBulk = read.some((tile) => brought.has(source(tile)));
  // What others copied, or cleared, is there.
  if (copies || readsBulk) team.add({ kind: 'meet' });
  for (const stmt of draft.untilRefused(loop.body)) {
    if (stmt.kind === 'let' && aheadTiles.has(stmt.tile)) {
      if (stmt.op.op !== 'load') letText(team, stmt, inside, sums);
      else if (!isRaw(stmt)) loadNow(team, stmt.tile, loadCell(cx, stmt.op, inside, split));
    }
    if (stmt.kind === 'store' && aside.includes(stmt)) {
      // What others read of products must not be brought back in some blocks only.
      if (team.fits) draft.await();
      team.add({ kind: 'open', head: 'if (v0 == 0)' });
      storeCell(team, stmt.value, division.cellOfStore(cx, stmt), undefined);
      team.add({ kind: 'close' });
    }
  }
  draft.await();
  team.add({ kind: 'loop', edge: 'end' });
  return { team, draft, registers, copies, bulk, readsBulk, near: nearTiles };
}

/**
 * Numbers and vectors: asked for as soon as those of the chunk before are put down, put down when the chunk's turn comes. Returns the
 * declaration of what holds them meanwhile.
 */
function throughRegisters(
  cx: CudaContext, team: Team, draft: Draft<LoadingPart>, stmt: TileLet & { readonly op: Load }, { split, inside }: Division,
): Registers {
  const { tile } = stmt;
  const cell = loadCell(cx, stmt.op, inside, split);
  const scalar = cell.axes.length === 0;
  const n = scalar ? 1 : Math.ceil(team.size(cell.axes[0]) / 128);
  const name = team.fresh(`r${tile}`);
  draft.to('ask');
  team.note(tile);
  const value = scalar ? present(cell, `ld(${cell.at})`) : vectorElement(cell, 'i');
  team.add({ kind: 'turns', count: n, text: `${name}[k] = ${value};` });
  draft.to('fill');
  if (!scalar && n === 1) team.putOwn(tile, cell.axes[0], `${name}[0]`);
  else if (!scalar) {
    const v = team.newVec(tile, cell.axes[0]);
    const text = `if (i < ${team.size(cell.axes[0])}) ${v.pointer}[i] = ${name}[k];`;
    team.add({ kind: 'turns', count: n, text, writes: [{ piece: v.piece, by: 'owner' }] });
  } else {
    team.formsOf(tile).scalar = `${name}[0]`;
    const put = team.exportScalar(tile, `${name}[0]`, 'owner');
    if (put !== undefined) team.add(put);
  }
  return { name, count: n };
}

function walkingTeam(
  cx: CudaContext, kernel: TileKernel, division: Division, notes: Notes, { team: loading, near: nearTiles }: LoadingTeam,
  { lateAtOnce, tall }: Way, room: number | undefined,
): WalkingTeam {
  const { split, loop, before, after, chain, ahead, aheadTiles, late, near, outputs, aside, sums, outside, inside, trivial } = division;
  const frugal = room !== undefined;
  const draft: Draft<WalkingPart> = createDraft(['before', 'body', 'after'], 'W');
  const outgoing = createPieces('O');
  const rowOf = (axes: readonly Axis[]) => (axes.includes(split) ? split : tokenRow(axes));
  const team = createTeam({
    cx, kernel, draft, tall, defs: division.defs, notes, rowOf, stage: STAGE, exported: new Set(), frugal,
    imported: (tile) => (aheadTiles.has(tile) && !trivial(tile) ? loading.formsOf(tile) : undefined),
  });
  draft.keepPieces(true);
  const read = after.flatMap(tilesReadBy);
  const kept = [...loop.carry.map((c) => c.init), ...[...outputs, ...aside].map((stmt) => stmt.value), ...read];
  outsideText(cx, team, before, needed(chain, kept, before), outside, split);
  for (const { tile, init } of loop.carry) {
    const from = team.frag(init, split);
    const frag = team.newFrag(tile, split, team.otherAxis(tile, split));
    team.each(frag, `${frag.name}[i] = ${from.name}[i];`);
  }
  team.add({ kind: 'settle' });
  draft.to('body');
  team.add({ kind: 'loop', edge: 'begin' });
  const put = (stmt: (typeof outputs)[number]): Drain[] => {
    const cell = division.cellOfStore(cx, stmt);
    let place = '';
    const store = storeCell(team, stmt.value, cell, {
      threads: loading.threads,
      address(bytes) {
        place = `(${STAGE.outputs} + ${outgoing.take(bytes, { staged: true, lasting: false }).name})`;
        return place;
      },
    });
    return store === undefined ? [] : [{ store, bulk: bulkStore(cx, team, cell, place, store) }];
  };
  const carried = new Set(loop.carry.map((c) => c.tile));
  const early = outputs.filter((stmt) => carried.has(stmt.value)).flatMap(put);
  const last = outputs.filter((stmt) => !carried.has(stmt.value));
  const goals = loop.carry.map((c) => c.next);
  const pressure = pressureOf({
    lets: chain, sums, defs: division.defs, given: [...carried], goals: [...goals, ...last.map((stmt) => stmt.value)],
    size: (tile) => (team.axesOf(tile).length === 2 && team.axesOf(tile).includes(split) ? team.values(team.otherAxis(tile, split)) : 0),
  });
  for (const stmt of ahead) if (trivial(stmt.tile) && stmt.op.op !== 'load') letText(team, stmt, inside, sums);
  const write = (stmt: TileLet): void => {
    if (draft.refusal() !== undefined) return;
    const { tile, op } = stmt;
    const rows = near.find(({ loads }) => loads.has(tile));
    const come = rows && nearTiles.get(rows);
    if (rows !== undefined && come !== undefined) {
      if (team.formsOf(tile).frags.length === 0) nearFragments(team, rows, come);
    } else if (op.op === 'put' && near.some(({ window }) => window.put.has(tile))) putAlready(team, tile, op.arg);
    else if (op.op === 'keep' && team.axesOf(tile).length === 2) keepRows(team, tile, op.arg, inside);
    else if (stmt.op.op !== 'load') letText(team, stmt, inside, sums);
    else if (late.has(stmt.tile)) {
      // Their room is the next ones' when they have been read.
      draft.keepPieces(false);
      copyCell(team, stmt.tile, loadCell(cx, stmt.op, inside, split));
      draft.keepPieces(true);
    } else loadNow(team, stmt.tile, loadCell(cx, stmt.op, inside, split));
  };
  orderStatements({
    lets: chain, goals, sums, defs: division.defs, late: { tiles: late, atOnce: lateAtOnce }, pressure,
    room, running: team.runningAfter,
    release(tile) {
      const { t16 } = team.formsOf(tile);
      if (t16 !== undefined) draft.awaitReaders(t16.piece);
    },
    emit(stmt) {
      write(stmt);
      // Nobody reads more of it than products do.
      const matrix = frugal && stmt.op.op === 'map' && !sums.has(stmt.tile) && team.axesOf(stmt.tile).length === 2;
      if (matrix && draft.refusal() === undefined && pressure.onlyMultiplied(stmt.tile)) team.packed(stmt.tile, split);
    },
  });
  draft.await();
  const later = last.flatMap(put);
  for (const { tile, next } of copiesInOrder(loop)) {
    const from = team.frag(next, split);
    const to = team.formsOf(tile).frags[0];
    team.each(to, `${to.name}[i] = ${from.name}[i];`);
    delete team.formsOf(tile).packs;
  }
  team.add({ kind: 'loop', edge: 'end' });
  draft.to('after');
  lastValues(cx, team, after, outside, split);
  return { draft, outgoing: outgoing.all, draining: [...early, ...later], held: pressure.peak() };
}

/** What follows the loop. */
function lastValues(cx: CudaContext, team: Team, after: readonly TileStmt[], place: Place, split: Axis): void {
  for (const stmt of team.draft.untilRefused(after)) {
    switch (stmt.kind) {
      case 'let':
        if (stmt.op.op === 'load') loadNow(team, stmt.tile, loadCell(cx, stmt.op, place, split));
        else letText(team, stmt, place, new Map());
        break;
      case 'store': {
        const buffer = bufferNamed(cx.module, stmt.buffer);
        storeCell(
          team, stmt.value, cellOf(cx, { buffer }, undefined, place, split, undefined, stmt.only && outermost(stmt.only)), 'direct',
        );
        break;
      }
      case 'loop': break;
      default: stmt satisfies never;
    }
  }
}

function outsideText(cx: CudaContext, team: Team, before: readonly TileStmt[], want: ReadonlySet<TileId>, place: Place, split: Axis): void {
  for (const stmt of team.draft.untilRefused(before)) {
    if (stmt.kind !== 'let' || !want.has(stmt.tile)) continue;
    if (stmt.op.op === 'load') {
      const cell = loadCell(cx, stmt.op, place, split);
      if (cell.copied === 'tile') copyCell(team, stmt.tile, cell);
      else loadNow(team, stmt.tile, cell);
    } else letText(team, stmt, place, new Map());
  }
}
