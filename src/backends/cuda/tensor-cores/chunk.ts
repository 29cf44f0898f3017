import type { TileKernel } from '../../../ir/tile/tile.js';
import { bufferNamed } from '../address.js';
import { createCode } from '../code.js';
import { printSteps } from '../instructions/print.js';
import { gridOf, sharedLimit, signature, type CudaContext, type LoweredKernel } from '../lowered.js';
import { openKernel, outerLines } from '../prologue.js';
import { crowded, isRefused, refused, type Refused } from '../refused.js';
import { loadedAgain, madeAgain } from './again.js';
import { planChunk, type ChunkPlan, type Shape } from './chunk-plan.js';
import { foldsEarly } from './early-folds.js';
import { isDscore, joinDecays } from './joined-decays.js';
import { head, offsetLines, runtimeOf } from './kernel.js';
import { numbersFirst } from './numbers-first.js';
import { sunk } from './sink.js';
import { foldsTogether } from './tail-order.js';

/**
 * Shared memory above which a kernel does better alone on a multiprocessor, even where two blocks would fit: it holds too much in
 * registers, too.
 */
const CROWDED = 100 * 1024;
/** Decay operations whose text, for two warpgroups, outgrows the instruction cache (128 KB) together with what is around them. */
const LONG = 3;

/** KB that loaded tiles may take at a time. */
const BUDGETS = [Infinity, 160, 128, 112, 96, 80, 64, 0];

/**
 * Two blocks share a multiprocessor where they can: one waits for memory while the other computes. A block that fills it has more
 * warpgroups, which share every fragment: each warp then has less straight code to fetch and fewer values to hold. docs/performance.md has
 * the measurements behind the choices.
 */
function shapedPlan(cx: CudaContext, given: TileKernel): ChunkPlan | Refused {
  const kernel = numbersFirst(given);
  if (kernel.body.some((stmt) => stmt.kind === 'loop')) return refused('loops in chunk kernels');
  const wide = [...cx.module.sizes.values()].every((size) => size % 64 === 0);
  // The more threads have to meet, the more it takes; with two warpgroups, registers are what there is less of.
  const isWide = (name: string) => bufferNamed(cx.module, name).dtype === 'f32';
  const arranged = (matrices: boolean) => foldsEarly(loadedAgain(sunk(foldsTogether(kernel, matrices)), isWide));
  const folded = arranged(true);
  const straight = arranged(false);
  const { groups } = joinDecays(kernel);
  const decays = kernel.body.filter((stmt) => stmt.kind === 'let' && isDscore(stmt.op)).length;
  // Computed together, operations fit into the cache; but only two warpgroups have the registers for it.
  const together = [...groups.values()].reduce((sum, members) => sum + members.length - 1, 0);
  const gather = decays - together < LONG || groups.size > 1;
  // Registers for two blocks of 256 threads are enough for one decay operation at a time.
  const shared = wide && decays > 0 && groups.size === 0 ? 2 : 1;
  const alone = !wide ? 1 : gather ? 2 : 4;
  const shapes: readonly Shape[] = [
    ...[false, true].flatMap((tight) => [true, false].map(
      (again): Shape => ({ parts: shared, blocks: 2, gather: true, again, budget: Infinity, tight })
    )),
    { parts: alone, blocks: 1, gather, again: true, budget: Infinity },
    ...BUDGETS.map((budget): Shape => ({ parts: alone, blocks: 1, gather, again: false, budget: budget * 1024 })),
    // Sums over the parts of a team take shared memory, too.
    ...(alone === 1 && gather ? [] : BUDGETS).map(
      (budget) : Shape => ({ parts: 1, blocks: 1, gather: true, again: false, budget: budget * 1024 })
    ),
  ];
  const inShape = (shape: Shape) => {
    const ordered = shape.parts === 4 ? folded : straight;
    const made = shape.again ? madeAgain(ordered, (name) => bufferNamed(cx.module, name).dtype === 'io') : ordered;
    return planChunk(cx, shape.gather ? joinDecays(made) : { kernel: made, groups: new Map() }, shape);
  };
  // A multiprocessor has as much as one block may take, and 1 KB more for each.
  const fits = ({ sharedBytes, shape: { blocks } }: ChunkPlan) => (
    sharedBytes <= (blocks === 1 ? sharedLimit(cx.target) : Math.min(CROWDED, sharedLimit(cx.target, 2)))
  );
  const firstFitting = (among: readonly Shape[]): ChunkPlan | Refused | undefined => {
    for (const shape of among) {
      const found = inShape(shape);
      if (isRefused(found) || fits(found)) return found;
    }
    return undefined;
  };
  const inPanels = ([2, 1] as const).flatMap((panels) => BUDGETS.map(
    (budget): Shape => ({ parts: wide ? 4 : 1, blocks: 1, gather: false, again: false, budget: budget * 1024, panels }),
  ));
  const [first, last] = [shapes[0], shapes[shapes.length - 1]];
  const best = inShape(first);
  if (isRefused(best) || fits(best)) return best;
  // What takes least is tried next: where it has no room, nothing has, and kernels that are too large are long.
  const smallest = inShape(last);
  if (isRefused(smallest)) return smallest;
  if (!fits(smallest)) return firstFitting(inPanels) ?? crowded(smallest.sharedBytes);
  return firstFitting(shapes.slice(1, -1)) ?? smallest;
}

/** Kernels over chunks: straight code, in the shape that the machine has most room for. */
export function lowerChunk(cx: CudaContext, kernel: TileKernel): LoweredKernel | Refused {
  const plan = shapedPlan(cx, kernel);
  return isRefused(plan) ? plan : chunkText(cx, plan);
}

function chunkText(cx: CudaContext, { kernel, shape: { parts, blocks }, steps, arena, sharedBytes }: ChunkPlan): LoweredKernel {
  const threads = 128 * parts;
  const { args, parameters } = signature(cx, kernel, []);
  const code = createCode();
  code.line(`// ${kernel.doc}`);
  const bounds = [threads, ...(parts * blocks > 2 ? [blocks] : [])];
  openKernel(code, kernel, bounds, parameters);
  for (const line of offsetLines(arena.offsets)) code.line(line);
  for (const line of head(cx, kernel, 1)) code.line(line);
  code.line('const int t = threadIdx.x;');
  if (parts > 1) code.line('const int part = __shfl_sync(~0u, t >> 7, 0);');
  outerLines(code, kernel);
  code.line('const u32 base = (saddr(smem) + 1023) & ~1023u;');
  code.line('u8* const basep = smem + (base - saddr(smem));');
  code.line('(void)group, (void)basep;');
  printSteps(code, steps, { threads, barrier: 1 });
  code.close();
  return { text: code.text(), runtime: runtimeOf(code.text()), block: threads, sharedBytes, grid: gridOf(kernel, 1), args, scratch: [] };
}
