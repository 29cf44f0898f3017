import { axisSize } from '../../describe.js';
import { createCode } from '../code.js';
import type { Piece } from '../instructions/pieces.js';
import type { TeamPlan } from '../instructions/plan.js';
import { printSteps } from '../instructions/print.js';
import { gridOf, signature, type CudaContext, type LoweredKernel } from '../lowered.js';
import { outerLines } from '../prologue.js';
import type { BlockParts } from './block-parts.js';
import type { Parts } from './extents.js';
import { STEP } from './forms.js';
import { head, offsetLines, runtimeOf } from './kernel.js';

/** Of a block of 64 rows: its columns, the warpgroups that share them, steps in shared memory at a time. */
export interface BlockShape {
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

/** Before the loop; what asks for a step, what begins one, what it adds up; after the loop. */
export type BlockPart = 'before' | 'issue' | 'enter' | 'body' | 'after';

/** The frame of a kernel of blocks: a ring of steps in shared memory, all but one of them on their way. */
export function blocksText(cx: CudaContext, { parted, shape, plan, ring, sharedBytes }: BlockPlan): LoweredKernel {
  const { kernel, split, axis } = parted;
  const { width, parts, stages } = shape;
  const threads = 128 * parts;
  const blocks = Math.ceil(axisSize(cx.module, split) / width);
  const count = Math.ceil(axisSize(cx.module, axis) / STEP);
  const { args, parameters } = signature(cx, kernel, []);
  const code = createCode();
  const print = (part: BlockPart) => printSteps(code, plan.steps(part), { threads, barrier: 1 });
  const stage = (name: string) => {
    code.line(`const u32 ${name} = base + ${ring.name} + n % ${stages} * ${plan.arena.stageBytes}; (void)${name};`);
  };
  code.line(`// ${kernel.doc}`);
  code.open(`extern "C" __global__ void __launch_bounds__(${threads}) ${kernel.name}(${parameters})`);
  for (const line of offsetLines(plan.arena.offsets)) code.line(line);
  for (const line of head(cx, kernel, blocks, width)) code.line(line);
  code.line('const int t = threadIdx.x;');
  if (parts > 1) code.line('const int part = __shfl_sync(~0u, t >> 7, 0);');
  outerLines(code, kernel);
  code.line('const u32 base = (saddr(smem) + 1023) & ~1023u;');
  code.line('u8* const basep = smem + (base - saddr(smem));');
  code.line('(void)v_here, (void)basep;');
  print('before');
  code.open('auto issue = [&](int n)');
  stage('to');
  print('issue');
  code.close(';');
  // Groups of copies are told apart by their number: there is one for every step, and for those that would follow.
  code.line(`for (int n = 0; n < ${stages - 1}; ++n) { if (n < ${count}) issue(n); cp_commit(); }`);
  code.line('#pragma unroll 1');
  code.open(`for (int n = 0; n < ${count}; ++n)`);
  stage('sa');
  code.line('u8* const sp = basep + (sa - base); (void)sp;');
  code.line(`cp_wait<${stages - 2}>();`);
  print('enter');
  // All have met: nobody reads the step before this one any more.
  code.line(`if (n + ${stages - 1} < ${count}) issue(n + ${stages - 1});`);
  code.line('cp_commit();');
  print('body');
  code.close();
  code.line('cp_wait<0>();');
  print('after');
  code.close();
  return {
    text: code.text(), runtime: runtimeOf(code.text()), block: threads, sharedBytes, grid: gridOf(kernel, blocks), args, scratch: [],
  };
}
