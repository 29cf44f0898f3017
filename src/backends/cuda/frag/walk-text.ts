import type { TileKernel } from '../../../ir/tile/tile.js';
import { createCode, type Code } from '../code.js';
import { gridOf, sharedLimit, signature, type CudaContext, type LoweredKernel } from '../lowered.js';
import { chunkLines, outerLines } from '../prologue.js';
import type { Arena } from './arena.js';
import { unsupported } from './forms.js';
import { head, offsetLines, RUNTIME, slabs } from './kernel.js';
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
}

export interface WalkingTeam {
  readonly arena: Arena;
  readonly before: Code;
  readonly code: Code;
  readonly after: Code;
  /** Stores of a chunk's outputs, which the loading team makes when it takes their stage back. */
  readonly draining: readonly string[];
}

/** The kernel: shared memory holds fixed pieces of both teams, then the stages, then the barriers. */
export function walkText(cx: CudaContext, kernel: TileKernel, { split, loop: { reverse } }: Division, loading: LoadingTeam, walking: WalkingTeam): LoweredKernel {
  const walkLayout = walking.arena.layout();
  const loadLayout = loading.arena.layout();
  const offsets = new Map([...walkLayout.offsets]);
  const stageAt = walkLayout.fixedBytes + loadLayout.fixedBytes;
  const stagedNames = stagedPieces(loading.arena, loadLayout.offsets);
  for (const [name, offset] of loadLayout.offsets) offsets.set(name, stagedNames.has(name) ? offset : offset + walkLayout.fixedBytes);
  const total = (stages: number) => stageAt + stages * loadLayout.stageBytes + 1024 + 1024;
  const stages = [3, 2, 1].find((n) => total(n) <= sharedLimit(cx.target));
  if (stages === undefined) return unsupported(`${total(2)} bytes of shared memory`);
  const early = stages >= 3;
  const blocks = slabs(cx.module, split);
  const { args, parameters } = signature(cx, kernel, []);
  const code = createCode();
  const paste = (text: string) => {
    for (const line of text.trimEnd().split('\n')) if (line !== '') code.line(line);
  };
  const stageLines = (n: string) => {
    code.line(`const u32 sa = stage0 + ${n} % ${stages} * ${loadLayout.stageBytes};`);
    code.line('u8* const sp = basep + (sa - base); (void)sp;');
  };
  code.line(`// ${kernel.doc}`);
  code.open(`extern "C" __global__ void __launch_bounds__(256, 1) ${kernel.name}(${parameters})`);
  for (const line of offsetLines({ offsets })) code.line(line);
  for (const line of head(cx, kernel, blocks)) code.line(line);
  code.line('const int t = threadIdx.x & 127;');
  outerLines(code, kernel, { head: 'head', group: 'group' });
  code.line('const u32 base = (saddr(smem) + 1023) & ~1023u;');
  code.line('u8* const basep = smem + (base - saddr(smem));');
  code.line(`const u32 stage0 = base + ${stageAt}, full = stage0 + ${stages * loadLayout.stageBytes}, empty = full + ${stages * 8};`);
  code.line('(void)group, (void)v_here;');
  code.open('if (threadIdx.x == 0)');
  code.line(`for (int i = 0; i < ${stages}; ++i) { bar_init(full + i * 8, 128); bar_init(empty + i * 8, 128); }`);
  code.close();
  code.line('__syncthreads();');
  // Told uniform, the compiler can order products across the branch.
  code.open('if (__shfl_sync(~0u, threadIdx.x >> 7, 0) != 0)');
  for (const line of loading.registers) code.line(line);
  paste(loading.before.text());
  code.line('auto issue = [&](int n) {');
  chunkLines(code, { n: 'n', suffix: '' }, reverse, 64);
  code.line(`const u32 to = stage0 + n % ${stages} * ${loadLayout.stageBytes}; (void)to;`);
  paste(loading.issue.text());
  code.line('};');
  code.line(`auto taken_back = [&](int n) { bar_wait(empty + n % ${stages} * 8, (n / ${stages}) & 1); };`);
  code.line('auto drain = [&](int n) {');
  chunkLines(code, { n: 'n', suffix: '' }, reverse, 64);
  code.line(`const u32 sa = stage0 + n % ${stages} * ${loadLayout.stageBytes}; (void)sa;`);
  for (const line of walking.draining) code.line(line);
  code.line('};');
  code.line('if (walk_chunks > 0) issue(0);');
  code.line('cp_commit();');
  const ask = () => {
    code.open('if (n + 1 < walk_chunks)');
    code.line(`if (n + 1 >= ${stages}) taken_back(n + 1 - ${stages});`);
    code.line('issue(n + 1);');
    code.close();
    code.line('cp_commit();');
    // What a stage gives out lies beside what it takes in: the copies are on their way before the stores.
    if (walking.draining.length > 0) code.line(`if (n + 1 < walk_chunks && n + 1 >= ${stages}) drain(n + 1 - ${stages});`);
  };
  code.line('#pragma unroll 1');
  code.open('for (int n = 0; n < walk_chunks; ++n)');
  chunkLines(code, { n: 'n', suffix: '' }, reverse, 64);
  stageLines('n');
  paste(loading.fill.text());
  if (early) ask();
  code.line(`cp_wait<${early ? 1 : 0}>();`);
  paste(loading.code.text());
  code.line('team_sync(1);');
  code.line(`bar_arrive(full + n % ${stages} * 8);`);
  if (!early) ask();
  code.close();
  code.line('cp_wait<0>();');
  if (walking.draining.length > 0) code.line(`for (int n = walk_chunks < ${stages} ? 0 : walk_chunks - ${stages}; n < walk_chunks; ++n) { taken_back(n); drain(n); }`);
  code.close();
  code.open('else');
  paste(walking.before.text());
  code.line('#pragma unroll 1');
  code.open('for (int n = 0; n < walk_chunks; ++n)');
  chunkLines(code, { n: 'n', suffix: '' }, reverse, 64);
  stageLines('n');
  code.line(`bar_wait(full + n % ${stages} * 8, (n / ${stages}) & 1);`);
  code.line('proxy_fence();');
  paste(walking.code.text());
  code.line(`bar_arrive(empty + n % ${stages} * 8);`);
  code.close();
  paste(walking.after.text());
  code.close();
  code.close();
  return { text: code.text(), runtime: RUNTIME, block: 256, sharedBytes: total(stages), grid: gridOf(kernel, blocks), args, scratch: [] };
}

function stagedPieces(arena: Arena, offsets: ReadonlyMap<string, number>): ReadonlySet<string> {
  return new Set([...offsets.keys()].filter((name) => arena.isStaged(name)));
}
