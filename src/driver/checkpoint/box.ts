/**
 * Elements that go from one array to another: element `i` of `axes` is `from + Σ i source` there and `to + Σ i target` here. Both are
 * nested row by row: along each, a step of an axis is as long as all axes of smaller steps together.
 */
export interface Box {
  readonly from: number;
  readonly to: number;
  readonly axes: readonly BoxAxis[];
}

export interface BoxAxis {
  readonly size: number;
  readonly source: number;
  readonly target: number;
}

type Side = 'source' | 'target';

/** Axes of one index say nothing, and neighbours that follow one another on both sides are one axis. */
export function simplified(box: Box): Box {
  const axes: BoxAxis[] = [];
  for (const axis of box.axes.filter(({ size }) => size !== 1).sort((a, b) => b.target - a.target)) {
    const outer = axes[axes.length - 1];
    const joins = outer !== undefined && outer.source === axis.source * axis.size && outer.target === axis.target * axis.size;
    if (joins) axes[axes.length - 1] = { ...axis, size: outer.size * axis.size };
    else axes.push(axis);
  }
  return { ...box, axes };
}

/** From the first element to behind the last one, on one side. */
export function span({ axes }: Box, side: Side): number {
  return axes.reduce((length, axis) => length + (axis.size - 1) * axis[side], 1);
}

export function elements({ axes }: Box): number {
  return axes.reduce((n, { size }) => n * size, 1);
}

/** Indices `first` to `last` of an axis. */
function part(box: Box, axis: BoxAxis, first: number, last: number): Box {
  const rest = box.axes.flatMap((own) => (own !== axis ? [own] : last > first ? [{ ...axis, size: last - first + 1 }] : []));
  return { from: box.from + first * axis.source, to: box.to + first * axis.target, axes: rest };
}

function outermost(box: Box, side: Side): BoxAxis {
  return box.axes.reduce((outer, axis) => (axis[side] > outer[side] ? axis : outer));
}

/** What of a box lies in elements `begin` to `end` of the target. */
export function clipped(box: Box, begin: number, end: number): readonly Box[] {
  const length = span(box, 'target');
  if (box.to + length <= begin || box.to >= end) return [];
  if (box.to >= begin && box.to + length <= end) return [box];
  const axis = outermost(box, 'target');
  const step = axis.target;
  const inner = length - (axis.size - 1) * step;
  // Indices that touch the range, and among them those that lie in it as a whole.
  const low = Math.max(0, Math.floor((begin - box.to - inner) / step) + 1);
  const high = Math.min(axis.size - 1, Math.ceil((end - box.to) / step) - 1);
  const first = Math.max(low, Math.ceil((begin - box.to) / step));
  const last = Math.min(high, Math.floor((end - box.to - inner) / step));
  const parts: Box[] = [];
  for (let i = low; i <= high; i++) {
    if (i === first && first <= last) {
      parts.push(part(box, axis, first, last));
      i = last;
    } else parts.push(...clipped(part(box, axis, i, i), begin, end));
  }
  return parts;
}

/** A run of this many elements is worth a read of its own. */
const LONG_RUN = 1 << 16;

/**
 * Boxes of at most `most` elements from first to last in the source, which are read one after the other; what lies between their elements
 * is read too, unless it is long.
 */
export function reads(box: Box, most: number): readonly Box[] {
  const length = span(box, 'source');
  const sparse = elements(box) * 2 < length;
  if (box.axes.length === 0 || (length <= most && !sparse)) return [box];
  const axis = outermost(box, 'source');
  const inner = length - (axis.size - 1) * axis.source;
  if (length <= most && inner < LONG_RUN) return [box];
  if (inner > most || (sparse && inner >= LONG_RUN)) return Array.from(
    { length: axis.size }, (_, i) => reads(part(box, axis, i, i), most),
  ).flat();
  const group = Math.max(1, Math.floor((most - inner) / axis.source) + 1);
  return Array.from(
    { length: Math.ceil(axis.size / group) }, (_, i) => part(box, axis, i * group, Math.min(axis.size, (i + 1) * group) - 1),
  );
}

/** The bits of elements, by their width. */
export type Bits = Uint16Array | Uint32Array | Float64Array;

/** Rows and columns of a transposition are walked in squares, so that the lines of both sides stay in the cache. */
const SQUARE = 32;

/** Copies the elements of a box; `source` and `target` begin at these elements of the two arrays. */
export function copyBox(box: Box, source: Bits, sourceBegin: number, target: Bits, targetBegin: number): void {
  const read = innermost(box.axes, 'source');
  const written = innermost(box.axes, 'target');
  const outer = box.axes.filter((axis) => axis !== read && axis !== written);
  const at = outer.map(() => 0);
  let from = box.from - sourceBegin;
  let to = box.to - targetBegin;
  for (;;) {
    if (read === undefined || written === undefined) target[to] = source[from];
    else if (read === written) copyRun(read, source, from, target, to);
    else copyPlane(read, written, source, from, target, to);
    let i = outer.length - 1;
    for (; i >= 0; i--) {
      from += outer[i].source;
      to += outer[i].target;
      if (++at[i] < outer[i].size) break;
      from -= outer[i].size * outer[i].source;
      to -= outer[i].size * outer[i].target;
      at[i] = 0;
    }
    if (i < 0) return;
  }
}

function innermost(axes: readonly BoxAxis[], side: Side): BoxAxis | undefined {
  return axes.reduce<BoxAxis | undefined>((inner, axis) => (inner === undefined || axis[side] < inner[side] ? axis : inner), undefined);
}

function copyRun(axis: BoxAxis, source: Bits, from: number, target: Bits, to: number): void {
  const { size, source: s, target: t } = axis;
  if (s === 1 && t === 1 && size > 16) target.set(source.subarray(from, from + size), to);
  else for (let i = 0; i < size; i++) target[to + i * t] = source[from + i * s];
}

function copyPlane(read: BoxAxis, written: BoxAxis, source: Bits, from: number, target: Bits, to: number): void {
  for (let i0 = 0; i0 < read.size; i0 += SQUARE) {
    const i1 = Math.min(read.size, i0 + SQUARE);
    for (let j0 = 0; j0 < written.size; j0 += SQUARE) {
      const j1 = Math.min(written.size, j0 + SQUARE);
      for (let i = i0; i < i1; i++) {
        let s = from + i * read.source + j0 * written.source;
        let t = to + i * read.target + j0 * written.target;
        for (let j = j0; j < j1; j++) {
          target[t] = source[s];
          s += written.source;
          t += written.target;
        }
      }
    }
  }
}
