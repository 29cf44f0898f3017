import { ROW, withoutAxes } from '../../../ir/common/axes.js';
import type { TileKernel } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { notesOf } from '../../notes.js';
import { bufferNamed } from '../address.js';
import { createCode } from '../code.js';
import { blockNumber, gridOf, PART_THREADS, sharedLimit, signature, wholeIn, type CudaContext, type LoweredKernel } from '../lowered.js';
import { createElements, flat, type Arrays } from '../plain/element.js';
import { homesOf } from '../plain/homes.js';
import { openKernel, outerLines } from '../prologue.js';
import { isRefused, refused, type Refused } from '../refused.js';
import { hasOp } from '../uses.js';
import { fitsIn, heldBy, layoutOf, WARP, type RowsLayout } from './layout.js';
import { letText, packsTogether, storeText, type RowsWriter } from './statements.js';

const warpsOf = ({ part }: CudaContext): number => (part === undefined ? 8 : PART_THREADS / WARP);

/**
 * Kernels whose rows have nothing to do with each other: a warp has a row, or a piece of one that nothing is folded along, or every thread
 * has one where rows are single numbers. Tiles are in registers, and nobody waits for others than the lanes of a warp: bound by memory, so
 * accesses are wide and warps many.
 */
export function lowerRows(cx: CudaContext, kernel: TileKernel): LoweredKernel | Refused {
  const layout = layoutOf(cx, kernel);
  if (isRefused(layout)) return layout;
  const { module } = cx;
  const { spread, units } = layout;
  const sizeOf = (axis: string) => axisSize(module, axis);
  const homes = homesOf(kernel, (name) => bufferNamed(module, name).axes);
  const arrays = [...homes].filter(([, { kind }]) => kind === 'array').map(([tile]) => tile);
  if (arrays.some((tile) => !fitsIn(layout, kernel.tiles[tile].axes, sizeOf))) return refused('rows that do not fit in registers');
  const code = createCode();
  const { args, parameters } = signature(cx, kernel, []);
  const elements = createElements({
    cx, kernel, code, homes, arrays: registersOf(kernel, layout, sizeOf), size: sizeOf,
    first: (axis) => (spread.has(axis) ? firstName(axis) : undefined),
  });
  const warps = spread.size > 0;
  const [many, block] = [warpsOf(cx), blockNumber(cx)];
  const threads = warps ? many * WARP : Math.min(256, module.chunk);
  const blocks = Math.ceil(warps ? (module.chunk * units) / many : module.chunk / threads);
  code.line(`// ${kernel.doc}`);
  openKernel(code, kernel, [threads], parameters, cx.part);
  code.line(`const int outer = ${block} / ${blocks}, per_group = d.heads / d.groups; (void)outer, (void)per_group;`);
  if (kernel.inner === 'head') code.line('const int head = blockIdx.y, group = head / per_group; (void)group; (void)head;');
  if (kernel.inner === 'group') code.line('const int group = blockIdx.y;');
  const place = outerLines(code, kernel);
  if (warps) {
    const number = `${block} % ${blocks} * ${many} + threadIdx.x / ${WARP}`;
    if (units === 1) code.line(`const int row = ${number};`);
    else code.line(`const int at = ${number}, row = at / ${units}, unit = at % ${units};`);
    code.line(`const int lane = threadIdx.x & ${WARP - 1}; (void)lane;`);
  } else code.line(`const int row = ${block} % ${blocks} * ${threads} + threadIdx.x;`);
  code.line('if (row >= length) return;');
  for (const [axis, { vec }] of spread) {
    code.line(`const int ${firstName(axis)} = ${units === 1 ? '' : `unit * ${WARP * vec} + `}lane * ${vec}; (void)${firstName(axis)};`);
  }
  const packs = packsTogether(kernel, homes);
  const seats = Math.max(0, ...[...packs.values()].map((group) => group.length * sizeOf(group[0][1].to)), ...kernel.body.map((stmt) => (
    stmt.kind === 'let' && stmt.op.op === 'unpack' ? stmt.op.axes.reduce((n, axis) => n * sizeOf(axis), 1) : 0
  )));
  // With as many warps as a kernel of parts has that is four times the room.
  if (many * seats * 4 > sharedLimit(cx.target)) return refused('lists that do not fit in shared memory');
  if (seats > 0) code.line(`float* const packed = (float*)smem + threadIdx.x / ${WARP} * ${seats};`);
  for (const [tile, { kind }] of homes) {
    if (kind === 'scalar') code.line(`float t${tile} = 0.f;`);
    if (kind === 'array') code.line(`float t${tile}[${heldBy(layout, kernel.tiles[tile].axes, sizeOf)}];`);
  }
  const writer: RowsWriter = { cx, kernel, code, elements, layout, homes, packs, place, notes: notesOf(kernel) };
  for (const stmt of kernel.body) {
    if (stmt.kind === 'store') storeText(writer, stmt);
    else if (stmt.kind === 'let' && homes.get(stmt.tile)?.kind !== 'inline') letText(writer, stmt.tile, stmt.op);
  }
  code.close();
  return {
    text: code.text(),
    runtime: [
      'rt/base.cuh', ...(wholeIn(cx, kernel) ? ['rt/whole.cuh'] : []), 'rt/math.cuh', 'rt/lanes.cuh',
      ...(hasOp(kernel, 'draw') ? ['rt/draw.cuh'] : []), ...(hasOp(kernel, 'top') ? ['rt/order.cuh'] : []),
      ...(hasOp(kernel, 'cumsum') ? ['rt/running.cuh'] : []), ...(seats > 0 ? ['rt/pack.cuh'] : []),
    ],
    block: threads,
    sharedBytes: many * seats * 4,
    grid: gridOf(kernel, blocks),
    args,
    scratch: [],
  };
}

/** C name of the first element of a lane. */
const firstName = (axis: string): string => `x_${axis.replace('/', '_by_')}`;

/** A lane's elements of a tile: of axes that are spread those of its pieces, of others all. */
function registersOf(kernel: TileKernel, { spread }: RowsLayout, sizeOf: (axis: string) => number): Arrays {
  const axesOf = (tile: number) => withoutAxes(kernel.tiles[tile].axes, [ROW]);
  return {
    inMemory: false,
    axes: axesOf,
    number: (tile, at) => flat(
      axesOf(tile),
      (axis) => {
        const one = spread.get(axis);
        return one === undefined ? sizeOf(axis) : one.pieces * one.vec;
      },
      (axis) => {
        const one = spread.get(axis);
        if (one === undefined || one.pieces === 1) return at(axis);
        return one.vec === 1 ? `${at(axis)} / ${WARP}` : `(${at(axis)} / ${WARP * one.vec} * ${one.vec} + ${at(axis)} % ${one.vec})`;
      },
    ),
  };
}
