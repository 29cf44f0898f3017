import type { TileKernel } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { createCode, type Code } from '../code.js';
import { gridOf, sharedLimit, signature, type CudaContext, type LoweredKernel } from '../lowered.js';
import { iterationLines, loopCount, outerLines } from '../prologue.js';
import { crowded, isRefused, type Refused } from '../refused.js';
import type { Arena } from './arena.js';
import type { BulkCopy } from './bulk-copy.js';
import { padded } from './forms.js';
import { head, offsetLines, runtimeOf, slabs } from './kernel.js';
import type { Team } from './team.js';
import type { Division } from './walk-division.js';

export interface LoadingTeam {
  readonly team: Team;
  readonly arena: Arena;
  /** Before the loop; in it: what asks for the next chunk, what puts down numbers that came through registers, what is worked out. */
  readonly before: Code;
  readonly issue: Code;
  readonly fill: Code;
  readonly code: Code;
  /** Declarations of what comes through registers. */
  readonly registers: readonly string[];
  /** Does `issue` copy? */
  readonly copies: boolean;
  /** Copies for the next chunk that are not in it, since one thread asks for them. */
  readonly bulk: readonly BulkCopy[];
  /** Does `code` read what they bring? */
  readonly readsBulk: boolean;
}

export interface WalkingTeam {
  readonly team: Team;
  readonly arena: Arena;
  /** What a chunk gives out. */
  readonly outgoing: Arena;
  readonly before: Code;
  readonly code: Code;
  readonly after: Code;
  /** Stores of a chunk's outputs, which the loading team makes when it takes their stage back. */
  readonly draining: readonly string[];
}

/** Stages of what chunks take in, and of what they give out, best first. */
const RINGS = [[3, 3], [3, 2], [2, 2], [1, 1]] as const;
/** Bytes of a stage's barriers: full, empty, landed. */
const BARRIERS = 24;

/**
 * Registers of a thread that loads and of one that walks where two blocks share a multiprocessor: together what two threads of them have. A
 * walk without results of its own waits for one product after the other, and the next block fills the gaps.
 */
const SHARED_REGISTERS = { loading: 88, walking: 168 };
/** Of what such a walk may carry, so that it fits with what it packs. */
const CARRIED_REGISTERS = 64;

/** May two blocks share a multiprocessor, as far as registers go? Operands in two parts take twice as many. */
function fitsTwice(cx: CudaContext, kernel: TileKernel, { split, loop }: Division): boolean {
  if (cx.target !== 'cuda.sm90' || cx.dtype !== 'bf16' || kernel.cut === undefined) return false;
  const carried = loop.carry.reduce((sum, { tile }) => {
    const other = kernel.tiles[tile].axes.find((axis) => axis !== split);
    return sum + (other === undefined ? 0 : padded(axisSize(cx.module, other)) / 2);
  }, 0);
  return carried <= CARRIED_REGISTERS && !loop.body.some((stmt) => stmt.kind === 'let' && stmt.op.op === 'round');
}

/** Shared memory: fixed pieces of both teams, a ring of what chunks give out, a ring of what they take in, barriers. */
function arrange(cx: CudaContext, loading: LoadingTeam, walking: WalkingTeam, leastStages: number, twice: boolean) {
  const [walk, load, out] = [walking.arena, loading.arena, walking.outgoing].map((arena) => arena.layout());
  const offsets = new Map([...walk.offsets, ...out.offsets]);
  for (const [name, offset] of load.offsets) offsets.set(name, loading.arena.isStaged(name) ? offset : offset + walk.fixedBytes);
  const outAt = walk.fixedBytes + load.fixedBytes;
  const sized = ([stages, outputs]: readonly [number, number]) => {
    const stageAt = outAt + outputs * out.stageBytes;
    const barriersAt = stageAt + (stages - 1) * load.stageBytes + load.stageUsed;
    // The base is rounded up to what swizzled tiles want.
    return { stages, outputs, stageAt, barriersAt, bytes: barriersAt + stages * BARRIERS + 1024 };
  };
  const rings = RINGS.filter(([stages]) => stages >= leastStages).map(sized);
  const shared = twice ? rings.find(({ stages, bytes }) => stages > 1 && bytes <= sharedLimit(cx.target, 2)) : undefined;
  const best = shared ?? rings.find(({ bytes }) => bytes <= sharedLimit(cx.target));
  if (best === undefined) return crowded(rings[rings.length - 1].bytes);
  return { offsets, outAt, outBytes: out.stageBytes, stageBytes: load.stageBytes, ...best, blocks: shared === undefined ? 1 : 2 };
}

/** The kernel, if there is room for so many stages. */
export function walkText(
  cx: CudaContext, kernel: TileKernel, division: Division, loading: LoadingTeam, walking: WalkingTeam, leastStages: number,
): LoweredKernel | Refused {
  const { split, loop } = division;
  const arranged = arrange(cx, loading, walking, leastStages, fitsTwice(cx, kernel, division));
  if (isRefused(arranged)) return arranged;
  const { offsets, outAt, outBytes, outputs, stageAt, stageBytes, stages, barriersAt, bytes } = arranged;
  const early = stages >= 3;
  const blocks = slabs(cx.module, split);
  const count = loop.over === 'segments' ? 'walk_segments' : loopCount(kernel, loop);
  const { copies, bulk, readsBulk } = loading;
  const { draining } = walking;
  const { args, parameters } = signature(cx, kernel, [], new Map(bulk.map((copy) => [copy.buffer, copy.box])));
  const code = createCode();
  const paste = (text: string) => {
    for (const line of text.trimEnd().split('\n')) if (line !== '') code.line(line);
  };
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
  code.open(`extern "C" __global__ void __launch_bounds__(256, ${arranged.blocks}) ${kernel.name}(${parameters})`);
  for (const line of offsetLines({ offsets })) code.line(line);
  for (const line of head(cx, kernel, blocks)) code.line(line);
  code.line('const int t = threadIdx.x & 127;');
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
    `for (int i = 0; i < ${stages}; ++i) { bar_init(full + i * 8, 128); bar_init(empty + i * 8, 128);${
      bulk.length === 0 ? '' : ' bar_init(landed + i * 8, 1);'
    } }`,
  );
  code.close();
  code.line('__syncthreads();');

  // Told uniform, the compiler can order products across the branch.
  code.open('if (__shfl_sync(~0u, threadIdx.x >> 7, 0) != 0)');
  if (arranged.blocks === 2) code.line(`regs_down<${SHARED_REGISTERS.loading}>();`);
  for (const line of loading.registers) code.line(line);
  paste(loading.before.text());
  lambda('issue', () => {
    inputsLine('to');
    paste(loading.issue.text());
    if (copies) code.line('cp_commit();');
    if (bulk.length === 0) return;
    code.open('if (t == 0)');
    code.line(`const u32 bar = landed + ${stage} * 8;`);
    code.line(`bar_expect(bar, ${bulk.reduce((sum, copy) => sum + copy.bytes, 0)});`);
    for (const copy of bulk) code.line(copy.ask('to', 'bar'));
    code.close();
  });
  // With few stages the way from memory begins before there is room.
  const prefetched = bulk.length > 0 && !early;
  if (prefetched) lambda('prefetch', () => bulk.forEach((copy) => code.line(copy.prefetch)));
  code.line(`auto taken_back = [&](int n) { ${waitFor('empty')} };`);
  if (draining.length > 0) {
    lambda('drain', () => {
      outputsLine();
      for (const line of draining) code.line(line);
    });
  }
  const ask = () => {
    code.line(`if (n + 1 >= ${stages}) taken_back(n + 1 - ${stages});`);
    // Groups of copies are told apart by their number.
    code.line(`if (n + 1 < ${count}) issue(n + 1);${copies ? ' else cp_commit();' : ''}`);
    // The copies are on their way before the stores.
    if (draining.length > 0) code.line(`if (n + 1 >= ${stages}) drain(n + 1 - ${stages});`);
    if (prefetched) code.line(`if (n + 2 < ${count} && t == 0) prefetch(n + 2);`);
  };
  const clear = () => {
    const lines = bulk.flatMap((copy) => copy.clear ?? []);
    if (lines.length === 0) return;
    code.open('if (length < 64)');
    if (!readsBulk) code.line(waitFor('landed'));
    for (const line of lines) code.line(line);
    code.close();
  };
  code.line(`if (${count} > 0) issue(0);`);
  perChunk();
  paste(loading.fill.text());
  if (early) ask();
  if (copies) code.line(`cp_wait<${early ? 1 : 0}>();`);
  if (bulk.length > 0 && readsBulk) {
    code.line(waitFor('landed'));
    clear();
  }
  paste(loading.code.text());
  if (!readsBulk) clear();
  code.line('team_sync(1);');
  code.line(`bar_arrive(full + ${stage} * 8);`);
  if (!early) ask();
  code.close();
  if (copies) code.line('cp_wait<0>();');
  if (
    draining.length > 0 && stages > 1
  ) code.line(`for (int n = ${count} < ${stages} ? 0 : ${count} + 1 - ${stages}; n < ${count}; ++n) { taken_back(n); drain(n); }`);
  code.close();

  code.open('else');
  if (arranged.blocks === 2) code.line(`regs_up<${SHARED_REGISTERS.walking}>();`);
  paste(walking.before.text());
  perChunk();
  outputsLine();
  code.line(waitFor('full'));
  // What the loading team has not waited for.
  if (bulk.length > 0 && !readsBulk) code.line(waitFor('landed'));
  code.line('proxy_fence();');
  paste(walking.code.text());
  code.line(`bar_arrive(empty + ${stage} * 8);`);
  code.close();
  paste(walking.after.text());
  code.close();
  code.close();
  return {
    text: code.text(), runtime: runtimeOf(code.text()), block: 256, sharedBytes: bytes, grid: gridOf(kernel, blocks), args, scratch: [],
  };
}
