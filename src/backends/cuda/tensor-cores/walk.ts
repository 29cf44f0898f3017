import type { Axis } from '../../../ir/common/axes.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileStmt } from '../../../ir/tile/tile.js';
import { notesOf, type Notes } from '../../notes.js';
import { bufferNamed, type Place } from '../address.js';
import { copiesInOrder } from '../carry.js';
import { createCode, type Code } from '../code.js';
import { outermost } from '../prologue.js';
import type { CudaContext, LoweredKernel } from '../lowered.js';
import { isRefused, refused, type Refused } from '../refused.js';
import { createArena } from './arena.js';
import { bulkCopy, type BulkCopy } from './bulk-copy.js';
import { letText, tokenRow } from './kernel.js';
import { cellOf, copyCell, loadCell, loadNow, storeCell, vectorElement, type Load, present } from './memory.js';
import { orderStatements } from './statement-order.js';
import { createTeam, type Team } from './team.js';
import { divide, needed, walkOf, type Division, type DivisionOptions, type Let } from './walk-division.js';
import { walkText, type LoadingTeam, type WalkingTeam } from './walk-text.js';

/** Where the text of the current stage finds it, and what a chunk gives out. */
const STAGE = { address: 'sa', pointer: 'sp', outputs: 'oa' };

/**
 * Kernels that carry states along the chunks of a sequence, split along an axis of the state. Two teams of 128 threads: one loads what the
 * next chunks need and works out what does not depend on the state; the other walks, states in registers with the split axis as rows,
 * so that every product on the way has its left operand in registers (docs/algorithms.md: the walk).
 */
export function lowerWalk(cx: CudaContext, kernel: TileKernel): LoweredKernel | Refused {
  const walk = walkOf(cx, kernel);
  if (isRefused(walk)) return walk;
  let found: LoweredKernel | Refused = refused('no way to divide a walk');
  for (const way of WAYS) {
    found = divided(cx, kernel, divide(cx, walk, way), way);
    if (!isRefused(found) || found.crowded !== true) return found;
  }
  return found;
}

interface Way extends DivisionOptions {
  readonly leastStages: number;
  /** Late loads that may be under way or unread at once. */
  readonly lateAtOnce: number;
}

/** How to divide a walk, best first: what is loaded ahead takes its room in every stage. */
const WAYS: readonly Way[] = [
  { arrays: true, squaresLate: false, leastStages: 2, lateAtOnce: 0 },
  { arrays: false, squaresLate: false, leastStages: 1, lateAtOnce: 0 },
  ...[6, 4, 2].map((lateAtOnce) => ({ arrays: true, squaresLate: true, leastStages: 2, lateAtOnce })),
  ...[6, 4, 2].map((lateAtOnce) => ({ arrays: false, squaresLate: true, leastStages: 1, lateAtOnce })),
];

function divided(cx: CudaContext, kernel: TileKernel, division: Division, { leastStages, lateAtOnce }: Way): LoweredKernel | Refused {
  const notes = notesOf(kernel);
  const loading = loadingTeam(cx, kernel, division, notes);
  const walking = walkingTeam(cx, kernel, division, notes, loading.team, lateAtOnce);
  const refusal = loading.team.refusal() ?? walking.team.refusal();
  return refusal ?? walkText(cx, kernel, division, loading, walking, leastStages);
}

function loadingTeam(cx: CudaContext, kernel: TileKernel, division: Division, notes: Notes): LoadingTeam {
  const { split, loop, before, ahead, aheadTiles, aside, exported, sums, outside, inside, source, isRaw } = division;
  const arena = createArena('L');
  const parts = { before: createCode(), issue: createCode(), fill: createCode(), code: createCode() };
  const registers: string[] = [];
  const bulk: BulkCopy[] = [];
  const brought = new Set<TileId>();
  const here = switchCode(parts.before);
  const team = createTeam({
    cx, kernel, code: here.code, arena, barrier: 1, defs: division.defs, notes, rowOf: tokenRow, stage: STAGE, exported,
  });
  team.keepPieces(true);
  outsideText(cx, team, before, needed(ahead, aside.map((stmt) => stmt.value), before), outside, split);
  team.settle();
  team.keepPieces(false);
  for (const stmt of ahead) {
    if (!isRaw(stmt)) continue;
    const cell = loadCell(cx, stmt.op, inside, split);
    if (cell.axes.length === 2) {
      here.to(parts.issue);
      brought.add(stmt.tile);
      if (cell.copied === 'tile' && cell.even && cx.target === 'cuda.sm90') bulk.push(bulkCopy(team, stmt.tile, cell));
      else copyCell(team, stmt.tile, cell, 'to');
    } else registers.push(throughRegisters(cx, team, stmt, division, parts));
  }
  here.to(parts.code);
  team.sync();
  for (const stmt of team.untilRefused(loop.body)) {
    if (stmt.kind === 'let' && aheadTiles.has(stmt.tile)) {
      if (stmt.op.op !== 'load') letText(team, stmt, inside, sums);
      else if (!isRaw(stmt)) loadNow(team, stmt.tile, loadCell(cx, stmt.op, inside, split));
    }
    if (stmt.kind === 'store' && aside.includes(stmt)) {
      // What others read of products must not be brought back in some blocks only.
      if (team.fits) team.finish();
      parts.code.open('if (v0 == 0)');
      storeCell(team, stmt.value, division.cellOfStore(cx, stmt), undefined);
      parts.code.close();
    }
  }
  team.finish();
  const read = [...ahead.flatMap(({ op }) => (op.op === 'swap' ? [] : operandsOf(op))), ...aside.map((stmt) => stmt.value)];
  return {
    team, arena, registers, copies: brought.size > bulk.length, bulk, readsBulk: read.some((tile) => brought.has(source(tile))), ...parts,
  };
}

/**
 * Numbers and vectors: asked for with the copies, put down when the chunk's turn comes. Returns the declaration of what holds them
 * meanwhile.
 */
function throughRegisters(
  cx: CudaContext, team: Team, stmt: Let & { readonly op: Load }, { split, inside, exported }: Division,
  { issue, fill }: { readonly issue: Code; readonly fill: Code },
): string {
  const { tile } = stmt;
  const cell = loadCell(cx, stmt.op, inside, split);
  const scalar = cell.axes.length === 0;
  const n = scalar ? 1 : Math.ceil(team.size(cell.axes[0]) / 128);
  const name = team.fresh(`r${tile}`);
  for (const text of team.options.notes.tile(tile)) issue.line(text);
  const value = scalar ? present(cell, `ld(${cell.at})`) : vectorElement(cell, 'i');
  issue.line(`UNROLL for (int k = 0; k < ${n}; ++k) { const int i = t + k * 128; ${name}[k] = ${value}; }`);
  if (!scalar) {
    const v = team.newVec(tile, cell.axes[0]);
    if (v.piece !== undefined) team.willWrite(v.piece, 'owner');
    const inside = `i < ${team.size(cell.axes[0])}`;
    fill.line(`UNROLL for (int k = 0; k < ${n}; ++k) { const int i = t + k * 128; if (${inside}) ${v.pointer}[i] = ${name}[k]; }`);
  } else {
    team.formsOf(tile).scalar = `${name}[0]`;
    if (exported.has(tile)) {
      const piece = team.take(tile, 256);
      team.formsOf(tile).vec = { piece, pointer: team.pointerTo(piece) };
      team.willWrite(piece, 'owner');
      fill.line(`if (t == 0) ${team.pointerTo(piece)}[0] = ${name}[0];`);
    }
  }
  return `float ${name}[${n}];`;
}

function walkingTeam(
  cx: CudaContext, kernel: TileKernel, division: Division, notes: Notes, loading: Team, lateAtOnce: number,
): WalkingTeam {
  const { split, loop, before, after, chain, ahead, aheadTiles, late, outputs, aside, sums, outside, inside, trivial } = division;
  const arena = createArena('W');
  const outgoing = createArena('O');
  const parts = { before: createCode(), code: createCode(), after: createCode() };
  const here = switchCode(parts.before);
  const rowOf = (axes: readonly Axis[]) => (axes.includes(split) ? split : tokenRow(axes));
  const team = createTeam({
    cx, kernel, code: here.code, arena, barrier: 2, defs: division.defs, notes, rowOf, stage: STAGE, exported: new Set(),
    imported: (tile) => (aheadTiles.has(tile) && !trivial(tile) ? loading.formsOf(tile) : undefined),
  });
  team.keepPieces(true);
  const read = after.flatMap((stmt) => (stmt.kind === 'store' ? [stmt.value] : stmt.kind === 'let' ? operandsOf(stmt.op) : []));
  const kept = [...loop.carry.map((c) => c.init), ...[...outputs, ...aside].map((stmt) => stmt.value), ...read];
  outsideText(cx, team, before, needed(chain, kept, before), outside, split);
  for (const { tile, init } of loop.carry) {
    const from = team.frag(init, split);
    const frag = team.newFrag(tile, split, team.otherAxis(tile, split));
    team.each(frag, `${frag.name}[i] = ${from.name}[i];`);
  }
  team.settle();
  here.to(parts.code);
  const start = team.epoch();
  const put = (stmt: (typeof outputs)[number]): string[] => {
    const rest = storeCell(
      team, stmt.value, division.cellOfStore(cx, stmt), (bytes) => `(${STAGE.outputs} + ${outgoing.take(bytes, true).name})`,
    );
    return rest === undefined ? [] : [rest];
  };
  const carried = new Set(loop.carry.map((c) => c.tile));
  const early = outputs.filter((stmt) => carried.has(stmt.value)).flatMap(put);
  for (const stmt of ahead) if (trivial(stmt.tile) && stmt.op.op !== 'load') letText(team, stmt, inside, sums);
  orderStatements(
    chain, loop.carry.map((c) => c.next), sums, division.defs, { tiles: late, atOnce: lateAtOnce }, team.runningAfter,
    (stmt) => {
      if (team.refusal() !== undefined) return;
      if (stmt.op.op !== 'load') letText(team, stmt, inside, sums);
      else if (late.has(stmt.tile)) {
        // Their room is the next ones' when they have been read.
        team.keepPieces(false);
        copyCell(team, stmt.tile, loadCell(cx, stmt.op, inside, split));
        team.keepPieces(true);
      } else loadNow(team, stmt.tile, loadCell(cx, stmt.op, inside, split));
    },
  );
  team.finish();
  const last = outputs.filter((stmt) => !carried.has(stmt.value)).flatMap(put);
  for (const { tile, next } of copiesInOrder(loop)) {
    const from = team.frag(next, split);
    const to = team.formsOf(tile).frags[0];
    team.each(to, `${to.name}[i] = ${from.name}[i];`);
  }
  team.endLoop(start);
  here.to(parts.after);
  lastValues(cx, team, after, outside, split);
  return { team, arena, outgoing, draining: [...early, ...last], ...parts };
}

/** What follows the loop. */
function lastValues(cx: CudaContext, team: Team, after: readonly TileStmt[], place: Place, split: Axis): void {
  for (const stmt of team.untilRefused(after)) {
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

/** Code that goes to one text, then to another. */
function switchCode(first: ReturnType<typeof createCode>) {
  let current = first;
  return {
    code: {
      line: (text: string) => current.line(text), open: (text: string) => current.open(text), close: () => current.close(),
      text: () => current.text(),
    },
    to(next: ReturnType<typeof createCode>) {
      current = next;
    },
  };
}

function outsideText(cx: CudaContext, team: Team, before: readonly TileStmt[], want: ReadonlySet<TileId>, place: Place, split: Axis): void {
  for (const stmt of team.untilRefused(before)) {
    if (stmt.kind !== 'let' || !want.has(stmt.tile)) continue;
    if (stmt.op.op === 'load') {
      const cell = loadCell(cx, stmt.op, place, split);
      if (cell.copied === 'tile') copyCell(team, stmt.tile, cell);
      else loadNow(team, stmt.tile, cell);
    } else letText(team, stmt, place, new Map());
  }
}
