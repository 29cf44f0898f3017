import { ROW } from '../../../ir/common/axes.js';
import { isRows } from '../../../ir/tile/domain.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileLet, TileOp } from '../../../ir/tile/tile.js';
import { sum } from '../../../support/sum.js';
import { axisSize } from '../../describe.js';
import { notesOf } from '../../notes.js';
import { createDraft } from '../instructions/draft.js';
import { stageOf } from '../instructions/pieces.js';
import { planTeam } from '../instructions/plan.js';
import { sharedLimit, type CudaContext, type LoweredKernel } from '../lowered.js';
import { crowded, isRefused, refused, type Refused } from '../refused.js';
import { siluSlopes } from '../slopes.js';
import { heldAfter, isAlongRows, type BlockLoop, type BlockParts } from './block-parts.js';
import { blockPlace, stepOf } from './block-text.js';
import type { Tall } from './extents.js';
import { padded, STEP } from './forms.js';
import { gatheredCell } from './gathered.js';
import { inOrder, jointProducts, summedUp } from './joint-products.js';
import { definitions, tokenRow } from './kernel.js';
import { isEvenTile, loadCell, tileToCome, type Cell } from './memory.js';
import { countedBytes, HIGH, isNarrowed, SLICE, type PipeShape } from './pipe-blocks.js';
import { gatherCopies, mappedCopy, ownCopy } from './pipe-copies.js';
import { planResults } from './pipe-results.js';
import { laid } from './pipe-sides.js';
import { BARRIERS, COPIERS, partsOfPipe, pipeText, type PipePart, type PipePlan, type Traffic } from './pipe-text.js';
import { sidesOf } from './product.js';
import { createTeam, type Team, type TeamOptions } from './team.js';

/** Sums of a thread: those of 64 rows and 256 columns of a warpgroup. */
const SUMS = 128;
/** With what it holds of a slice of the results, once it has summed up, if every matrix were whole at once. */
const HELD = 256;
/** Steps of a block below which its results are what takes time: many small blocks store better than one a multiprocessor. */
const LEAST_STEPS = 3;
const LEAST_STAGES = 3;
const MOST_STAGES = 8;

/**
 * Products whose operands are read from memory as they are, by multiprocessors that own 128 rows and up to 256 columns at a time: one
 * warpgroup asks for what later steps need, two have 64 rows each and multiply out of shared memory, block after block. What is pointwise
 * in the results is worked out for a slice of columns at a time.
 */
export function lowerPipe(cx: CudaContext, given: BlockParts, isMapped: (buffer: string) => boolean): LoweredKernel | Refused {
  const why = unfit(cx, given);
  if (why !== undefined) return refused(why);
  const parted = laid(cx, given);
  const count = new Set(parted.sums.values()).size;
  const more = Math.max(0, heldAfter(parted) - count) * SLICE / 2;
  const most = padded(axisSize(cx.module, parted.split));
  const widths = [256, 128, 64].filter((width) => width <= most && width / 2 * count <= SUMS && width / 2 * count + more <= HELD);
  let found: PipePlan | Refused = refused('no shape for a pipe');
  for (const width of widths) {
    for (let stages = MOST_STAGES; stages >= LEAST_STAGES; stages--) {
      found = planPipe(cx, parted, { width, stages }, isMapped);
      if (!isRefused(found)) return pipeText(cx, found);
      if (found.crowded !== true) return found;
    }
  }
  return found;
}

function unfit(cx: CudaContext, { kernel, before, loops, rows }: BlockParts): string | undefined {
  if (cx.target !== 'cuda.sm90') return 'products out of shared memory';
  if (before.length > 0) return 'what steps need besides operands';
  const isOwn = (op: TileOp) => !['load', 'gather', 'swap', 'contract'].includes(op.op);
  if (loops.some(({ inside }) => inside.some(({ op }) => isOwn(op)))) return 'operands that are worked out';
  if (rows !== ROW && axisSize(cx.module, rows) <= STEP) return 'few rows';
  if (isAlongRows(kernel)) return undefined;
  return sum(loops.map(({ axis }) => Math.ceil(axisSize(cx.module, axis) / STEP))) < LEAST_STEPS ? 'few steps' : undefined;
}

/** Products of a loop that share no operand go through the ring one after the other. */
function apart({ axis, inside }: BlockLoop): readonly BlockLoop[] {
  const groups: { readonly tiles: Set<TileId>; readonly inside: TileLet[] }[] = [];
  for (const stmt of [...inside].reverse()) {
    const touched = [stmt.tile, ...operandsOf(stmt.op)];
    const met = groups.filter(({ tiles }) => touched.some((tile) => tiles.has(tile)));
    const joined = {
      tiles: new Set([...touched, ...met.flatMap(({ tiles }) => [...tiles])]), inside: [stmt, ...met.flatMap((one) => one.inside)],
    };
    for (const one of met) groups.splice(groups.indexOf(one), 1);
    groups.unshift(joined);
  }
  // In the order in which they were written.
  return groups.map((group) => ({ axis, inside: inside.filter((stmt) => group.inside.includes(stmt)) }));
}

function planPipe(cx: CudaContext, parted: BlockParts, shape: PipeShape, isMapped: (buffer: string) => boolean): PipePlan | Refused {
  const { kernel, rows, split, sums } = parted;
  const loops = parted.loops.flatMap(apart);
  const isAlong = isAlongRows(kernel);
  const draft = createDraft<PipePart>(
    ['before', ...loops.flatMap((_, n): readonly PipePart[] => partsOfPipe(n)), 'sums', 'asked', 'own', 'ahead', 'here', 'after'], 'B',
  );
  const notes = notesOf(kernel);
  const teamOf = (tall: Tall, width: number, own: Pick<TeamOptions, 'copiers' | 'outlet' | 'slopes'>): Team => {
    const high = STEP * tall;
    const sizes = new Map([...cx.module.sizes, ...loops.map(({ axis }) => [axis, STEP] as const), [rows, high], [split, width]]);
    return createTeam({
      cx: { ...cx, module: { ...cx.module, sizes, chunk: isAlong ? cx.module.chunk : high } },
      kernel: { ...kernel, split: undefined }, draft, parts: 1, tall, ...own, defs: definitions(kernel), notes,
      rowOf: (axes) => (axes.includes(rows) ? rows : tokenRow(axes)), stage: { address: 'sa', pointer: 'sp' }, exported: new Set(),
    });
  };
  const team = teamOf(2, shape.width, { copiers: COPIERS });
  // Each warpgroup works out its own 64 rows: none waits for the other.
  const outlet = { piece: draft.take(STEP * SLICE * 2, false), later: [] };
  const after = teamOf(1, SLICE, { outlet, slopes: siluSlopes(kernel) });
  const place = blockPlace(parted);
  const joints = loops.map((loop) => jointProducts(parted, loop, shape.width));
  for (const tiles of summedUp(joints, sums)) {
    const name = team.fresh(`f${tiles[0]}`);
    const values = team.values(split);
    team.add({ kind: 'registers', name, count: tiles.length * values });
    team.add({ kind: 'each', count: tiles.length * values, text: `${name}[i] = 0.f;` });
    tiles.forEach((tile, n) => {
      team.formsOf(tile).frags.push({ name, row: rows, col: split });
      const own = n === 0 ? '' : `${n * values} + `;
      after.formsOf(tile).frags.push({ name: `(${name} + ${own}slice * ${SLICE / 2})`, row: rows, col: split });
    });
  }
  const mapped = new Map<string, readonly number[]>();
  const inPlace = new Set<string>();
  /** Rows of the block, of which those beyond its own are nobody's. */
  const isOwnRows = ({ axes, buffer }: Cell) => !isAlong && isRows(buffer) && axes[0] === rows;
  /** The columns of the block, which a narrow one has fewer of. */
  const isColumns = ({ axes, buffer }: Cell) => isNarrowed(parted, shape) && !isRows(buffer) && axes.includes(split);
  const traffic = loops.map(({ axis, inside }, n) => {
    const [ask, issue, body] = partsOfPipe(n);
    let [bytes, upper, wide, products] = [0, 0, 0, 0];
    let copies = 'none' as Traffic['copies'];
    for (const { tile, op } of draft.untilRefused(inOrder(kernel, rows, inside, joints[n]))) {
      draft.to(body);
      if (op.op === 'load') {
        const cell = stepOf(cx, loadCell(cx, op, place, split), axis);
        draft.to(issue);
        if (!isEvenTile(cell)) {
          draft.refuse(`${op.buffer}, which no copy of 16 bytes brings`);
          continue;
        }
        const piece = tileToCome(team, tile, cell, true);
        const boxed = isMapped(op.buffer) && (!isRows(cell.buffer) || cell.buffer.inner === 'once');
        // Rows past those of a run are the next one's: nobody may sum over them.
        const partly = boxed && axis === ROW;
        if (boxed) {
          bytes += piece.bytes;
          if (isOwnRows(cell)) upper += piece.bytes / 2;
          if (isColumns(cell)) wide += piece.bytes;
          mapped.set(op.buffer, isRows(cell.buffer) ? [64, 64] : [64, 64, 1]);
          team.add(mappedCopy(team, piece, cell, {
            when: partly ? 'length == 64 && t == 0' : 't == 0', isOwn: isOwnRows(cell), narrowed: isColumns(cell) ? split : undefined,
          }));
        }
        if (!boxed || partly) {
          team.add(ownCopy(team, piece, cell, partly ? 'length < 64' : undefined));
          if (!boxed) copies = 'all';
          else if (copies === 'none') copies = 'last';
          inPlace.add(op.buffer);
        }
      } else if (op.op === 'gather') {
        const all = gatheredCell(cx, op, place, split);
        if (isRefused(all)) draft.refuse(all.why);
        else if (team.pad(all.axes[1]) > 256) draft.refuse(`gathered rows of ${team.pad(all.axes[1])}`);
        else {
          const { first, copy } = gatherCopies(cx, team, { tile, op, cell: stepOf(cx, all, axis), place, isAlong: axis === ROW });
          draft.to(ask);
          team.add(first);
          draft.to(issue);
          team.add(copy);
        }
        copies = 'all';
        inPlace.add(op.buffer);
      }
    }
    draft.to(body);
    for (const [first, ...others] of draft.untilRefused(joints[n])) {
      pipeProduct(team, [first.tile, ...others.map(({ tile }) => tile)], sums.get(first.tile) ?? first.tile, first.op);
      products++;
    }
    draft.nextLoop();
    return { axis, bytes, upper, wide, copies, products };
  });
  // What is read once all is summed up comes nearer meanwhile.
  draft.to('ask0');
  for (const stmt of parted.after) {
    if (stmt.kind !== 'let' || stmt.op.op !== 'load') continue;
    inPlace.add(stmt.op.buffer);
    const { copied, at, rowStride, rows: high, cols } = loadCell(cx, stmt.op, place, split);
    const askers = traffic.every(({ copies }) => copies === 'none') ? 32 : COPIERS;
    if (copied === 'tile') team.add({ kind: 'call', fn: 'pipe_prefetch', shape: [HIGH, askers], args: [at, rowStride, high, cols, 't'] });
  }
  draft.to('sums');
  draft.await();
  const { stageBytes, stageUsed } = stageOf(draft.pieces);
  const ring = draft.take((shape.stages - 1) * stageBytes + stageUsed, false);
  draft.to('before');
  team.add({ kind: 'hold', piece: ring });
  planResults(cx, after, { draft, parted, place, ring, outlet });
  const refusal = draft.refusal();
  if (refusal !== undefined) return refusal;
  const plan = planTeam(draft);
  // The ring is the largest of all, so that it comes first.
  const ownBytes = plan.arena.fixedBytes - ring.bytes;
  const sharedBytes = ring.bytes + 2 * ownBytes + shape.stages * BARRIERS + countedBytes(parted) + 1024;
  return sharedBytes > sharedLimit(cx.target) ? crowded(sharedBytes)
    : { parted, loops: traffic, shape, plan, ring, ownBytes, sharedBytes, mapped, inPlace };
}

/** A step of a product, or of several that are one: both operands are where the stage has them. */
function pipeProduct(team: Team, tiles: readonly TileId[], into: TileId, op: Parameters<typeof sidesOf>[2]): void {
  const found = sidesOf(team, tiles[0], op);
  const [sum] = team.formsOf(into).frags;
  if (found === undefined || sum === undefined) return;
  team.begin();
  tiles.forEach(team.note);
  const [a, b] = [team.t16(found.left), team.t16(found.right)];
  if (a.most !== undefined || b.most !== undefined) return team.refuse('scaled operands');
  team.add({
    kind: 'product', fn: 'pipe_mma', name: sum.name, sum: sum.name, pieces: [a.piece, b.piece], then: [],
    shape: [tiles.length * team.pad(found.col), team.pad(a.rows), a.rows === op.axis, team.pad(b.rows), b.rows === op.axis],
    args: [sum.name, team.ofHalf(a.address, a.rows === op.axis, team.pad(a.rows)), b.address],
  });
}
