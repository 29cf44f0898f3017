import { COL, ROW, sizeIn, type Axis } from '../ir/common/axes.js';
import type { SequenceEnd, TileBuffer, TileKernel, TileLoop, TileModule, TileOp, TileStmt } from '../ir/tile/tile.js';
import { evaluateOp, swapTile } from './tile-ops.js';
import { newValue, stridesAlong, visit, type TileValue } from './tile-value.js';

/** What a call brings: head counts and the sequences as [first token, number of tokens], in order. */
export interface TileDims {
  readonly heads: number;
  readonly groups: number;
  readonly sequences: readonly (readonly [start: number, length: number])[];
  /** Chunks that a segment has at most; without it every sequence is one segment. */
  readonly longest?: number;
}

/** Emulates a device: what memory keeps of a value, and what a matrix product sees of an operand. */
export interface Rounding {
  /** Applied to what is stored in `io` buffers, and by `round`. */
  io(value: number): number;
  /** Applied to the operands of products of tiles with two axes or more, decay scores among them. */
  operand(value: number): number;
}

interface Chunk {
  readonly index: number;
  readonly sequence: number;
  readonly first: number;
  readonly length: number;
}

/** A run of consecutive chunks of one sequence. */
interface Segment {
  readonly index: number;
  readonly sequence: number;
  readonly chunks: readonly Chunk[];
}

/** Where a statement runs; `undefined`: not known there. */
interface Place {
  readonly sequence: number | undefined;
  readonly segment: Segment | undefined;
  readonly chunk: Chunk | undefined;
  readonly token: number | undefined;
  readonly head: number | undefined;
  readonly group: number;
}

function chunksOf(module: TileModule, dims: TileDims): readonly Chunk[] {
  const chunks: Chunk[] = [];
  dims.sequences.forEach(([start, length], sequence) => {
    for (let at = 0; at < length; at += module.chunk) {
      chunks.push({ index: chunks.length, sequence, first: start + at, length: Math.min(module.chunk, length - at) });
    }
  });
  return chunks;
}

/** At least one for every sequence; their lengths differ by one at most, the longer ones first (Segmentation in ir/plan). */
function segmentsOf(dims: TileDims, chunks: readonly Chunk[]): readonly Segment[] {
  const segments: Segment[] = [];
  dims.sequences.forEach((_, sequence) => {
    const own = chunks.filter((chunk) => chunk.sequence === sequence);
    const count = Math.max(1, Math.ceil(own.length / (dims.longest ?? Infinity)));
    let first = 0;
    for (let i = 0; i < count; i++) {
      const length = Math.floor(own.length / count) + (i < own.length % count ? 1 : 0);
      segments.push({ index: segments.length, sequence, chunks: own.slice(first, first + length) });
      first += length;
    }
  });
  return segments;
}

/** Is the segment its sequence's first, or last? */
function isOutermost(segments: readonly Segment[], { index, sequence }: Segment, end: SequenceEnd): boolean {
  return segments[index + (end === 'first' ? -1 : 1)]?.sequence !== sequence;
}

/** Number of elements of a buffer, row-major [outer, inner, ...axes]. */
export function bufferElements(module: TileModule, buffer: TileBuffer, dims: TileDims): number {
  const cell = buffer.axes.reduce((n, axis) => n * tileSize(module, axis), 1);
  const inner = buffer.inner === 'head' ? dims.heads : dims.groups;
  switch (buffer.outer) {
    case 'once': return inner * cell;
    case 'sequence': return dims.sequences.length * inner * cell;
    case 'chunk': return chunksOf(module, dims).length * inner * cell;
    case 'segment': return segmentsOf(dims, chunksOf(module, dims)).length * inner * cell;
    case 'token': return dims.sequences.reduce((end, [start, length]) => Math.max(end, start + length), 0) * inner * cell;
  }
}

export function tileSize(module: TileModule, axis: Axis): number {
  const size = sizeIn(module.sizes, module.chunk, axis);
  if (size === undefined) throw new Error(`${module.name}: axis ${axis} has no size`);
  return size;
}

/**
 * Runs one program in float64. `buffers` holds what the program reads, by buffer name; missing initial states and cotangents are zeros.
 * What it writes is put into `buffers` (created where missing). Workspaces belong to the call and start as NaN, as do the cells of new
 * outputs, so that a program which reads or leaves out what was never written shows.
 */
export function runTiles(
  module: TileModule, program: 'forward' | 'backward' | 'step', dims: TileDims, buffers: Map<string, Float64Array>, rounding?: Rounding,
): void {
  const memory = new Map(buffers);
  for (const buffer of module.buffers) {
    const count = bufferElements(module, buffer, dims);
    const given = buffer.role === 'workspace' ? undefined : memory.get(buffer.name);
    if (given !== undefined) {
      if (given.length !== count) throw new Error(`${module.name}: buffer ${buffer.name} has ${given.length} elements, not ${count}`);
      continue;
    }
    const zeros = buffer.role === 'initial' || buffer.role === 'cotangent';
    memory.set(buffer.name, new Float64Array(count).fill(zeros ? 0 : NaN));
  }
  const cut = segmentsOf(dims, chunksOf(module, dims)).length > dims.sequences.length;
  for (const name of module.programs[program]) {
    const kernel = module.kernels.find((candidate) => candidate.name === name);
    if (kernel === undefined) throw new Error(`${module.name}: no kernel ${name}`);
    if (kernel.cut === true && !cut) continue;
    runKernel(module, kernel, dims, memory, rounding);
  }
  const written = new Set(['output', 'final', 'gradient']);
  const stored = new Set(module.programs[program].flatMap((name) => storesOf(
    module.kernels.find((kernel) => kernel.name === name)?.body ?? []
  )));
  for (const buffer of module.buffers) {
    const data = memory.get(buffer.name);
    if (written.has(buffer.role) && stored.has(buffer.name) && data !== undefined) buffers.set(buffer.name, data);
  }
}

function storesOf(body: readonly TileStmt[]): string[] {
  return body.flatMap((stmt) => (stmt.kind === 'store' ? [stmt.buffer] : stmt.kind === 'loop' ? storesOf(stmt.body) : []));
}

function runKernel(
  module: TileModule, kernel: TileKernel, dims: TileDims, memory: ReadonlyMap<string, Float64Array>, rounding: Rounding | undefined,
): void {
  const chunks = chunksOf(module, dims);
  const perGroup = dims.heads / dims.groups;
  const inner = kernel.inner === 'head'
    ? Array.from({ length: dims.heads }, (_, head) => ({ head, group: Math.floor(head / perGroup) }))
    : Array.from({ length: dims.groups }, (_, group) => ({ head: undefined, group }));
  const segments = segmentsOf(dims, chunks);
  const nowhere = { sequence: undefined, segment: undefined, chunk: undefined };
  const outer = ((): readonly Pick<Place, 'sequence' | 'segment' | 'chunk'>[] => {
    switch (kernel.outer) {
      case 'once': return [nowhere];
      case 'sequence': return dims.sequences.map((_, sequence) => ({ ...nowhere, sequence }));
      case 'segment': return segments.map((segment) => ({ ...nowhere, sequence: segment.sequence, segment }));
      case 'chunk': return chunks.map((chunk) => ({ ...nowhere, sequence: chunk.sequence, chunk }));
    }
  })();
  for (const cell of outer) {
    for (const lane of inner) {
      runProgram(module, kernel, dims, memory, { chunks, segments, rounding }, { ...cell, ...lane, token: undefined });
    }
  }
}

/** What all programs of a launch share. */
interface Launch {
  readonly chunks: readonly Chunk[];
  readonly segments: readonly Segment[];
  readonly rounding: Rounding | undefined;
}

function runProgram(
  module: TileModule, kernel: TileKernel, dims: TileDims, memory: ReadonlyMap<string, Float64Array>, launch: Launch, start: Place,
): void {
  const tiles = new Map<number, TileValue>();
  const sizeOf = (axis: Axis) => tileSize(module, axis);
  const fail = (message: string): never => {
    throw new Error(`${module.name}.${kernel.name}: ${message}`);
  };
  const tile = (id: number): TileValue => tiles.get(id) ?? fail(`tile ${id} is used before it is defined`);

  const cellOf = (name: string, place: Place): { buffer: TileBuffer; data: Float64Array; at: (row: number) => number; token: boolean } => {
    const buffer = module.buffers.find((candidate) => candidate.name === name) ?? fail(`no buffer ${name}`);
    const data = memory.get(name) ?? fail(`no memory for ${name}`);
    const cell = buffer.axes.reduce((n, axis) => n * sizeOf(axis), 1);
    const lanes = buffer.inner === 'head' ? dims.heads : dims.groups;
    const lane = (buffer.inner === 'head' ? place.head : place.group) ?? fail(`${name} needs a head`);
    const first = ((): number => {
      switch (buffer.outer) {
        case 'once': return 0;
        case 'sequence': return place.sequence ?? fail(`${name} needs a sequence`);
        case 'chunk': return place.chunk?.index ?? fail(`${name} needs a chunk`);
        case 'segment': return place.segment?.index ?? fail(`${name} needs a segment`);
        case 'token': return place.token ?? place.chunk?.first ?? fail(`${name} needs a chunk or a token`);
      }
    })();
    return {
      buffer, data, at: (row) => ((first + row) * lanes + lane) * cell, token: buffer.outer === 'token' && place.token === undefined,
    };
  };

  const load = (op: TileOp & { readonly op: 'load' }, place: Place): TileValue => {
    const { segment } = place;
    const whole = segment !== undefined && (['first', 'last'] as const).every((end) => isOutermost(launch.segments, segment, end));
    const { buffer, data, at, token } = cellOf(whole && op.whole !== undefined ? op.whole : op.buffer, place);
    if (!token) {
      const out = newValue(buffer.axes, sizeOf);
      out.data.set(data.subarray(at(0), at(0) + out.data.length));
      return out;
    }
    const out = newValue([op.rows === 'col' ? COL : ROW, ...buffer.axes], sizeOf);
    const width = out.data.length / module.chunk;
    const { first, length } = place.chunk ?? fail(`${op.buffer} needs a chunk`);
    const { back = 0 } = op;
    const [start, count] = back === 0 ? [first, length] : dims.sequences[place.sequence ?? fail(`${op.buffer} needs a sequence`)];
    for (let row = 0; row < length; row++) {
      const token = first + row - back;
      if (token >= start && token < start + count) out.data.set(data.subarray(at(row - back), at(row - back) + width), row * width);
    }
    return out;
  };

  const store = (name: string, given: TileValue, place: Place): void => {
    const { buffer, data, at, token } = cellOf(name, place);
    const value = given.axes.includes(COL) && !given.axes.includes(ROW) && !buffer.axes.includes(COL) ? swapTile(given) : given;
    const axes = token ? [ROW, ...buffer.axes] : buffer.axes;
    const extra = value.axes.filter((axis) => !axes.includes(axis));
    if (extra.length > 0) fail(`a tile with ${extra.join(', ')} does not fit ${name}`);
    const cell = newValue(buffer.axes, sizeOf);
    const rows = token ? place.chunk?.length ?? 0 : 1;
    const step = token ? stridesAlong(value, [ROW])[0] : 0;
    for (let row = 0; row < rows; row++) {
      visit(cell.sizes, [stridesAlong(value, buffer.axes)], ([from], i) => {
        const x = value.data[from + row * step];
        data[at(row) + i] = buffer.dtype === 'io' && launch.rounding !== undefined ? launch.rounding.io(x) : x;
      });
    }
  };

  const operand = (id: number): TileValue => {
    const value = tile(id);
    const { rounding } = launch;
    return rounding === undefined || value.axes.length < 2 ? value : { ...value, data: value.data.map(rounding.operand) };
  };

  const rounded = (value: TileValue): TileValue => (
    launch.rounding === undefined ? value : { ...value, data: value.data.map(launch.rounding.io) }
  );

  /** The row of the token `at` tokens from an end of the sequence; undefined if it is in another chunk, or in none. */
  const rowOf = ({ from, at }: { readonly from: SequenceEnd; readonly at: number }, place: Place): number | undefined => {
    const { first, length } = place.chunk ?? fail('no chunk is known here');
    const [start, count] = dims.sequences[place.sequence ?? fail('no sequence is known here')];
    const row = (from === 'first' ? start + at : start + count - 1 - at) - first;
    return row >= 0 && row < length ? row : undefined;
  };

  const evaluate = (op: TileOp, axes: readonly Axis[], place: Place): TileValue => {
    if (op.op === 'load') return load(op, place);
    return evaluateOp(op, axes, {
      tile, operand, rounded, sizeOf, heads: dims.heads,
      head: () => place.head ?? fail('head is not known here'),
      length: () => (place.chunk ?? fail('no chunk is known here')).length,
      rowOf: (end) => rowOf(end, place),
    });
  };

  const places = (loop: TileLoop, place: Place): readonly Place[] => {
    switch (loop.over) {
      case 'chunks': {
        if (place.segment !== undefined && kernel.idle !== undefined && isOutermost(launch.segments, place.segment, kernel.idle)) return [];
        const own = place.segment?.chunks ?? launch.chunks.filter((chunk) => kernel.outer === 'once' || chunk.sequence === place.sequence);
        const some = loop.only === undefined ? own : loop.only === 'first' ? own.slice(0, 1) : own.slice(-1);
        return some.map((chunk) => ({ ...place, chunk, sequence: chunk.sequence }));
      }
      case 'segments':
        return launch.segments.filter((segment) => segment.sequence === place.sequence).map((segment) => ({ ...place, segment }));
      case 'tokens': {
        const [first, length] = dims.sequences[place.sequence ?? fail('a token loop needs a sequence')];
        return Array.from({ length }, (_, i) => ({ ...place, token: first + i }));
      }
      case 'members': {
        const perGroup = dims.heads / dims.groups;
        return Array.from({ length: perGroup }, (_, i) => ({ ...place, head: place.group * perGroup + i }));
      }
    }
  };

  const run = (body: readonly TileStmt[], place: Place): void => {
    for (const stmt of body) {
      switch (stmt.kind) {
        case 'let':
          tiles.set(stmt.tile, evaluate(stmt.op, kernel.tiles[stmt.tile].axes, place));
          break;
        case 'store':
          if (stmt.only === undefined || (place.segment !== undefined && isOutermost(launch.segments, place.segment, stmt.only))) store(
            stmt.buffer, tile(stmt.value), place,
          );
          break;
        case 'loop': {
          for (const carry of stmt.carry) tiles.set(carry.tile, tile(carry.init));
          const order = [...places(stmt, place)];
          if (stmt.reverse) order.reverse();
          for (const inner of order) {
            run(stmt.body, inner);
            const next = stmt.carry.map((carry) => tile(carry.next));
            stmt.carry.forEach((carry, i) => tiles.set(carry.tile, next[i]));
          }
          break;
        }
        default:
          stmt satisfies never;
      }
    }
  };
  run(kernel.body, start);
}
