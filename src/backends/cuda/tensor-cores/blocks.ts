import { ROW } from '../../../ir/common/axes.js';
import { buffersRead } from '../../../ir/tile/buffers.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { notesOf } from '../../notes.js';
import { bufferNamed } from '../address.js';
import { createDraft } from '../instructions/draft.js';
import { stageOf } from '../instructions/pieces.js';
import { planTeam } from '../instructions/plan.js';
import { sharedLimit, type CudaContext, type CudaTarget, type LoweredKernel } from '../lowered.js';
import { crowded, isRefused, refused, type Refused } from '../refused.js';
import { blockParts, heldAfter, isAlongRows, type BlockParts } from './block-parts.js';
import { blocksText, partsOfLoop, type BlockPart, type BlockPlan, type BlockShape } from './blocks-text.js';
import { padded, STEP } from './forms.js';
import { gatheredCell, gatherStep } from './gathered.js';
import { definitions, letText, tokenRow } from './kernel.js';
import { blockPlace, stepOf, straightText } from './block-text.js';
import { copyCell, loadCell, loadNow, type Load } from './memory.js';
import { lowerPipe } from './pipe.js';
import { addProduct, type LeftOperands } from './product.js';
import { createTeam } from './team.js';

/**
 * Values that a thread of so many warpgroups may hold: of sums, as many as are needed around them; after the loop, of all matrices at once.
 * Threads of four warpgroups have 128 registers, and several left operands want some of them, as does the right one of mma.sync.
 */
const room = (target: CudaTarget, warpgroups: number, lefts: number) => (
  warpgroups < 4 ? { sums: 64, after: 192 } : { sums: target !== 'cuda.sm90' || lefts > 1 ? 48 : 64, after: 96 }
);

/**
 * Products of rows with matrices that shared memory does not hold, or along more rows than it holds: a block has 64 or 128 rows of the
 * result (of a kernel of chunks, those of two) and some columns, and sums up in registers what steps along the summed axis bring, copies of
 * later steps under way. What is pointwise in the operands is worked out step by step, what is pointwise in the results at the end.
 */
export function lowerBlocks(cx: CudaContext, kernel: TileKernel, isMapped: (buffer: string) => boolean): LoweredKernel | Refused {
  const parted = blockParts(cx, kernel);
  if (isRefused(parted)) return parted;
  const piped = mayBeTall(cx, parted) ? lowerPipe(cx, parted, isMapped) : refused('rows of one chunk');
  if (!isRefused(piped)) return piped;
  let found: BlockPlan | Refused = refused('no shape for a block');
  for (const shape of shapesOf(cx, parted)) {
    found = planBlocks(cx, parted, shape);
    if (!isRefused(found)) return blocksText(cx, found);
    if (found.crowded !== true && shape.tall === 1) return found;
  }
  return found;
}

/** Shapes, best first: those that read least for what they multiply. */
function shapesOf(cx: CudaContext, parted: BlockParts): readonly BlockShape[] {
  const { kernel, rows, split, sums, loops } = parted;
  const held = heldAfter(parted);
  const count = new Set(sums.values()).size + scaledProducts(cx, parted);
  const operands = new Set(loops.flatMap(({ inside }) => inside.flatMap(({ op }) => (op.op === 'contract' ? operandsOf(op) : []))));
  const lefts = [...operands].filter((tile) => kernel.tiles[tile].axes.includes(rows)).length;
  const most = padded(axisSize(cx.module, split));
  const reads = ({ tall, width }: BlockShape) => lefts / width + (operands.size - lefts) / (64 * tall);
  const shapes = ([2, 1] as const).filter((tall) => tall === 1 || mayBeTall(cx, parted)).flatMap((tall) => (
    [256, 128, 64].filter((width) => width <= most).flatMap((width): readonly BlockShape[] => {
      const parts = ([1, 2, 4] as const).filter((n) => n * tall <= 4).find((n) => {
        const { sums: own, after } = room(cx.target, n * tall, lefts);
        return width / 2 / n * count <= own && width / 2 / n * held <= after;
      });
      return parts === undefined ? [] : [{ tall, width, parts, stages: 4 }];
    })
  ));
  return shapes.sort((a, b) => reads(a) - reads(b)).flatMap((shape) => [4, 3, 2].map((stages) => ({ ...shape, stages })));
}

/** Are there so many rows for a block, be it those of two chunks that nothing tells apart? */
function mayBeTall(cx: CudaContext, { kernel, rows }: BlockParts): boolean {
  if (isAlongRows(kernel)) return axisSize(cx.module, rows) > STEP;
  return kernel.body.every((stmt) => {
    if (stmt.kind === 'loop' || (stmt.kind === 'let' && stmt.op.op === 'load' && stmt.op.back !== undefined)) return false;
    const touched = stmt.kind === 'store' ? [stmt.buffer] : buffersRead(stmt.op);
    return touched.every((name) => bufferNamed(cx.module, name).outer !== 'chunk');
  });
}

/** Products of operands that f16 has no room for as they are: each is in registers of its own before it is added. */
function scaledProducts(cx: CudaContext, { kernel, loops }: BlockParts): number {
  const defs = definitions(kernel);
  const isScaled = (tile: TileId): boolean => {
    const op = defs.get(tile);
    if (op?.op === 'swap') return isScaled(op.arg);
    return (op?.op !== 'load' && op?.op !== 'gather') || bufferNamed(cx.module, op.buffer).dtype === 'f32';
  };
  if (cx.dtype !== 'f16') return 0;
  return loops.flatMap(({ inside }) => inside.filter(({ op }) => op.op === 'contract' && operandsOf(op).some(isScaled))).length;
}

function planBlocks(cx: CudaContext, parted: BlockParts, shape: BlockShape): BlockPlan | Refused {
  const { kernel, rows, split, loops, sums } = parted;
  // A team knows a step and a block, whatever the whole is.
  const steps = loops.map(({ axis }) => [axis, STEP] as const);
  const high = STEP * shape.tall;
  const sizes = new Map([...cx.module.sizes, ...steps, [rows, high], [split, shape.width]]);
  const chunk = isAlongRows(kernel) ? cx.module.chunk : high;
  const draft = createDraft<BlockPart>(['before', ...loops.flatMap((_, n): readonly BlockPart[] => partsOfLoop(n)), 'after'], 'B');
  const team = createTeam({
    cx: {
      ...cx, module: { ...cx.module, sizes, chunk },
    }, kernel: { ...kernel, split: undefined }, draft, parts: shape.parts, tall: shape.tall,
    defs: definitions(kernel), notes: notesOf(kernel), rowOf: (axes) => (axes.includes(rows) ? rows : tokenRow(axes)),
    stage: { address: 'sa', pointer: 'sp' }, exported: new Set(),
  });
  const place = blockPlace(parted);
  const cellAt = (op: Load) => loadCell(cx, op, place, split);
  draft.keepPieces(true);
  straightText(cx, team, parted.before, { place, split });
  for (const tile of new Set(sums.values())) {
    const sum = team.newFrag(tile, rows, split);
    team.each(sum, `${sum.name}[i] = 0.f;`);
  }
  loops.forEach(({ axis, inside }, n) => {
    const lefts: LeftOperands = new Map();
    const [issue, enter, body] = partsOfLoop(n);
    draft.to(enter);
    team.add({ kind: 'loop', edge: 'begin' });
    team.add({ kind: 'meet' });
    for (const { tile, op } of draft.untilRefused(inside)) {
      draft.to(body);
      if (op.op === 'load') {
        const cell = stepOf(cx, cellAt(op), axis);
        if (cell.copied === 'tile') draft.to(issue);
        if (cell.copied === 'tile') copyCell(team, tile, cell, 'to');
        else loadNow(team, tile, cell);
      } else if (op.op === 'gather') {
        const all = gatheredCell(cx, op, place, split);
        if (isRefused(all)) draft.refuse(all.why);
        else gatherStep(cx, team, draft, { tile, op, cell: stepOf(cx, all, axis), place, issue, isAlong: axis === ROW });
      } else if (op.op === 'contract' && sums.has(tile)) addProduct(team, tile, sums.get(tile) ?? tile, op, lefts);
      else letText(team, { kind: 'let', tile, op }, place, new Map());
    }
    draft.to(body);
    draft.await();
    team.add({ kind: 'loop', edge: 'end' });
    draft.nextLoop();
  });
  draft.keepPieces(false);
  // What follows the loop takes the place of the ring.
  const { stageBytes, stageUsed } = stageOf(draft.pieces);
  const ring = draft.take((shape.stages - 1) * stageBytes + stageUsed, false);
  for (const part of ['before', ...loops.map((_, n) => partsOfLoop(n)[2])] as const) {
    draft.to(part);
    team.add({ kind: 'hold', piece: ring });
  }
  draft.to('after');
  team.add({ kind: 'meet' });
  for (const tile of sums.values()) team.note(tile);
  straightText(cx, team, parted.after, { place, split });
  const refusal = draft.refusal();
  if (refusal !== undefined) return refusal;
  const plan = planTeam(draft);
  const sharedBytes = plan.arena.fixedBytes + 1024;
  return sharedBytes > sharedLimit(cx.target) ? crowded(sharedBytes) : { parted, shape, plan, ring, sharedBytes };
}
