import type { Axis } from '../../../ir/common/axes.js';
import { sizeName } from '../../../ir/tile/domain.js';
import { sum } from '../../../support/sum.js';
import { axisSize, innerExtents } from '../../describe.js';
import { createCode, type Code } from '../code.js';
import type { Piece } from '../instructions/pieces.js';
import type { TeamPlan } from '../instructions/plan.js';
import { printSteps, type Threads } from '../instructions/print.js';
import { signature, type CudaContext, type LoweredKernel } from '../lowered.js';
import { openKernel } from '../prologue.js';
import { isAlongRows, type BlockParts } from './block-parts.js';
import { BLOCK_ROWS } from './blocks-text.js';
import { elementByElement } from './element-order.js';
import { STEP } from './forms.js';
import { offsetLines, runtimeOf } from './kernel.js';
import { blockCount, countedBytes, countedRuns, HIGH, isNarrowed, openBlocks, SLICE, type PipeShape } from './pipe-blocks.js';

/**
 * Before the loops; of each, what the copying threads know before it, what asks for a step, what multiplies; sums that are there; what rows
 * have for every slice of them, as it is asked for before the loops, and as it is there; what brings what the next slice reads; what takes
 * it; what is done with a slice.
 */
export type PipePart = 'before' | `${'ask' | 'issue' | 'body'}${number}` | 'sums' | 'asked' | 'own' | 'ahead' | 'here' | 'after';
export const partsOfPipe = (n: number) => [`ask${n}`, `issue${n}`, `body${n}`] as const;

/** What goes through the ring in a loop. */
export interface Traffic {
  readonly axis: Axis;
  /** Of a step, by the copy engine. */
  readonly bytes: number;
  /** Those of them that a block of no more than 64 rows has no use for. */
  readonly upper: number;
  /** Those that are columns of the results, of which a narrow block has fewer. */
  readonly wide: number;
  /** Which steps threads copy too: all, those of a run that are not full, none. */
  readonly copies: 'all' | 'last' | 'none';
  /** Of a step. */
  readonly products: number;
}

export interface PipePlan {
  readonly parted: BlockParts;
  readonly loops: readonly Traffic[];
  readonly shape: PipeShape;
  readonly plan: TeamPlan<PipePart>;
  readonly ring: Piece;
  /** Of a warpgroup that multiplies, behind the ring. */
  readonly ownBytes: number;
  readonly sharedBytes: number;
  /** Boxes, by buffer. */
  readonly mapped: ReadonlyMap<string, readonly number[]>;
  /** Buffers that threads read. */
  readonly inPlace: ReadonlySet<string>;
}

/** Threads that multiply, and those that copy. */
const MULTIPLIERS = 256;
export const COPIERS = 128;
/** The barrier of those that copy; those before it are the block's and that of each warpgroup that multiplies. */
const TOGETHER = 3;
/** Bytes of a stage's barriers: full, empty. */
export const BARRIERS = 16;
/** Blocks at a time, one for each multiprocessor, as many blocks as there are. */
const AT_ONCE = 132;
/**
 * Registers of threads that copy and of those that multiply, of which 128 and 256 have 65536: where only the engine copies, where threads
 * do, where they learn of new rows in each step.
 */
const REGISTERS = { byEngine: [24, 240], byThreads: [40, 232], alongRows: [56, 224] } as const;

export function pipeText(
  cx: CudaContext, { parted, loops, shape, plan, ring, ownBytes, sharedBytes, mapped, inPlace }: PipePlan,
): LoweredKernel {
  const { kernel, split } = parted;
  const { stages } = shape;
  const isAlong = isAlongRows(kernel);
  const { args, parameters } = signature(cx, kernel, [], mapped, inPlace);
  const code = createCode();
  const team: Threads = { threads: MULTIPLIERS, barrier: '1' };
  const own: Threads = { threads: 128, barrier: '1 + half' };
  const print = (part: PipePart) => printSteps(code, plan.steps(part), team);
  const copies = loops.some((loop) => loop.copies === 'all');
  // One warp does for the engine; where a step is not full, all threads bring it and wait for each other, so that nobody else has to.
  const last = !copies && loops.some((loop) => loop.copies === 'last');
  const byEngine = loops.some(({ bytes }) => bytes > 0);
  const [few, many] = REGISTERS[!copies && !last ? 'byEngine' : copies && isAlong ? 'alongRows' : 'byThreads'];
  const countOf = (axis: Axis) => (isAlong ? 'steps' : String(Math.ceil(axisSize(cx.module, axis) / STEP)));
  const step = () => {
    if (!isAlong) return;
    code.line(`const int first = rows_first + n * ${STEP}, length = rows_end - first < ${STEP} ? rows_end - first : ${STEP};`);
    code.line('(void)first, (void)length;');
  };
  const next = (phase: string) => code.line(`if (++at == ${stages}) at = 0, ${phase} ^= 1;`);
  const stage = (name: string) => code.line(`const u32 ${name} = base + ${ring.name} + at * ${plan.arena.stageBytes}; (void)${name};`);

  code.line(`// ${kernel.doc}`);
  openKernel(code, kernel, [MULTIPLIERS + COPIERS, 1], parameters);
  for (const line of offsetLines(plan.arena.offsets)) code.line(line);
  code.line('const u32 base = (saddr(smem) + 1023) & ~1023u;');
  code.line('u8* const basep = smem + (base - saddr(smem));');
  code.line('(void)basep;');
  const [runs, counts] = [countedRuns(parted), sharedBytes - 1024 - countedBytes(parted)];
  code.line(`const u32 full = base + ${counts - stages * BARRIERS}, empty = full + ${stages * 8};`);
  const arrivals = (copies ? COPIERS : 0) + (byEngine ? 1 : 0);
  code.open('if (threadIdx.x == 0)');
  code.line(`for (int i = 0; i < ${stages}; ++i) { bar_init(full + i * 8, ${arrivals}); bar_init(empty + i * 8, ${MULTIPLIERS / 32}); }`);
  code.line('proxy_fence();');
  code.close();
  if (runs !== undefined) {
    code.line(`int* const pairs = (int*)(basep + ${counts});`);
    code.line(`pipe_count<${runs}, ${MULTIPLIERS + COPIERS}>(pairs, ${sizeName(kernel.domain, 'run')});`);
  }
  code.line('__syncthreads();');
  if (kernel.inner === 'head') code.line('const int head = blockIdx.y, group = head / (d.heads / d.groups); (void)group;');
  const count = blockCount(code, cx, parted, shape);

  code.open(`if (__shfl_sync(~0u, threadIdx.x >> 7, 0) == ${MULTIPLIERS / 128})`);
  code.line(`regs_down<${few}>();`);
  code.line(`const int t = threadIdx.x - ${MULTIPLIERS};`);
  if (!copies && !last) code.line('if (t >= 32) return;');
  code.line('int at = 0, lap = 1;');
  openBlocks(code, cx, parted, shape, count);
  loops.forEach(({ axis, bytes, upper, wide }, i) => {
    const [ask, issue] = partsOfPipe(i);
    print(ask);
    code.line('#pragma unroll 1');
    code.open(`for (int n = 0; n < ${countOf(axis)}; ++n)`);
    step();
    stage('to');
    code.line('const u32 bar = full + at * 8;');
    code.line(`${last ? 'if (t < 32) ' : ''}bar_wait(empty + at * 8, lap);`);
    // The others hear of it from the first warp: of a barrier in memory they would not know how often it has turned since they looked.
    if (last) code.line(`if (length < ${STEP}) bar_sync(${TOGETHER}, ${COPIERS});`);
    const [rest, columns] = isNarrowed(parted, shape) ? [bytes - wide, wide > 0 ? `(${wide} >> narrow)` : ''] : [bytes, ''];
    const tall = upper === 0 ? '' : `(${BLOCK_ROWS} > ${STEP} ? ${rest} : ${rest - upper})`;
    const arriving = isAlong && bytes > 0 ? `length == ${STEP} ? ${bytes} : 0`
      : [tall === '' && (rest > 0 || columns === '') ? String(rest) : tall, columns].filter((text) => text !== '').join(' + ');
    if (last) code.line(`if (length == ${STEP} && t == 0) bar_expect(bar, ${bytes});`);
    else if (byEngine) code.line(`if (t == 0) bar_expect(bar, ${arriving});`);
    print(issue);
    if (copies) code.line('cp_arrive(bar);');
    if (last) code.line(`if (length < ${STEP}) pipe_brought<${COPIERS}>(bar, ${TOGETHER}, t);`);
    next('lap');
    code.close();
  });
  code.close();
  code.close();

  code.open('else');
  code.line(`regs_up<${many}>();`);
  code.line('const int t = threadIdx.x, half = __shfl_sync(~0u, t >> 7, 0);');
  code.line('int at = 0, lap = 0;');
  code.line(`auto release = [&]() { if ((t & 31) == 0) bar_arrive(empty + (at == 0 ? ${stages - 1} : at - 1) * 8); };`);
  openBlocks(code, cx, parted, shape, count);
  idleHalf(code, cx, parted, loops, stages);
  print('before');
  const sliceText = (of: string) => openSlice(code, cx, parted, of);
  const [asked, ahead] = [plan.steps('asked'), plan.steps('ahead')];
  if (asked.length + ahead.length > 0) {
    code.open('');
    ownRows(code, parted, ownBytes);
    printSteps(code, asked, own);
    if (ahead.length > 0) sliceText('0');
    printSteps(code, ahead, own);
    code.close();
    code.close();
  }
  loops.forEach(({ axis, products }, i) => {
    code.line('#pragma unroll 1');
    code.open(`for (int n = 0; n < ${countOf(axis)}; ++n)`);
    stage('sa');
    code.line('bar_wait(full + at * 8, lap);');
    if (copies) code.line('proxy_fence();');
    print(partsOfPipe(i)[2]);
    // The products of the step before are done: nobody reads it any more.
    code.line(`mma_wait<${products}>();`);
    code.line('if (n > 0) release();');
    next('lap');
    code.close();
    code.line('mma_wait<0>();');
    code.line(isAlong ? 'if (steps > 0) release();' : 'release();');
  });
  print('sums');
  const size = axisSize(cx.module, split);
  ownRows(code, parted, ownBytes);
  printSteps(code, plan.steps('own'), own);
  code.open(`UNROLL for (int slice = 0; slice < ${shape.width / SLICE}; ++slice)`);
  if (isNarrowed(parted, shape)) code.line(`if (slice * ${SLICE} >= v_wide) break;`);
  sliceText('slice');
  if (size % shape.width !== 0) code.line(`if (v0 >= ${size}) break;`);
  printSteps(code, plan.steps('here'), own);
  if (ahead.length > 0) {
    const least = [isNarrowed(parted, shape) ? 'v_wide' : String(shape.width), ...(size % shape.width !== 0 ? [`${size} - block_v0`] : [])];
    code.open(`if (${least.map((here) => `(slice + 1) * ${SLICE} < ${here}`).join(' && ')})`);
    sliceText('(slice + 1)');
    printSteps(code, ahead, own);
    code.close();
  }
  printSteps(code, elementByElement(plan.steps('after')), own);
  code.close();
  code.close();
  code.close();
  code.close();
  code.close();
  const inner = innerExtents(kernel.inner);
  return {
    text: code.text(), runtime: runtimeOf(code.text()), block: MULTIPLIERS + COPIERS, sharedBytes,
    grid: [[AT_ONCE], inner.length === 0 ? [1] : inner, [1]], args, scratch: [],
  };
}

/** A warpgroup none of whose rows is there lets the stages of a block go by. */
function idleHalf(code: Code, cx: CudaContext, { kernel, rows }: BlockParts, loops: readonly Traffic[], stages: number): void {
  const isAlong = isAlongRows(kernel);
  const last = axisSize(cx.module, rows) % HIGH;
  if (isAlong && (last === 0 || last > STEP)) return;
  const steps = isAlong ? `${loops.length} * steps` : String(sum(loops.map(({ axis }) => Math.ceil(axisSize(cx.module, axis) / STEP))));
  const here = isAlong ? 'u_here' : BLOCK_ROWS;
  code.line(`if (${here} <= half * ${STEP}) { pipe_pass<${stages}>(${steps}, full, empty, at, lap); continue; }`);
}

/** Which columns of the results a slice has. */
function openSlice(code: Code, cx: CudaContext, { split }: BlockParts, slice: string): void {
  const size = axisSize(cx.module, split);
  const here = size % SLICE === 0 ? SLICE : `${size} - v0 < ${SLICE} ? ${size} - v0 : ${SLICE}`;
  code.line(`const int v0 = block_v0 + ${slice} * ${SLICE}, v_here = ${here};`);
  code.line('(void)v_here;');
}

/** Opens what a warpgroup does by itself: by the names of a block's rows, those of its own. */
function ownRows(code: Code, { kernel }: BlockParts, ownBytes: number): void {
  const isAlong = isAlongRows(kernel);
  const [from, here] = isAlong ? ['u0', 'u_here'] : ['first', BLOCK_ROWS];
  const left = `${here} - half * ${STEP}`;
  code.line(`const int block_v0 = v0, own_from = ${from} + half * ${STEP}, own_here = ${left} < ${STEP} ? ${left} : ${STEP};`);
  code.line(`const u32 own_base = base + half * ${ownBytes};`);
  code.line(`u8* const own_basep = basep + half * ${ownBytes};`);
  code.open('');
  code.line(`const int t = threadIdx.x & 127, ${from} = own_from, ${here} = own_here;`);
  code.line('const u32 base = own_base;');
  code.line('u8* const basep = own_basep;');
  code.line(`(void)t, (void)${from}, (void)${here}, (void)base, (void)basep;`);
}
