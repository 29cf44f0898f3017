import { swapAxis, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileKernel, TileOp } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import type { CudaContext } from '../lowered.js';
import { isToken, padded, type Frag } from './forms.js';

/** Warpgroups of a team, which share the columns of every fragment: part p of n holds the p-th of n equal blocks of columns. */
export type Parts = 1 | 2 | 4;

/** Fragments of 64 rows that a team has on top of each other. */
export type Tall = 1 | 2;

/** A tile under the name of the one that has its values. */
export interface Resolved {
  readonly id: TileId;
  /** Rows of tokens are columns. */
  readonly turned: boolean;
  /** What that tile calls an axis of this one, and what an axis of it is called here. */
  own(axis: Axis): Axis;
  name(axis: Axis): Axis;
}

/** Sizes of tiles, and of what a thread of a team holds of them; `slab`: most of the split axis that a block has. */
export function extentsOf(
  cx: CudaContext, kernel: TileKernel, defs: ReadonlyMap<TileId, TileOp>, parts: Parts, tall: Tall, slab: number,
) {
  const resolve = (tile: TileId): Resolved => {
    const op = defs.get(tile);
    if (op?.op !== 'swap') return { id: tile, turned: false, own: (axis) => axis, name: (axis) => axis };
    const inner = resolve(op.arg);
    const swap = swapAxis(op.axes);
    return {
      id: inner.id, turned: inner.turned === (op.axes !== undefined), own: (axis) => inner.own(swap(axis)),
      name: (axis) => swap(inner.name(axis)),
    };
  };
  const size = (axis: Axis) => (axis === kernel.split ? Math.min(slab, axisSize(cx.module, axis)) : axisSize(cx.module, axis));
  const pad = (axis: Axis) => padded(size(axis));
  /** Column of value i of what this part holds. */
  const colText = (col: Axis) => (parts === 1 ? 'frag_col(i)' : `(frag_col(i) + part * ${pad(col) / parts})`);
  /** Row of value i of what this warpgroup holds. */
  const rowText = tall === 1 ? 'frag_row(i)' : '(frag_row(i) + half * 64)';
  return {
    resolve, size, pad, colText, rowText,
    /** Rows of a fragment, all warpgroups together. */
    fragRows: 64 * tall,
    /**
     * Where in a tile at an address the rows of this warpgroup are: 64 rows further down, or, across, a panel of 64 columns further on,
     * which has as many rows as the tile.
     */
    ofHalf: (address: string, across: boolean, rows: number) => (
      tall === 1 ? address : `${address} + half * ${(across ? rows : 64) * 128}`
    ),
    axesOf: (id: TileId) => kernel.tiles[id].axes,
    /** Values of a fragment that one thread holds. */
    values: (col: Axis) => pad(col) / 2 / parts,
    /** First step of so many columns of what this part holds, and the number of steps of 16. */
    stepText: (col: Axis, columns = 16) => (parts === 1 ? '0' : `part * ${pad(col) / columns / parts}`),
    steps: (col: Axis) => pad(col) / 16 / parts,
    /** Floats from row to row of an f32 array: eight rows of float pairs fall into different banks. */
    strideT32: (cols: Axis) => pad(cols) + 8,
    /** C text of the token and of the other index of element i of a fragment. */
    tokenTexts: (frag: Frag): { token: string; channel: string } =>
      isToken(frag.row) ? { token: rowText, channel: colText(frag.col) } : { token: colText(frag.col), channel: rowText },
  };
}
