import { createCode } from '../code.js';
import type { Action, Registers, Step } from '../instructions/instruction.js';
import type { TeamPlan } from '../instructions/plan.js';
import { printSteps } from '../instructions/print.js';
import { gridOf, signature, type CudaContext, type LoweredKernel } from '../lowered.js';
import { iterationLines, loopCount, openKernel, outerLines } from '../prologue.js';
import type { BulkCopy, BulkStore } from './bulk-copy.js';
import type { Tall } from './extents.js';
import { head, offsetLines, runtimeOf, slabs } from './kernel.js';
import type { Division } from './walk-division.js';
import { SHARED_REGISTERS, TALL_REGISTERS, type Room } from './walk-room.js';

/**
 * Before the loop; in it: what asks for the numbers of the next chunk, which come through registers, and for its matrices, which take a
 * stage; what puts numbers down, what is worked out.
 */
export type LoadingPart = 'before' | 'ask' | 'issue' | 'fill' | 'body';
export type WalkingPart = 'before' | 'body' | 'after';

export interface Loading {
  /** What comes through registers. */
  readonly registers: readonly Registers[];
  /** Does `issue` copy? */
  readonly copies: boolean;
  /** Copies for the next chunk that are not in it, since one thread asks for them. */
  readonly bulk: readonly BulkCopy[];
  /** Does `body` read what they bring? */
  readonly readsBulk: boolean;
}

/** A store of what a chunk gives out: by all threads of the loading team, or by the copy engine. */
export interface Drain {
  readonly store: Action;
  readonly bulk: BulkStore | undefined;
}

/** A walk, but for its text. */
export interface WalkPlan {
  readonly division: Division;
  readonly loading: Loading & { readonly plan: TeamPlan<LoadingPart> };
  readonly walking: TeamPlan<WalkingPart>;
  /** Stores of a chunk's outputs, which the loading team makes when it takes their stage back. */
  readonly draining: readonly Drain[];
  readonly room: Room;
  /** Warpgroups that walk. */
  readonly tall: Tall;
}

const LOADING = { threads: 128, barrier: 1 };
/** Of its threads, the one that asks the copy engine: of a warp that has no number of 64 tokens to work out. */
const ASKING = 't == 96';

export function walkText(cx: CudaContext, { division, loading, walking, draining, room, tall }: WalkPlan): LoweredKernel {
  const { kernel, split, loop } = division;
  const { offsets, outAt, outBytes, outputs, stageAt, stageBytes, stages, barriersAt, bytes } = room;
  const early = stages >= 3;
  const width = 64 * tall;
  const blocks = slabs(cx.module, split, width);
  const walkers = { threads: 128 * tall, barrier: 2 };
  const threads = 128 + walkers.threads;
  const registers = tall === 2 ? TALL_REGISTERS : room.blocks === 2 ? SHARED_REGISTERS : undefined;
  const count = loop.over === 'segments' ? 'walk_segments' : loopCount(kernel, loop);
  const { copies, bulk, readsBulk } = loading;
  const pushed = draining.flatMap((drain) => drain.bulk ?? []);
  const { args, parameters } = signature(cx, kernel, [], new Map([...bulk, ...pushed].map(({ buffer, box }) => [buffer, box])));
  const code = createCode();
  const load = (steps: readonly Step[]) => printSteps(code, steps, LOADING);
  const walk = (part: WalkingPart) => printSteps(code, walking.steps(part), walkers);
  const lambda = (name: string, body: () => void) => {
    code.open(`auto ${name} = [&](int n)`);
    iterationLines(code, kernel, loop, 'n', '', 64, division.outside);
    body();
    code.close(';');
  };
  const stage = `n % ${stages}`;
  const waitFor = (barrier: string) => `bar_wait(${barrier} + ${stage} * 8, (n / ${stages}) & 1);`;
  const inputsLine = (name: string) => code.line(`const u32 ${name} = stage0 + ${stage} * ${stageBytes}; (void)${name};`);
  const outputsLine = () => code.line(`const u32 oa = out0 + n % ${outputs} * ${outBytes}; (void)oa;`);
  const perChunk = () => {
    code.line('#pragma unroll 1');
    code.open(`for (int n = 0; n < ${count}; ++n)`);
    iterationLines(code, kernel, loop, 'n', '', 64, division.outside);
    inputsLine('sa');
    code.line('u8* const sp = basep + (sa - base); (void)sp;');
  };

  code.line(`// ${kernel.doc}`);
  openKernel(code, kernel, [threads, room.blocks], parameters);
  for (const line of offsetLines(offsets)) code.line(line);
  for (const line of head(cx, kernel, blocks, width)) code.line(line);
  // Told uniform, the compiler can order products across branches.
  code.line('const int half = __shfl_sync(~0u, threadIdx.x >> 7, 0);');
  code.line(`const int t = half < ${tall} ? (int)threadIdx.x : (int)threadIdx.x & 127;`);
  outerLines(code, kernel);
  if (loop.over === 'segments') code.line(`const int ${count} = ${loopCount(kernel, loop)};`);
  code.line('const u32 base = (saddr(smem) + 1023) & ~1023u;');
  code.line('u8* const basep = smem + (base - saddr(smem));');
  code.line(
    `const u32 out0 = base + ${outAt}, stage0 = base + ${stageAt}, `
    + `full = base + ${barriersAt}, empty = full + ${stages * 8}, landed = empty + ${stages * 8};`,
  );
  code.line('(void)group, (void)v_here, (void)out0, (void)landed;');
  code.open('if (threadIdx.x == 0)');
  code.line(
    `for (int i = 0; i < ${stages}; ++i) { bar_init(full + i * 8, 128); bar_init(empty + i * 8, ${walkers.threads});${
      bulk.length === 0 ? '' : ' bar_init(landed + i * 8, 1);'
    } }`,
  );
  // The copy engine finds them made.
  if (bulk.length > 0) code.line('proxy_fence();');
  code.close();
  code.line('__syncthreads();');

  code.open(`if (half >= ${tall})`);
  if (registers !== undefined) code.line(`regs_down<${registers.loading}>();`);
  load(loading.registers.map((registers) => ({ kind: 'registers', ...registers })));
  load(loading.plan.steps('before'));
  const asks = loading.registers.length > 0;
  if (asks) lambda('ask', () => load(loading.plan.steps('ask')));
  lambda('issue', () => {
    inputsLine('to');
    load(loading.plan.steps('issue'));
    if (copies) code.line('cp_commit();');
    if (bulk.length === 0) return;
    code.open(`if (${ASKING})`);
    code.line(`const u32 bar = landed + ${stage} * 8;`);
    code.line(`bar_expect(bar, ${bulk.reduce((sum, copy) => sum + copy.bytes, 0)});`);
    load(bulk.map((copy) => copy.ask('to', 'bar')));
    code.close();
  });
  // With few stages the way from memory begins before there is room.
  const prefetched = bulk.length > 0 && !early;
  if (prefetched) lambda('prefetch', () => load(bulk.map((copy) => copy.prefetch)));
  code.line(`auto taken_back = [&](int n) { ${waitFor('empty')} };`);
  if (draining.length > 0) {
    lambda('drain', () => {
      outputsLine();
      printSteps(code, draining.flatMap((drain) => drain.bulk?.actions ?? [drain.store]), { ...LOADING, one: ASKING });
      if (pushed.length > 0) code.line(`if (${ASKING}) bulk_commit();`);
    });
  }
  const goOn = () => {
    code.line(`if (n + 1 >= ${stages}) taken_back(n + 1 - ${stages});`);
    // Groups of copies are told apart by their number.
    code.line(`if (n + 1 < ${count}) issue(n + 1);${copies ? ' else cp_commit();' : ''}`);
    // The copies are on their way before the stores.
    if (draining.length > 0) code.line(`if (n + 1 >= ${stages}) drain(n + 1 - ${stages});`);
    if (prefetched) code.line(`if (n + 2 < ${count} && ${ASKING}) prefetch(n + 2);`);
  };
  const clear = () => {
    const cleared = bulk.flatMap((copy) => copy.clear ?? []);
    if (cleared.length === 0) return;
    code.open('if (length < 64)');
    if (!readsBulk) code.line(waitFor('landed'));
    load(cleared);
    code.line('proxy_fence();');
    code.close();
    const first = bulk.flatMap((copy) => copy.first ?? []);
    if (first.length === 0) return;
    code.open(`if (first == walk_first && first == ${division.inside.runFirst})`);
    if (!readsBulk) code.line(waitFor('landed'));
    load(first);
    code.line('proxy_fence();');
    code.close();
  };
  code.line(`if (${count} > 0) ${asks ? '{ ask(0); issue(0); }' : 'issue(0);'}`);
  perChunk();
  load(loading.plan.steps('fill'));
  // They take no room of a stage.
  if (asks) code.line(`if (n + 1 < ${count}) ask(n + 1);`);
  if (early) goOn();
  if (copies) code.line(`cp_wait<${early ? 1 : 0}>();`);
  if (bulk.length > 0 && readsBulk) {
    code.line(waitFor('landed'));
    clear();
  }
  load(loading.plan.steps('body'));
  if (!readsBulk) clear();
  // What goes out in this chunk takes the place of what has to be read by then.
  if (pushed.length > 0) code.line(`if (${ASKING}) bulk_wait<${outputs - stages + (early ? 1 : 0)}>();`);
  if (loading.plan.unfenced) code.line('proxy_fence();');
  code.line(`bar_arrive(full + ${stage} * 8);`);
  if (!early) goOn();
  code.close();
  if (copies) code.line('cp_wait<0>();');
  if (
    draining.length > 0 && stages > 1
  ) code.line(`for (int n = ${count} < ${stages} ? 0 : ${count} + 1 - ${stages}; n < ${count}; ++n) { taken_back(n); drain(n); }`);
  if (pushed.length > 0) code.line(`if (${ASKING}) bulk_wait<0>();`);
  code.close();

  code.open('else');
  if (registers !== undefined) code.line(`regs_up<${registers.walking}>();`);
  walk('before');
  perChunk();
  outputsLine();
  code.line(waitFor('full'));
  // What the loading team has not waited for.
  if (bulk.length > 0 && !readsBulk) code.line(waitFor('landed'));
  walk('body');
  if (pushed.length > 0) code.line('proxy_fence();');
  code.line(`bar_arrive(empty + ${stage} * 8);`);
  code.close();
  walk('after');
  code.close();
  code.close();
  return {
    text: code.text(), runtime: runtimeOf(code.text()), block: threads, sharedBytes: bytes, grid: gridOf(kernel, blocks), args, scratch: [],
  };
}
