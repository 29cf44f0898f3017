/** An axis name, as the user wrote it (`K`, `V`, `N`). */
export type Axis = string;

/**
 * The two token axes of a chunk. They cannot clash with a user's names, since `%` is no letter.
 * ROW is the axis of the token that reads, COL of the token that wrote: a score tile is [ROW, COL].
 */
export const ROW = '%row';
export const COL = '%col';

/** ROW for COL and the other way round; other axes as they are. */
export function otherToken(axis: Axis): Axis {
  return axis === ROW ? COL : axis === COL ? ROW : axis;
}

export function swapTokens(axes: readonly Axis[]): readonly Axis[] {
  return axes.map(otherToken);
}

export type AxisSizes = ReadonlyMap<Axis, number>;

/** A second axis of the size of a user's: the columns of a map of that axis onto itself. Users' names have no `'`. */
export function twinOf(axis: Axis): Axis {
  return `${axis}'`;
}

/** The axis of runs of so many neighbours along a user's, which they fill. Users' names have no `/`. */
export function runsOf(axis: Axis, length: number): Axis {
  return `${axis}/${length}`;
}

/** The axis whose runs it counts, and how long they are; undefined: it counts none. */
export function runsIn(axis: Axis): { readonly of: Axis; readonly length: number } | undefined {
  // Most count none, and interpreters ask for every tile.
  if (!axis.includes('/')) return undefined;
  const [of, length] = axis.split('/');
  return { of, length: Number(length) };
}

/** Is it the axis along which programs are split, or that of its runs? */
export function isCut(axis: Axis, split: Axis | undefined): boolean {
  return split !== undefined && (axis === split || runsIn(axis)?.of === split);
}

/** Size of an axis of a user, of its twin, of its runs, or of tokens; undefined: no such axis. */
export function sizeIn(sizes: AxisSizes, chunk: number, axis: Axis): number | undefined {
  if (axis === ROW || axis === COL) return chunk;
  const runs = runsIn(axis);
  const size = runs && sizeIn(sizes, chunk, runs.of);
  if (runs !== undefined) return size === undefined || size % runs.length !== 0 ? undefined : size / runs.length;
  return sizes.get(axis.endsWith("'") ? axis.slice(0, -1) : axis);
}

/** Two axes that take each other's name; unless told otherwise those of tokens. */
export type AxisPair = readonly [Axis, Axis];

export function swapAxis(pair: AxisPair = [ROW, COL]): (axis: Axis) => Axis {
  const [a, b] = pair;
  return (axis) => (axis === a ? b : axis === b ? a : axis);
}

export function sameAxes(a: readonly Axis[], b: readonly Axis[]): boolean {
  return a.length === b.length && a.every((axis) => b.includes(axis));
}

export function includesAll(all: readonly Axis[], some: readonly Axis[]): boolean {
  return some.every((axis) => all.includes(axis));
}

/** Axes of a broadcast, in order of first appearance. */
export function unionAxes(...lists: readonly (readonly Axis[])[]): Axis[] {
  const union: Axis[] = [];
  for (const list of lists) for (const axis of list) if (!union.includes(axis)) union.push(axis);
  return union;
}

export function withoutAxes(axes: readonly Axis[], gone: readonly Axis[]): Axis[] {
  return axes.filter((axis) => !gone.includes(axis));
}

/** Number of elements; 1 for a scalar. Throws on an axis without size: a caller's mistake. */
export function elements(axes: readonly Axis[], sizes: AxisSizes): number {
  let n = 1;
  for (const axis of axes) {
    const size = sizes.get(axis);
    if (size === undefined) throw new Error(`axis ${axis} has no size`);
    n *= size;
  }
  return n;
}
