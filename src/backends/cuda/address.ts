import type { SequenceEnd, TileBuffer, TileModule } from '../../ir/tile/tile.js';
import { axisSize, plainName } from '../describe.js';

/** Where in a launch a statement runs, as C expressions. Absent: not known there. */
export interface Place {
  readonly sequence?: string;
  /** Index among all segments. */
  readonly segment?: string;
  /** Index among all chunks. */
  readonly chunk?: string;
  /** First token and number of tokens of the chunk. */
  readonly first?: string;
  readonly length?: string;
  /** The token of a token loop. */
  readonly token?: string;
  readonly head?: string;
  readonly group: string;
}

export function bufferNamed(module: TileModule, name: string): TileBuffer {
  const found = module.buffers.find((buffer) => buffer.name === name);
  if (found === undefined) throw new Error(`${module.name}: no buffer ${name}`);
  return found;
}

/** Elements of one cell of a buffer (without the token axis of `token` buffers). */
export function cellElements(module: TileModule, buffer: TileBuffer): number {
  return buffer.axes.reduce((n, axis) => n * axisSize(module, axis), 1);
}

/**
 * Is an input per token: it may be a slice of something wider, so that the host says how far tokens and heads are apart. Cotangents come
 * without gaps mostly, and kernels of gradients have no registers to spare for their distances.
 */
export const isStrided = (buffer: TileBuffer): boolean => buffer.outer === 'token' && buffer.role === 'input';
/** C name of the distances in such a buffer. */
export const strides = (name: string) => `s_${plainName(name)}`;

/** Elements between consecutive tokens (chunks, sequences) of a buffer, as C text. */
export function outerStride(module: TileModule, buffer: TileBuffer): string {
  if (isStrided(buffer)) return `(i64)${strides(buffer.name)}.token`;
  return `(i64)${buffer.inner === 'head' ? 'd.heads' : 'd.groups'} * ${cellElements(module, buffer)}`;
}

/** Row in the chunk of the token `at` from an end of its sequence, as C text; others than those of the chunk, where it is elsewhere. */
export function endRow(place: Place, { from, at }: { readonly from: SequenceEnd; readonly at: number }): string {
  return from === 'first'
    ? `(sequences[6 * ${place.sequence}] + ${at} - ${place.first})`
    : `(sequences[6 * ${place.sequence} + 1] - ${at + 1} - ${place.first})`;
}

/**
 * The rows of a chunk whose token `back` before (after, if negative) is in the sequence: from `skip` on, below `rows`. C texts; `skip`
 * undefined: from the first.
 */
export function rowsBack(place: Place, back: number | undefined): { readonly skip: string | undefined; readonly rows: string } {
  const length = place.length ?? '';
  if (back === undefined) return { skip: undefined, rows: length };
  if (back > 0) return { skip: endRow(place, { from: 'first', at: back }), rows: length };
  const last = endRow(place, { from: 'last', at: -back - 1 });
  return { skip: undefined, rows: `(${last} < ${length} ? ${last} : ${length})` };
}

/** The place of rows that are `back` tokens before the chunk's. */
export function placeBack(place: Place, back: number | undefined): Place {
  return back === undefined ? place : { ...place, first: `(${place.first} - ${back})` };
}

function needed(value: string | undefined, what: string, buffer: TileBuffer): string {
  if (value === undefined) throw new Error(`buffer ${buffer.name} needs a ${what} where it is used`);
  return value;
}

/**
 * Which cell: for token buffers the one of the chunk's row 0 (or of the token of a token loop). C texts; there are `count` cells for each
 * `outer`.
 */
export function cellIndex(buffer: TileBuffer, place: Place): { readonly outer: string; readonly count: string; readonly inner: string } {
  const inner = buffer.inner === 'head' ? needed(place.head, 'head', buffer) : place.group;
  const count = buffer.inner === 'head' ? 'd.heads' : 'd.groups';
  const outer = ((): string => {
    switch (buffer.outer) {
      case 'once': return '0';
      case 'sequence': return needed(place.sequence, 'sequence', buffer);
      case 'segment': return needed(place.segment, 'segment', buffer);
      case 'chunk': return needed(place.chunk, 'chunk', buffer);
      case 'token': return needed(place.token ?? place.first, 'token', buffer);
    }
  })();
  return { outer, count, inner };
}

/** Element offset of the cell, 64-bit C text. */
export function cellOffset(module: TileModule, buffer: TileBuffer, place: Place): string {
  const { outer, count, inner } = cellIndex(buffer, place);
  if (isStrided(buffer)) return `(i64)${outer} * ${strides(buffer.name)}.token + (i64)${inner} * ${strides(buffer.name)}.head`;
  return `((i64)${outer} * ${count} + ${inner}) * ${cellElements(module, buffer)}`;
}
