import type { TileKernel } from '../../../ir/tile/tile.js';
import { createCode } from '../code.js';
import { gridOf, signature, wholeIn, type CudaContext, type LoweredKernel } from '../lowered.js';
import { openKernel, outerLines } from '../prologue.js';
import { refused, type Refused } from '../refused.js';
import { layoutOf } from './layout.js';
import { bodyText, RING_MARK, turnsText } from './loops.js';
import { openWindows } from './sliding.js';
import { createWriter, indexLines, type Hooks } from './values.js';

/**
 * Kernels without matrix products: every tile lies in the registers of the threads that own its elements. Bound by memory, so what counts
 * is bytes in flight: wide accesses, later iterations asked for early, few barriers.
 */
export function lowerRegisters(cx: CudaContext, kernel: TileKernel): LoweredKernel | Refused {
  const layout = layoutOf(cx.module, kernel);
  if (layout === undefined) return refused('tiles that meet others than by sums, or do not fit in registers');
  const code = createCode();
  const hooks: Hooks = { parity: undefined, around: undefined, floats: 0, ring: 0 };
  const writer = createWriter(cx, kernel, layout, code, hooks);
  const { args, parameters } = signature(cx, kernel, []);
  code.line(`// ${kernel.doc}`);
  // Told that one block is enough for a multiprocessor, the compiler spends registers on loads under way.
  const alone = layout.shared !== undefined && layout.shared.atOnce > 4 ? [1] : [];
  const warps = layout.warpsAtOnce === undefined ? [] : [Math.ceil(layout.warpsAtOnce * 32 / layout.threads)];
  openKernel(code, kernel, [layout.threads, ...alone, ...warps], parameters);
  code.line('float* const sm = (float*)smem; (void)sm;');
  const outer = layout.blocks === 1 ? 'blockIdx.x' : `blockIdx.x / ${layout.blocks}`;
  code.line(`const int outer = ${outer}, per_group = d.heads / d.groups; (void)outer, (void)per_group;`);
  if (kernel.inner === 'head') code.line('const int head = blockIdx.y, group = head / per_group; (void)group; (void)head;');
  if (kernel.inner === 'group') code.line('const int group = blockIdx.y;');
  const place = outerLines(code, kernel);
  if (layout.pieces !== undefined) {
    code.line('UNROLL');
    code.open(`for (int piece = 0; piece < ${layout.pieces}; ++piece)`);
  }
  indexLines(cx, layout, code);
  if (layout.windows !== undefined && layout.windows.size > 0 && layout.turns === undefined) openWindows(writer, layout.windows, place);
  if (layout.turns === undefined) bodyText(writer, hooks, kernel.body, place, layout.near?.unread);
  else turnsText(writer, hooks, layout.turns, place);
  if (layout.pieces !== undefined) code.close();
  code.close();
  const ring = Math.ceil((hooks.floats * 4) / 128) * 128;
  return {
    text: code.text().replaceAll(RING_MARK, String(ring)),
    runtime: ['rt/base.cuh', ...(wholeIn(cx, kernel) ? ['rt/whole.cuh'] : []), 'rt/math.cuh', 'rt/ptx.cuh', 'rt/lanes.cuh'],
    block: layout.threads,
    sharedBytes: ring + hooks.ring,
    grid: gridOf(kernel, layout.blocks),
    args,
    scratch: [],
  };
}
