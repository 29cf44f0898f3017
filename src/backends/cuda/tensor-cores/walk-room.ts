import { storedBuffers } from '../../../ir/tile/buffers.js';
import { axisSize, hasMaps } from '../../describe.js';
import type { Arena, Piece } from '../instructions/pieces.js';
import { sharedLimit, type CudaContext } from '../lowered.js';
import { crowded, type Refused } from '../refused.js';
import type { Tall } from './extents.js';
import { carriedRegisters, type Division, type Walk } from './walk-division.js';

/** Stages of what chunks take in, and of what they give out, best first. */
const RINGS = [[3, 3], [3, 2], [2, 2], [1, 1]] as const;
/** Bytes of a stage's barriers: full, empty, landed. */
const BARRIERS = 24;

/**
 * Registers of a thread that loads and of one that walks where two blocks share a multiprocessor: together what two threads of them have. A
 * walk without results of its own waits for one product after the other, and the next block fills the gaps.
 */
export const SHARED_REGISTERS = { loading: 88, walking: 168 };
/** Of what such a walk may carry, so that it fits with what it packs. */
const CARRIED_REGISTERS = 64;

/**
 * The same in a block of one warpgroup that loads and two that walk: of 168 for every thread, what the compiler may give to 384 of them.
 */
export const TALL_REGISTERS = { loading: 136, walking: 184 };

/** Has a walk over segments few registers? Operands in two parts take twice as many. */
function isLight(cx: CudaContext, { kernel, split, loop }: Walk): boolean {
  if (cx.target !== 'cuda.sm90' || cx.dtype !== 'bf16' || kernel.outer !== 'segment') return false;
  const fine = loop.body.some((stmt) => stmt.kind === 'let' && stmt.op.op === 'round');
  return carriedRegisters(cx, kernel, split, loop) <= CARRIED_REGISTERS && !fine;
}

/** May two blocks share a multiprocessor, as far as registers go? */
const fitsTwice = (cx: CudaContext, walk: Walk): boolean => isLight(cx, walk) && storedBuffers(walk.loop.body).length === 0;

/**
 * Does it pay that two warpgroups walk? They share what is loaded and worked out ahead. Where segments are cut as many as a device runs at
 * once, that is half of the work of their loading teams; where a sequence is one segment mostly, it would leave half of a device idle.
 */
export function fitsTall(cx: CudaContext, walk: Walk): boolean {
  return isLight(cx, walk) && storedBuffers(walk.loop.body).length > 0 && axisSize(cx.module, walk.split) > 64 && !hasMaps(cx.module);
}

/** Where everything lies in shared memory, of which a block takes `bytes`; `blocks` of them share a multiprocessor. */
export interface Room {
  readonly offsets: ReadonlyMap<Piece, number>;
  readonly outAt: number;
  readonly outBytes: number;
  readonly outputs: number;
  readonly stageAt: number;
  readonly stageBytes: number;
  readonly stages: number;
  readonly barriersAt: number;
  readonly bytes: number;
  readonly blocks: 1 | 2;
}

/** What a walk keeps in shared memory: pieces of both teams, what a chunk gives out. */
export interface Kept {
  readonly walk: Arena;
  readonly load: Arena;
  readonly out: Arena;
}

/** Shared memory: fixed pieces of both teams, a ring of what chunks give out, a ring of what they take in, barriers. */
export function roomOf(
  cx: CudaContext, division: Division, { walk, load, out }: Kept,
  { leastStages, tall }: { readonly leastStages: number; readonly tall: Tall },
): Room | Refused {
  const offsets = new Map([...walk.offsets, ...out.offsets]);
  for (const [piece, offset] of load.offsets) offsets.set(piece, piece.staged ? offset : offset + walk.fixedBytes);
  const outAt = walk.fixedBytes + load.fixedBytes;
  const sized = ([stages, outputs]: readonly [number, number]) => {
    const stageAt = outAt + outputs * out.stageBytes;
    const barriersAt = stageAt + (stages - 1) * load.stageBytes + load.stageUsed;
    // The base is rounded up to what swizzled tiles want.
    return { stages, outputs, stageAt, barriersAt, bytes: barriersAt + stages * BARRIERS + 1024 };
  };
  const rings = RINGS.filter(([stages]) => stages >= leastStages).map(sized);
  const shared = tall === 1 && fitsTwice(cx, division)
    ? rings.find(({ stages, bytes }) => stages > 1 && bytes <= sharedLimit(cx.target, 2))
    : undefined;
  const best = shared ?? rings.find(({ bytes }) => bytes <= sharedLimit(cx.target));
  if (best === undefined) return crowded(rings[rings.length - 1].bytes);
  // A walk that makes what it reads leaves few gaps for another block of its kernel: no multiprocessor has two while others have none.
  const bytes = division.near.length > 0 ? Math.max(best.bytes, sharedLimit(cx.target, 2) + 1024) : best.bytes;
  return { offsets, outAt, outBytes: out.stageBytes, stageBytes: load.stageBytes, ...best, bytes, blocks: shared === undefined ? 1 : 2 };
}
