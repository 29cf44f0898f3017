import type { Domain } from '../ir/tile/domain.js';
import type { RunEnd, TileBuffer, TileModule } from '../ir/tile/tile.js';

/**
 * What a call brings: head counts, and of every domain whose runs no kernel counts, by the name of its rows, the runs as [first row, number
 * of rows] in order.
 */
export interface TileDims {
  readonly heads: number;
  readonly groups: number;
  readonly runs: Readonly<Record<string, readonly Span[]>>;
  /** Chunks that a segment has at most; without it every run is one segment. */
  readonly longest?: number;
}

export type Span = readonly [start: number, length: number];

export interface Chunk {
  readonly index: number;
  readonly run: number;
  readonly first: number;
  readonly length: number;
}

export interface Segment {
  readonly index: number;
  readonly run: number;
  readonly chunks: readonly Chunk[];
}

/** The runs of a domain, and how they are cut. */
export interface Cut {
  readonly runs: readonly Span[];
  readonly chunks: readonly Chunk[];
  readonly segments: readonly Segment[];
}

function spansOf({ name }: TileModule, row: string, { runs }: TileDims): readonly Span[] {
  const found = runs[row];
  if (found === undefined) throw new Error(`${name}: the call has no ${row}s`);
  return found;
}

export const rowsIn = (runs: readonly Span[]): number => runs.reduce((end, [start, length]) => Math.max(end, start + length), 0);

/** The runs of a domain as they are when a kernel over it begins. */
export function cutOf(module: TileModule, { row, made }: Domain, dims: TileDims, memory: ReadonlyMap<string, Float64Array>): Cut {
  if (made === undefined) return cut(module, spansOf(module, row, dims), dims);
  const offsets = memory.get(made.offsets) ?? new Float64Array(made.runs + 1);
  // As back ends have it: every run is one segment.
  const runs = Array.from({ length: made.runs }, (_, i): Span => [offsets[i], offsets[i + 1] - offsets[i]]);
  return cut(module, runs, { ...dims, longest: Infinity });
}

function cut({ chunk }: TileModule, runs: readonly Span[], dims: TileDims): Cut {
  const chunks: Chunk[] = [];
  runs.forEach(([start, length], run) => {
    for (let at = 0; at < length; at += chunk) {
      chunks.push({ index: chunks.length, run, first: start + at, length: Math.min(chunk, length - at) });
    }
  });
  return { runs, chunks, segments: segmentsOf(runs, chunks, dims.longest ?? Infinity) };
}

/** At least one for every run; their lengths differ by one at most, the longer ones first (Segmentation in ir/plan). */
function segmentsOf(runs: readonly Span[], chunks: readonly Chunk[], longest: number): readonly Segment[] {
  const segments: Segment[] = [];
  runs.forEach((_, run) => {
    const own = chunks.filter((chunk) => chunk.run === run);
    const count = Math.max(1, Math.ceil(own.length / longest));
    let first = 0;
    for (let i = 0; i < count; i++) {
      const length = Math.floor(own.length / count) + (i < own.length % count ? 1 : 0);
      segments.push({ index: segments.length, run, chunks: own.slice(first, first + length) });
      first += length;
    }
  });
  return segments;
}

/** Is the segment its run's first, or last? */
export function isOutermost(segments: readonly Segment[], { index, run }: Segment, end: RunEnd): boolean {
  return segments[index + (end === 'first' ? -1 : 1)]?.run !== run;
}

/** Of domains whose runs a kernel counts as many as there may be. */
export function cellCount(module: TileModule, { outer, domain }: TileBuffer, dims: TileDims): number {
  if (outer === 'once' || domain === undefined) return 1;
  const { made } = domain;
  if (made !== undefined) {
    const rows = made.perRow * rowsIn(spansOf(module, made.of, dims));
    switch (outer) {
      case 'run': case 'segment': return made.runs;
      case 'chunk': return Math.floor((rows + made.runs * (module.chunk - 1)) / module.chunk);
      case 'row': return rows;
    }
  }
  const { runs, chunks, segments } = cut(module, spansOf(module, domain.row, dims), dims);
  switch (outer) {
    case 'run': return runs.length;
    case 'chunk': return chunks.length;
    case 'segment': return segments.length;
    case 'row': return rowsIn(runs);
  }
}
