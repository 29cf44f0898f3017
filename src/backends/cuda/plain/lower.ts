import type { TileId, TileKernel, TileLoop, TileStmt } from '../../../ir/tile/tile.js';
import { axisSize, longestRun } from '../../describe.js';
import { notesOf } from '../../notes.js';
import { bufferNamed, innerCount, type Place } from '../address.js';
import { copiesInOrder } from '../carry.js';
import { createCode, floatLiteral } from '../code.js';
import { blockNumber, gridOf, pointer, sharedLimit, signature, wholeIn, type CudaContext, type LoweredKernel } from '../lowered.js';
import { openKernel, openLoop, outerLines, outermost, sizeField } from '../prologue.js';
import { hasOp } from '../uses.js';
import { createBarriers } from './barriers.js';
import { blockSizes, createElements, firstOfBlock } from './element.js';
import { elementAxes, elementLoop } from './element-loop.js';
import { homesOf } from './homes.js';
import { stagingOf } from './staging.js';
import { letText, storeText } from './statements.js';
import { arraysIn, planStorage } from './storage.js';
import { createPlainWriter, THREADS } from './writer.js';

/** Kernels with scratch in device memory take turns on it: one block per multiprocessor. */
const SCRATCH_BLOCKS = 132;

/**
 * The lowering that takes every kernel, in f32 throughout: tiles that many statements read are arrays in shared memory (in device memory
 * what does not fit), the others are expressions in the loops of their readers; products run as outer products in registers.
 */
export function lowerPlain(cx: CudaContext, kernel: TileKernel): LoweredKernel {
  const { module } = cx;
  const homes = homesOf(kernel, (name) => bufferNamed(cx.module, name).axes);
  const splitSize = kernel.split === undefined ? 1 : axisSize(module, kernel.split);
  // One segment waits for another, and columns are put in order one by one: the more blocks share that work, the less it takes.
  const ordered = hasOp(kernel, 'nth');
  const widest = ordered ? 1 : kernel.body.some((stmt) => stmt.kind === 'loop' && stmt.over === 'segments') ? 16 : 64;
  const wanted = kernel.split === undefined ? [1] : [64, 32, 16, 8, 4, 2, 1].filter(
    (n) => n <= widest && splitSize % n === 0 && n % longestRun(kernel) === 0,
  );
  const withBlock = (block: number) => blockSizes(module, kernel, block);
  const plan = (block: number) => {
    const stage = Math.ceil(stagingOf(kernel, withBlock(block)) / 4) * 4;
    return { block, stage, ...planStorage(kernel, homes, withBlock(block), Math.floor(sharedLimit(cx.target) / 4) - stage) };
  };
  const storage = wanted.map(plan).find((option) => option.globalFloats === 0)
    ?? plan(Math.min(wanted[0], Math.max(32, longestRun(kernel))));
  const { block, stage } = storage;
  const blocks = splitSize / block;
  const scratchName = `${kernel.name}.scratch`;
  const scratch = storage.globalFloats === 0 ? [] : [scratchName];
  const { args, parameters } = signature(cx, kernel, scratch);
  const code = createCode();
  const size = withBlock(block);
  const arrays = arraysIn(kernel, storage, size);
  const options = { cx, kernel, code, homes, arrays, size, first: firstOfBlock(kernel) };
  const elements = createElements(options);
  const meet = cx.part === undefined ? '__syncthreads();' : `bar_sync(1, ${THREADS});`;
  const barriers = createBarriers(homes, storage, stage, () => code.line(meet));
  const own = [
    ...(hasOp(kernel, 'draw') ? ['rt/draw.cuh'] : []), ...(ordered || hasOp(kernel, 'top') ? ['rt/order.cuh'] : []),
    ...(hasOp(kernel, 'cumsum') ? ['rt/running.cuh'] : []), ...(hasOp(kernel, 'pack') ? ['rt/pack.cuh'] : []),
  ];
  const notes = notesOf(kernel);
  const writer = createPlainWriter({ cx, kernel, code, homes, elements, barriers, notes, blocks });

  const copy = (to: TileId, from: TileId, place: Place) => {
    if (to !== from && writer.array(from) !== to) writer.assign(to, [from], place, (spot) => elements.value(from, spot));
  };

  const loopText = (loop: TileLoop, place: Place, depth: number) => {
    const apart = elementAxes(module, kernel, loop);
    if (apart !== undefined) {
      elementLoop(writer, options, loop, apart, place, depth);
      return;
    }
    for (const { tile, init } of loop.carry) copy(tile, init, place);
    barriers.flush();
    for (const text of notes.loop(loop)) code.line(text);
    const inside = openLoop(code, kernel, loop, `n${depth}`, module.chunk, place);
    if (loop.while !== undefined) code.line(`if (!(t${loop.while.tile} >= ${floatLiteral(loop.while.least)})) break;`);
    bodyText(loop.body, inside, depth + 1);
    for (const { tile, next } of copiesInOrder(loop)) copy(tile, next, inside);
    barriers.flush();
    code.close();
  };

  const bodyText = (body: readonly TileStmt[], place: Place, depth: number): void => {
    for (const stmt of body) {
      switch (stmt.kind) {
        case 'let': {
          const kind = homes.get(stmt.tile)?.kind;
          if (kind !== 'inline' && kind !== 'fused') letText(writer, stmt.tile, stmt.op, place);
          break;
        }
        case 'store':
          if (stmt.only !== undefined) code.open(`if (${outermost(stmt.only)})`);
          storeText(writer, stmt, place);
          if (stmt.only !== undefined) code.close();
          break;
        case 'loop': loopText(stmt, place, depth); break;
        default: stmt satisfies never;
      }
    }
  };

  code.line(`// ${kernel.doc}`);
  openKernel(code, kernel, [THREADS], parameters, cx.part);
  if (cx.part !== undefined) code.line(`if (threadIdx.x >= ${THREADS}) return;`);
  code.line(`float* const stage = (float*)smem; float* const sm = stage + ${stage}; (void)stage, (void)sm;`);
  if (scratch.length > 0) {
    code.line(`float* const far_ = ${pointer(scratchName)} + (i64)blockIdx.x * ${storage.globalFloats};`);
    code.line('#pragma unroll 1');
    code.open(`for (int program = blockIdx.x; program < ${programsText(kernel, blocks)}; program += gridDim.x)`);
  }
  const [x, inner] = scratch.length > 0
    ? [`program / ${innerCount(kernel.inner)}`, `program % ${innerCount(kernel.inner)}`]
    : [`(int)${blockNumber(cx)}`, 'blockIdx.y'];
  const [v0, outer] = blocks === 1 ? ['0', 'x'] : [`x % ${blocks} * ${block}`, `x / ${blocks}`];
  code.line(`const int x = ${x}, v0 = ${v0}, outer = ${outer}, per_group = d.heads / d.groups;`);
  code.line('(void)v0, (void)outer, (void)per_group;');
  if (kernel.inner === 'head') code.line(`const int head = ${inner}, group = head / per_group; (void)group;`);
  if (kernel.inner === 'group') code.line(`const int group = ${inner};`);
  const place = outerLines(code, kernel);
  for (const [tile, home] of homes) if (home.kind === 'scalar') code.line(`float t${tile} = 0.f;`);
  for (const [tile, home] of storage.arrays) {
    code.line(`float* const t${tile} = ${home.space === 'shared' ? 'sm' : 'far_'} + ${home.offset};`);
  }
  bodyText(kernel.body, place, 0);
  if (scratch.length > 0) {
    barriers.flush();
    code.close();
  }
  code.close();

  return {
    text: code.text(),
    runtime: [
      'rt/base.cuh', ...(cx.part === undefined ? [] : ['rt/ptx.cuh']), ...(wholeIn(cx, kernel) ? ['rt/whole.cuh'] : []), 'rt/math.cuh',
      'rt/lanes.cuh', 'rt/plain.cuh', ...own,
    ],
    block: THREADS,
    sharedBytes: (stage + storage.sharedFloats) * 4,
    grid: scratch.length > 0 ? [[SCRATCH_BLOCKS], [1], [1]] : gridOf(kernel, blocks),
    args,
    scratch: scratch.map((name) => ({ name, role: 'workspace', dtype: 'f32', shape: [SCRATCH_BLOCKS, storage.globalFloats], axes: [] })),
  };
}

/** Number of programs of a launch. */
const programsText = (
  kernel: TileKernel, blocks: number,
) => `${kernel.outer === 'once' ? '1' : sizeField(kernel.outer)} * ${blocks} * ${innerCount(kernel.inner)}`;
