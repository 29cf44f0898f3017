import { ROW, type Axis } from '../../../ir/common/axes.js';
import { isRows } from '../../../ir/tile/domain.js';
import type { TileKernel, TileStmt } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { notesOf } from '../../notes.js';
import { bufferNamed } from '../address.js';
import { createDraft } from '../instructions/draft.js';
import { stageOf } from '../instructions/pieces.js';
import { planTeam } from '../instructions/plan.js';
import { sharedLimit, type CudaContext, type CudaTarget, type LoweredKernel } from '../lowered.js';
import { chunkPlace } from '../prologue.js';
import { crowded, isRefused, refused, type Refused } from '../refused.js';
import { blockParts, type BlockParts } from './block-parts.js';
import { blocksText, type BlockPart, type BlockPlan, type BlockShape } from './blocks-text.js';
import type { Parts } from './extents.js';
import { padded, STEP } from './forms.js';
import { gatheredCell, gatherStep } from './gathered.js';
import { definitions, letText, tokenRow } from './kernel.js';
import { cellOf, copyCell, loadCell, loadNow, storeCell, type Cell, type Load } from './memory.js';
import { addProduct, type LeftOperands } from './product.js';
import { createTeam } from './team.js';

/**
 * Values of sums that a thread holds: as many again are needed around them. Threads of four warpgroups have 128 registers, and mma.sync
 * wants its right operand in some of them, too.
 */
const mostSums = (target: CudaTarget, parts: Parts) => (parts === 4 && target !== 'cuda.sm90' ? 48 : 64);

/**
 * Products of rows with matrices that shared memory does not hold, split along the columns of the result: a block has 64 rows and some
 * columns, and sums up in registers what steps along the summed axis bring, copies of later steps under way. What is pointwise in the
 * operands is worked out step by step, what is pointwise in the results at the end.
 */
export function lowerBlocks(cx: CudaContext, kernel: TileKernel): LoweredKernel | Refused {
  const parted = blockParts(cx, kernel);
  if (isRefused(parted)) return parted;
  let found: BlockPlan | Refused = refused('no shape for a block');
  for (const shape of shapesOf(cx, parted)) {
    found = planBlocks(cx, parted, shape);
    if (!isRefused(found)) return blocksText(cx, found);
    if (found.crowded !== true) return found;
  }
  return found;
}

/** Shapes, best first: wide blocks read rows less often. */
function shapesOf(cx: CudaContext, { split, sums }: BlockParts): readonly BlockShape[] {
  const count = new Set(sums.values()).size;
  const most = padded(axisSize(cx.module, split));
  return [256, 128, 64].filter((width) => width <= most).flatMap((width) => {
    const parts = ([1, 2, 4] as const).find((n) => width / 2 / n * count <= mostSums(cx.target, n));
    return parts === undefined ? [] : [4, 3, 2].map((stages) => ({ width, parts, stages }));
  });
}

function planBlocks(cx: CudaContext, parted: BlockParts, shape: BlockShape): BlockPlan | Refused {
  const { kernel, split, axis, sums } = parted;
  // A team knows a step and a block, whatever the whole is.
  const sizes = new Map(cx.module.sizes).set(axis, STEP).set(split, shape.width);
  const draft = createDraft<BlockPart>(['before', 'issue', 'enter', 'body', 'after'], 'B');
  const team = createTeam({
    cx: { ...cx, module: { ...cx.module, sizes } }, kernel: { ...kernel, split: undefined }, draft, parts: shape.parts,
    defs: definitions(kernel), notes: notesOf(kernel), rowOf: tokenRow, stage: { address: 'sa', pointer: 'sp' }, exported: new Set(),
  });
  const place = chunkPlace(kernel);
  const cellAt = (op: Load) => loadCell(cx, op, place, split);
  const straight = (body: readonly TileStmt[]) => {
    for (const stmt of draft.untilRefused(body)) {
      if (stmt.kind === 'let' && stmt.op.op === 'load') {
        const cell = cellAt(stmt.op);
        if (cell.copied === 'tile') copyCell(team, stmt.tile, cell);
        else loadNow(team, stmt.tile, cell);
      } else if (stmt.kind === 'let') letText(team, stmt, place, new Map());
      else if (stmt.kind === 'store') {
        const buffer = bufferNamed(cx.module, stmt.buffer);
        storeCell(team, stmt.value, cellOf(cx, { buffer }, isRows(buffer) ? ROW : undefined, place, split), undefined);
      }
    }
  };
  draft.keepPieces(true);
  straight(parted.before);
  for (const tile of new Set(sums.values())) {
    const sum = team.newFrag(tile, ROW, split);
    team.each(sum, `${sum.name}[i] = 0.f;`);
  }
  const lefts: LeftOperands = new Map();
  draft.to('enter');
  team.add({ kind: 'loop', edge: 'begin' });
  team.add({ kind: 'meet' });
  for (const { tile, op } of draft.untilRefused(parted.inside)) {
    draft.to('body');
    if (op.op === 'load') {
      const cell = stepOf(cx, cellAt(op), axis);
      if (cell.copied === 'tile') draft.to('issue');
      if (cell.copied === 'tile') copyCell(team, tile, cell, 'to');
      else loadNow(team, tile, cell);
    } else if (op.op === 'gather') {
      const all = gatheredCell(cx, op, place, split);
      if (isRefused(all)) draft.refuse(all.why);
      else gatherStep(cx, team, draft, { tile, op, cell: stepOf(cx, all, axis), place, stage: 'to' });
    } else if (op.op === 'contract' && sums.has(tile)) addProduct(team, tile, sums.get(tile) ?? tile, op, lefts);
    else letText(team, { kind: 'let', tile, op }, place, new Map());
  }
  draft.to('body');
  draft.await();
  team.add({ kind: 'loop', edge: 'end' });
  draft.keepPieces(false);
  // What follows the loop takes the place of the ring.
  const { stageBytes, stageUsed } = stageOf(draft.pieces);
  const ring = draft.take((shape.stages - 1) * stageBytes + stageUsed, false);
  for (const part of ['before', 'body'] as const) {
    draft.to(part);
    team.add({ kind: 'hold', piece: ring });
  }
  draft.to('after');
  team.add({ kind: 'meet' });
  for (const tile of sums.values()) team.note(tile);
  straight(parted.after);
  const refusal = draft.refusal();
  if (refusal !== undefined) return refusal;
  const plan = planTeam(draft);
  const sharedBytes = plan.arena.fixedBytes + 1024;
  return sharedBytes > sharedLimit(cx.target) ? crowded(sharedBytes) : { parted, shape, plan, ring, sharedBytes };
}

/** What step `n` sees of a cell. */
function stepOf(cx: CudaContext, cell: Cell, axis: Axis): Cell {
  const left = `${axisSize(cx.module, axis)} - n * ${STEP}`;
  const [first, second] = cell.axes;
  if (cell.axes.length === 1) return { ...cell, at: `${cell.at} + n * ${STEP}`, rows: left };
  return first === axis
    ? { ...cell, at: `${cell.at} + (i64)n * ${STEP} * ${cell.rowStride}`, rows: left }
    : second === axis ? { ...cell, at: `${cell.at} + n * ${STEP}`, cols: left } : cell;
}
