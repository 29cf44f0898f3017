import type { Axis } from '../../../ir/common/axes.js';
import { sizeName } from '../../../ir/tile/domain.js';
import { axisSize } from '../../describe.js';
import type { Code } from '../code.js';
import type { CudaContext } from '../lowered.js';
import { sizeField, spanLines } from '../prologue.js';
import { isAlongRows, type BlockParts } from './block-parts.js';
import { BLOCK_ROWS } from './blocks-text.js';
import { STEP } from './forms.js';

/** Columns of a block, steps in shared memory at a time. */
export interface PipeShape {
  readonly width: number;
  readonly stages: number;
}

/** Rows of a block, and columns of what is worked out of it at a time. */
export const HIGH = 128;
export const SLICE = 64;
/** Runs whose blocks of rows are counted in shared memory; of more, some blocks have nothing to do. */
const MOST_RUNS = 1024;
/** Neighbours in both directions are worked on at once: so many above each other. */
const STACKED = 16;

/** So many runs have their blocks of rows counted; undefined: none has. */
export function countedRuns({ kernel }: BlockParts): number | undefined {
  const runs = kernel.domain.made?.runs;
  return isAlongRows(kernel) || runs === undefined || runs > MOST_RUNS ? undefined : runs;
}

/** Bytes of these numbers. */
export const countedBytes = (parted: BlockParts): number => {
  const runs = countedRuns(parted);
  return runs === undefined ? 0 : Math.ceil((runs + 1) / 2) * 8;
};

const blocksOf = (cx: CudaContext, axis: Axis, width: number) => Math.ceil(axisSize(cx.module, axis) / width);

/**
 * Where there are fewer blocks than multiprocessors, as of few tokens, they are narrower: half as many columns each, or a quarter, so that
 * more of them read matrices.
 */
export const isNarrowed = ({ kernel }: BlockParts, { width }: PipeShape): boolean => !isAlongRows(kernel) && width > SLICE;

/** Says how many blocks there are; returns the name of their number. */
export function blockCount(code: Code, cx: CudaContext, parted: BlockParts, shape: PipeShape): string {
  const { width } = shape;
  const { kernel, rows, split } = parted;
  const columns = blocksOf(cx, split, width);
  const above = isAlongRows(kernel)
    ? `${blocksOf(cx, rows, HIGH)} * ${kernel.outer === 'once' ? '1' : sizeField(kernel.outer as 'run' | 'segment')}`
    : countedRuns(parted) !== undefined ? `pairs[${countedRuns(parted)}]` : `pipe_pairs(${sizeName(kernel.domain, 'run')}, d.sequences)`;
  code.line(`const int rows_of_blocks = ${above}, blocks = rows_of_blocks * ${columns};`);
  code.line('(void)rows_of_blocks;');
  if (!isNarrowed(parted, shape)) return 'blocks';
  code.line('int narrow = 0;');
  code.line(`while (narrow < ${Math.log2(width / SLICE)} && blocks << (narrow + 1) <= (int)gridDim.x) ++narrow;`);
  code.line(`const int v_wide = ${width} >> narrow;`);
  return '(blocks << narrow)';
}

/** Opens the loop over the blocks of a multiprocessor, and says which part of the results each is. */
export function openBlocks(code: Code, cx: CudaContext, parted: BlockParts, shape: PipeShape, count: string): void {
  const { width } = shape;
  const { kernel, rows, split } = parted;
  const columns = blocksOf(cx, split, width);
  const size = (n: number, by: number, at: string) => (n % by === 0 ? by : `(${n} - ${at} < ${by} ? ${n} - ${at} : ${by})`);
  const isAlong = isAlongRows(kernel);
  const rowBlocks = blocksOf(cx, rows, HIGH);
  code.line('#pragma unroll 1');
  code.open(`for (int block = blockIdx.x; block < ${count}; block += gridDim.x)`);
  const many = isAlong ? String(rowBlocks) : 'rows_of_blocks';
  const isNarrow = isNarrowed(parted, shape);
  const ofBlock = isAlong ? ` % ${rowBlocks * columns}` : isNarrow ? ' >> narrow' : '';
  code.line(`const int place = block${ofBlock}, top = place / ${STACKED * columns} * ${STACKED}, `
    + `tall = ${many} - top < ${STACKED} ? ${many} - top : ${STACKED};`);
  const all = axisSize(cx.module, split);
  const within = isNarrow ? ' + (block & ((1 << narrow) - 1)) * v_wide' : '';
  const here = !isNarrow ? size(all, width, 'v0') : all % width === 0 ? 'v_wide' : `${all} - v0 < v_wide ? ${all} - v0 : v_wide`;
  code.line(`const int row = top + place % ${STACKED * columns} % tall, v0 = place % ${STACKED * columns} / tall * ${width}${within}, `
    + `v_here = ${here};`);
  code.line('(void)v_here;');
  if (isNarrow && all % width !== 0) code.line('if (v_here <= 0) continue;');
  if (isAlong) {
    const here = size(axisSize(cx.module, rows), HIGH, 'u0');
    code.line(`const int outer = block / ${rowBlocks * columns}, u0 = row * ${HIGH}, u_here = ${here};`);
    code.line('(void)outer, (void)u_here;');
    spanLines(code, kernel);
    code.line(`const int steps = (rows_end - rows_first + ${STEP - 1}) / ${STEP};`);
    return;
  }
  const { run } = kernel.domain;
  const runs = sizeName(kernel.domain, 'run');
  const counted = countedRuns(parted);
  const [found, above] = counted === undefined ? [`pipe_run(${runs}, d.sequences, row)`, `pipe_pair(${runs}, ${run})`]
    : [`pipe_counted<${counted}>(pairs, row)`, `pairs[${run}]`];
  code.line(`const int ${run} = ${found}, first = ${runs}[6 * ${run}] + (row - ${above}) * ${HIGH};`);
  code.line(`const int ${BLOCK_ROWS} = ${runs}[6 * ${run} + 1] - first < ${HIGH} ? ${runs}[6 * ${run} + 1] - first : ${HIGH};`);
  if (counted === undefined) code.line(`if (${BLOCK_ROWS} <= 0) continue;`);
}
