import type { Axis } from '../../ir/common/axes.js';
import { isRows, nameOf } from '../../ir/tile/domain.js';
import type { Inner, RunEnd, TileBuffer, TileModule } from '../../ir/tile/tile.js';
import { axisSize, plainName } from '../describe.js';

/** Where in a launch a statement runs, as C expressions. Absent: not known there. */
export interface Place {
  readonly run?: string;
  /** Of that run, its first row and the end of its rows. */
  readonly runFirst?: string;
  readonly runEnd?: string;
  /** Index among all segments. */
  readonly segment?: string;
  /** Index among all chunks. */
  readonly chunk?: string;
  /** First row and number of rows of the chunk. */
  readonly first?: string;
  readonly length?: string;
  /** The row of a loop over rows. */
  readonly row?: string;
  readonly head?: string;
  readonly group: string;
  /** Axes of which a program has a part, besides the split axis of its kernel. */
  readonly parts?: ReadonlyMap<Axis, Part>;
}

/** The first element of a part, and how many it has. */
export interface Part {
  readonly from: string;
  readonly here: string;
}

export function bufferNamed(module: TileModule, name: string): TileBuffer {
  const found = module.buffers.find((buffer) => buffer.name === name);
  if (found === undefined) throw new Error(`${module.name}: no buffer ${name}`);
  return found;
}

/** Copies of the grid, as C text. */
export function innerCount(inner: Inner): string {
  switch (inner) {
    case 'head': return 'd.heads';
    case 'group': return 'd.groups';
    case 'once': return '1';
  }
}

/** Elements of one cell of a buffer (without the row axis of buffers of rows). */
export function cellElements(module: TileModule, buffer: TileBuffer): number {
  return buffer.axes.reduce((n, axis) => n * axisSize(module, axis), 1);
}

/**
 * Is an input per token: it may be a slice of something wider, so that the host says how far tokens and heads are apart. Cotangents come
 * without gaps mostly, and kernels of gradients have no registers to spare for their distances.
 */
export const isStrided = (buffer: TileBuffer): boolean => isRows(buffer) && buffer.role === 'input';
/** C name of the distances in such a buffer. */
export const strides = (name: string) => `s_${plainName(name)}`;

/**
 * Is it a number per token and head that only kernels read? Those of a head lie side by side: of others, a kernel of one head would read 32
 * bytes for each four.
 */
const isHeadFirst = ({ axes, inner, role, ungrouped, ...cells }: TileBuffer): boolean => (
  isRows(cells) && role === 'workspace' && inner === 'head' && axes.length === 0 && ungrouped === undefined
);

/** Elements between consecutive rows (chunks, runs) of a buffer, as C text. */
export function outerStride(module: TileModule, buffer: TileBuffer): string {
  if (isStrided(buffer)) return `(i64)${strides(buffer.name)}.token`;
  if (isHeadFirst(buffer)) return '(i64)1';
  return `(i64)${innerCount(buffer.inner)} * ${cellElements(module, buffer)}`;
}

/** Row in the chunk of the row `at` from an end of its run, as C text; others than those of the chunk, where it is elsewhere. */
export function endRow(place: Place, { from, at }: { readonly from: RunEnd; readonly at: number }): string {
  return from === 'first'
    ? `(${place.runFirst} + ${at} - ${place.first})`
    : `(${place.runEnd} - ${at + 1} - ${place.first})`;
}

/**
 * The rows of a chunk of which the row `back` before (after, if negative) is in the run: from `skip` on, below `rows`. C texts; `skip`
 * undefined: from the first.
 */
export function rowsBack(place: Place, back: number | undefined): { readonly skip: string | undefined; readonly rows: string } {
  const length = place.length ?? '';
  if (back === undefined) return { skip: undefined, rows: length };
  if (back > 0) return { skip: endRow(place, { from: 'first', at: back }), rows: length };
  const last = endRow(place, { from: 'last', at: -back - 1 });
  return { skip: undefined, rows: `(${last} < ${length} ? ${last} : ${length})` };
}

/** The place of rows that are `back` before the chunk's. */
export function placeBack(place: Place, back: number | undefined): Place {
  return back === undefined ? place : { ...place, first: `(${place.first} - ${back})` };
}

function needed(value: string | undefined, what: string, buffer: TileBuffer): string {
  if (value === undefined) throw new Error(`buffer ${buffer.name} needs a ${what} where it is used`);
  return value;
}

/**
 * Which cell: of rows the one of the chunk's row 0 (or of the row of a loop over rows). C texts; there are `count` cells for each
 * `outer`.
 */
export function cellIndex(buffer: TileBuffer, place: Place): { readonly outer: string; readonly count: string; readonly inner: string } {
  const inner = buffer.inner === 'head' ? needed(place.head, 'head', buffer) : buffer.inner === 'group' ? place.group : '0';
  const count = innerCount(buffer.inner);
  const outer = ((): string => {
    switch (buffer.outer) {
      case 'once': return '0';
      case 'run': case 'segment': case 'chunk': return needed(place[buffer.outer], nameOf(buffer), buffer);
      case 'row': return needed(place.row ?? place.first, nameOf(buffer), buffer);
    }
  })();
  return { outer, count, inner };
}

/** Element offset of the cell, 64-bit C text. */
export function cellOffset(module: TileModule, buffer: TileBuffer, place: Place): string {
  const { outer, count, inner } = cellIndex(buffer, place);
  if (isStrided(buffer)) return `(i64)${outer} * ${strides(buffer.name)}.token + (i64)${inner} * ${strides(buffer.name)}.head`;
  if (isHeadFirst(buffer)) return `((i64)${inner} * d.tokens + ${outer})`;
  return `((i64)${outer} * ${count} + ${inner}) * ${cellElements(module, buffer)}`;
}
