import { loadedBuffers } from '../../../ir/tile/buffers.js';
import type { TileKernel } from '../../../ir/tile/tile.js';
import type { CudaContext, LoweredKernel } from '../lowered.js';
import { bufferNamed } from '../address.js';
import { refused, type Refused } from '../refused.js';
import { eachStatement, hasOp } from '../uses.js';
import { lowerBlocks } from './blocks.js';
import { lowerChunk } from './chunk.js';
import { isDscore } from './joined-decays.js';
import { tokenRow } from './kernel.js';
import { unfitCells } from './memory.js';
import { freeOperands } from './free-operands.js';
import { withJoinedAxes } from './joined-axes.js';
import { alongAllRows } from './row-sums.js';
import { lowerWalk } from './walk.js';

/** Kernels around matrix products; others are refused. */
export function lowerTensorCores(given: CudaContext, whole: TileKernel): LoweredKernel | Refused {
  const { cx, kernel } = withJoinedAxes(given, whole);
  const why = unfit(cx, kernel);
  if (why !== undefined) return refused(why);
  // The copy engine knows tensors as hosts do.
  const isMapped = (name: string) => bufferNamed(given.module, name).axes.length === bufferNamed(cx.module, name).axes.length;
  const along = alongAllRows(cx, kernel);
  if (along !== undefined) return unfitCells(cx, along) ?? lowerBlocks(cx, along, isMapped);
  const { split } = kernel;
  const inChunk = kernel.outer === 'chunk';
  const free = freeOperands(
    kernel, (axes) => (!inChunk && split !== undefined && axes.includes(split) ? split : tokenRow(axes)),
  );
  return unfitCells(cx, free) ?? (
    !inChunk ? lowerWalk(cx, free) : split === undefined ? lowerChunk(cx, free) : lowerBlocks(cx, free, isMapped)
  );
}

/** What a kernel is, or has, that this lowering does not know. */
function unfit(cx: CudaContext, kernel: TileKernel): string | undefined {
  if (!worthwhile(kernel)) return 'no matrix product';
  const inBlocks = isBlocks(kernel) || alongAllRows(cx, kernel) !== undefined;
  if (hasOp(kernel, 'gather') && !inBlocks) return 'gathered rows';
  if (hasOp(kernel, 'draw') && !inBlocks) return 'draws';
  if (hasOp(kernel, 'top', 'pack', 'unpack', 'tally', 'queue')) return 'choices';
  if (counts(kernel)) return 'numbers of rows';
  if (mapsWide(cx, kernel)) return 'maps in f32';
  if (cx.dtype === 'f32') return 'f32 operands';
  if (cx.module.chunk !== 64) return `chunks of ${cx.module.chunk}`;
  if (kernel.inner === 'group') return 'kernels over groups';
  if (kernel.inner === 'once' && !inBlocks) return 'kernels without heads';
  return kernel.outer === 'once' && !inBlocks ? 'kernels over everything' : undefined;
}

/** Does a program own a chunk and some columns? */
const isBlocks = ({ outer, split }: TileKernel) => outer === 'chunk' && split !== undefined;

/** Has it numbers of rows or of elements, or brings something to rows by their numbers? */
function counts(kernel: TileKernel): boolean {
  let found = false;
  eachStatement(kernel.body, (stmt) => {
    if (stmt.kind === 'let') found ||= ['index', 'number', 'size'].includes(stmt.op.op) || (
      stmt.op.op === 'cumsum' && stmt.op.axis !== undefined
    );
    if (stmt.kind === 'store') found ||= stmt.by !== undefined;
  });
  return found;
}

/** Does a loop over segments load matrices in f32 that are no states? Products would round them. */
function mapsWide({ module }: CudaContext, { body, split }: TileKernel): boolean {
  const isWide = (name: string) => {
    const { axes, dtype } = bufferNamed(module, name);
    return dtype === 'f32' && axes.length === 2 && !axes.some((axis) => axis === split);
  };
  return body.some((stmt) => stmt.kind === 'loop' && stmt.over === 'segments' && loadedBuffers(stmt.body).some(isWide));
}

function worthwhile(kernel: TileKernel): boolean {
  let found = false;
  eachStatement(kernel.body, (stmt) => {
    if (stmt.kind !== 'let') return;
    const { op } = stmt;
    if (isDscore(op) || op.op === 'inverse') found = true;
    if (op.op === 'contract' && kernel.tiles[stmt.tile].axes.length === 2) found = true;
  });
  return found;
}
