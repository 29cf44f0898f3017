import type { Axis } from '../../../ir/common/axes.js';
import { sizeName } from '../../../ir/tile/domain.js';
import type { TileKernel } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { createCode, type Code } from '../code.js';
import type { Piece } from '../instructions/pieces.js';
import type { TeamPlan } from '../instructions/plan.js';
import { printSteps, type Threads } from '../instructions/print.js';
import { gridOf, signature, type CudaContext, type LoweredKernel } from '../lowered.js';
import { openKernel, outerLines, spanLines } from '../prologue.js';
import { isAlongRows, type BlockParts } from './block-parts.js';
import type { Parts, Tall } from './extents.js';
import { STEP } from './forms.js';
import { offsetLines, runtimeOf } from './kernel.js';

/** Of a block: its rows by 64, its columns, the warpgroups that share them, steps in shared memory at a time. */
export interface BlockShape {
  readonly tall: Tall;
  readonly width: number;
  readonly parts: Parts;
  readonly stages: number;
}

/** A kernel of blocks, but for its text. */
export interface BlockPlan {
  readonly parted: BlockParts;
  readonly shape: BlockShape;
  readonly plan: TeamPlan<BlockPart>;
  /** The stages of the ring. */
  readonly ring: Piece;
  readonly sharedBytes: number;
}

/** Before the loops; of each, what asks for a step, what begins one, what it adds up; after the loops. */
export type BlockPart = 'before' | `${'issue' | 'enter' | 'body'}${number}` | 'after';
export const partsOfLoop = (n: number) => [`issue${n}`, `enter${n}`, `body${n}`] as const;

/** Blocks that run at once are neighbours in both directions, so that they find what they read in the cache: so many above each other. */
const STACKED = 16;

/** Rows of a chunk kernel's block, as C text: those of a chunk, or of two. */
export const BLOCK_ROWS = 'block_rows';

/** Says which part of the results a block has. */
function blockLines(code: Code, cx: CudaContext, { kernel, rows, split }: BlockParts, { width, tall }: BlockShape): void {
  const blocks = blocksOf(cx, split, width);
  const size = (n: number, by: number, at: string) => (n % by === 0 ? by : `(${n} - ${at} < ${by} ? ${n} - ${at} : ${by})`);
  const ofRows = isAlongRows(kernel) ? blocksOf(cx, rows, STEP * tall) : undefined;
  // Of two chunks the first has a block.
  const stacked = ofRows === undefined ? STACKED * tall : STACKED;
  const many = ofRows ?? `(int)gridDim.x / ${blocks}`;
  code.line(`const int at = (int)blockIdx.x${ofRows === undefined ? '' : ` % ${blocks * ofRows}`};`);
  code.line(`const int top = at / ${stacked * blocks} * ${stacked}, tall = ${many} - top < ${stacked} ? ${many} - top : ${stacked}, `
    + `row = top + at % ${stacked * blocks} % tall;`);
  code.line(`const int v0 = at % ${stacked * blocks} / tall * ${width}, v_here = ${size(axisSize(cx.module, split), width, 'v0')};`);
  if (ofRows === undefined) code.line('const int outer = row;');
  else {
    code.line(`const int outer = (int)blockIdx.x / ${blocks * ofRows}, u0 = row * ${STEP * tall}, `
      + `u_here = ${size(axisSize(cx.module, rows), STEP * tall, 'u0')};`);
    code.line('(void)outer, (void)u_here;');
  }
  code.line('(void)v_here;');
  if (kernel.inner === 'head') code.line('const int head = blockIdx.y, group = head / (d.heads / d.groups);');
}

/** Says which rows a block of a chunk kernel has. */
function blockRows(code: Code, kernel: TileKernel, tall: Tall): void {
  const { runEnd } = outerLines(code, kernel);
  if (tall === 1) code.line(`const int ${BLOCK_ROWS} = length;`);
  else {
    const { chunk } = kernel.domain;
    // The table may have empty rows beyond those of chunks.
    code.line(`if (length <= 0 || ${sizeName(kernel.domain, 'chunk')}[4 * ${chunk} + 3] % 2 == 1) return;`);
    code.line(`const int ${BLOCK_ROWS} = ${runEnd} - first < ${STEP * tall} ? ${runEnd} - first : ${STEP * tall};`);
  }
}

const blocksOf = (cx: CudaContext, axis: Axis, width: number) => Math.ceil(axisSize(cx.module, axis) / width);

/** The frame of a kernel of blocks: a ring of steps in shared memory, all but one of them on their way. */
export function blocksText(cx: CudaContext, { parted, shape, plan, ring, sharedBytes }: BlockPlan): LoweredKernel {
  const { kernel, rows, split, loops } = parted;
  const { tall, width, parts, stages } = shape;
  const isAlong = isAlongRows(kernel);
  const threads = 128 * parts * tall;
  const team: Threads = { threads, barrier: 1 };
  const blocks = blocksOf(cx, split, width) * (isAlong ? blocksOf(cx, rows, STEP * tall) : 1);
  const { args, parameters } = signature(cx, kernel, []);
  const code = createCode();
  const print = (part: BlockPart) => printSteps(code, plan.steps(part), team);
  const stage = (name: string) => {
    if (isAlong) {
      code.line(`const int first = rows_first + n * ${STEP}, length = rows_end - first < ${STEP} ? rows_end - first : ${STEP};`);
      code.line('(void)first, (void)length;');
    }
    code.line(`const u32 ${name} = base + ${ring.name} + n % ${stages} * ${plan.arena.stageBytes}; (void)${name};`);
  };
  code.line(`// ${kernel.doc}`);
  openKernel(code, kernel, [threads], parameters);
  for (const line of offsetLines(plan.arena.offsets)) code.line(line);
  blockLines(code, cx, parted, shape);
  code.line('const int t = threadIdx.x;');
  if (parts > 1) code.line(`const int part = __shfl_sync(~0u, t >> 7, 0)${tall === 1 ? '' : ` % ${parts}`};`);
  if (tall > 1) code.line(`const int half = __shfl_sync(~0u, t >> ${7 + Math.log2(parts)}, 0);`);
  if (isAlong) {
    spanLines(code, kernel);
    code.line(`const int steps = (rows_end - rows_first + ${STEP - 1}) / ${STEP};`);
  } else blockRows(code, kernel, tall);
  code.line('const u32 base = (saddr(smem) + 1023) & ~1023u;');
  code.line('u8* const basep = smem + (base - saddr(smem));');
  code.line('(void)basep;');
  print('before');
  loops.forEach(({ axis }, i) => {
    const [issue, enter, body] = partsOfLoop(i);
    // The loops share the ring.
    if (i > 0) printSteps(code, [{ kind: 'barrier', fenced: false }], team);
    const count = isAlong ? 'steps' : Math.ceil(axisSize(cx.module, axis) / STEP);
    code.open(`auto ${issue} = [&](int n)`);
    stage('to');
    print(issue);
    code.close(';');
    // Groups of copies are told apart by their number: there is one for every step, and for those that would follow.
    code.line(`for (int n = 0; n < ${stages - 1}; ++n) { if (n < ${count}) ${issue}(n); cp_commit(); }`);
    code.line('#pragma unroll 1');
    code.open(`for (int n = 0; n < ${count}; ++n)`);
    stage('sa');
    code.line('u8* const sp = basep + (sa - base); (void)sp;');
    code.line(`cp_wait<${stages - 2}>();`);
    print(enter);
    // All have met: nobody reads the step before this one any more.
    code.line(`if (n + ${stages - 1} < ${count}) ${issue}(n + ${stages - 1});`);
    code.line('cp_commit();');
    print(body);
    code.close();
  });
  code.line('cp_wait<0>();');
  print('after');
  code.close();
  return {
    text: code.text(), runtime: runtimeOf(code.text()), block: threads, sharedBytes, grid: gridOf(kernel, blocks), args, scratch: [],
  };
}
