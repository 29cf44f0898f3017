import { COL, ROW, sizeIn, type Axis } from '../ir/common/axes.js';
import { isRows, nameOf } from '../ir/tile/domain.js';
import {
  programOf, type Inner, type RunEnd, type TileBuffer, type TileKernel, type TileLoop, type TileModule, type TileOp, type TileStmt,
  type TileStore,
} from '../ir/tile/tile.js';
import { evaluateOp, swapTile } from './tile-ops.js';
import { cellCount, cutOf, isOutermost, rowsIn, type Chunk, type Cut, type Segment, type TileDims } from './tile-rows.js';
import { newValue, stridesAlong, visit, type TileValue } from './tile-value.js';

export type { TileDims } from './tile-rows.js';

/** Emulates a device: what memory keeps of a value, and what a matrix product sees of an operand. */
export interface Rounding {
  /** Applied to what is stored in `io` buffers, and by `round`. */
  io(value: number): number;
  /** Applied to the operands of products of tiles with two axes or more, decay scores among them. */
  operand(value: number): number;
}

/** Where a statement runs; `undefined`: not known there. */
interface Place {
  readonly run: number | undefined;
  readonly segment: Segment | undefined;
  readonly chunk: Chunk | undefined;
  readonly row: number | undefined;
  readonly head: number | undefined;
  readonly group: number | undefined;
}

/** Number of elements of a buffer, row-major [outer, inner, ...axes]. */
export function bufferElements(module: TileModule, buffer: TileBuffer, dims: TileDims): number {
  const cell = buffer.axes.reduce((n, axis) => n * tileSize(module, axis), 1);
  return cellCount(module, buffer, dims) * copiesOf(buffer.inner, dims) * cell;
}

function copiesOf(inner: Inner, { heads, groups }: TileDims): number {
  switch (inner) {
    case 'head': return heads;
    case 'group': return groups;
    case 'once': return 1;
  }
}

export function tileSize(module: TileModule, axis: Axis): number {
  const size = sizeIn(module.sizes, module.chunk, axis);
  if (size === undefined) throw new Error(`${module.name}: axis ${axis} has no size`);
  return size;
}

/**
 * Runs one program in float64. `buffers` holds what the program reads, by buffer name; missing initial states and cotangents are zeros.
 * What it writes is put into `buffers` (created where missing). Workspaces that it does not take belong to the call and start as NaN, as do
 * the cells of new outputs, so that a program which reads or leaves out what was never written shows.
 */
export function runTiles(
  module: TileModule, program: string, dims: TileDims, buffers: Map<string, Float64Array>, rounding?: Rounding,
): void {
  const memory = new Map(buffers);
  const { takes, launches, gives } = programOf(module, program);
  for (const buffer of module.buffers) {
    const count = bufferElements(module, buffer, dims);
    const given = buffer.role === 'workspace' && !takes.includes(buffer.name) ? undefined : memory.get(buffer.name);
    if (given !== undefined) {
      if (given.length !== count) throw new Error(`${module.name}: buffer ${buffer.name} has ${given.length} elements, not ${count}`);
      continue;
    }
    const zeros = buffer.role === 'initial' || buffer.role === 'cotangent';
    memory.set(buffer.name, new Float64Array(count).fill(zeros ? 0 : NaN));
  }
  for (const name of launches) {
    const kernel = module.kernels.find((candidate) => candidate.name === name);
    if (kernel === undefined) throw new Error(`${module.name}: no kernel ${name}`);
    const own = cutOf(module, kernel.domain, dims, memory);
    if (kernel.cut !== undefined && kernel.cut === (own.segments.length === own.runs.length)) continue;
    if (kernel.few !== undefined && (own.chunks.length === 1) !== (kernel.few === 'only')) continue;
    runKernel(module, kernel, dims, memory, { ...own, rounding });
  }
  for (const name of launches.length === 0 ? [] : gives) {
    const data = memory.get(name);
    if (data !== undefined) buffers.set(name, data);
  }
}

function runKernel(
  module: TileModule, kernel: TileKernel, dims: TileDims, memory: ReadonlyMap<string, Float64Array>, launch: Launch,
): void {
  const { runs, chunks, segments } = launch;
  const perGroup = dims.heads / dims.groups;
  const inner = Array.from({ length: copiesOf(kernel.inner, dims) }, (_, i): Pick<Place, 'head' | 'group'> => {
    switch (kernel.inner) {
      case 'head': return { head: i, group: Math.floor(i / perGroup) };
      case 'group': return { head: undefined, group: i };
      case 'once': return { head: undefined, group: undefined };
    }
  });
  const nowhere = { run: undefined, segment: undefined, chunk: undefined };
  const outer = ((): readonly Pick<Place, 'run' | 'segment' | 'chunk'>[] => {
    switch (kernel.outer) {
      case 'once': return [nowhere];
      case 'run': return runs.map((_, run) => ({ ...nowhere, run }));
      case 'segment': return segments.map((segment) => ({ ...nowhere, run: segment.run, segment }));
      case 'chunk': return chunks.map((chunk) => ({ ...nowhere, run: chunk.run, chunk }));
    }
  })();
  for (const cell of outer) {
    for (const lane of inner) {
      runProgram(module, kernel, dims, memory, launch, { ...cell, ...lane, row: undefined });
    }
  }
}

/** What all programs of a launch share. */
interface Launch extends Cut {
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

  const cellOf = (name: string, place: Place): { buffer: TileBuffer; data: Float64Array; at: (row: number) => number; byRow: boolean } => {
    const buffer = module.buffers.find((candidate) => candidate.name === name) ?? fail(`no buffer ${name}`);
    const data = memory.get(name) ?? fail(`no memory for ${name}`);
    const cell = buffer.axes.reduce((n, axis) => n * sizeOf(axis), 1);
    const lanes = copiesOf(buffer.inner, dims);
    const lane = buffer.inner === 'once' ? 0 : place[buffer.inner] ?? fail(`${name} needs a ${buffer.inner}`);
    const first = ((): number => {
      switch (buffer.outer) {
        case 'once': return 0;
        case 'run': return place.run ?? fail(`${name} needs a ${nameOf(buffer)}`);
        case 'chunk': case 'segment': return place[buffer.outer]?.index ?? fail(`${name} needs a ${nameOf(buffer)}`);
        case 'row': return place.row ?? place.chunk?.first ?? fail(`${name} needs a chunk or a ${nameOf(buffer)}`);
      }
    })();
    return {
      buffer, data, at: (row) => ((first + row) * lanes + lane) * cell, byRow: isRows(buffer) && place.row === undefined,
    };
  };

  const load = (op: TileOp & { readonly op: 'load' }, place: Place): TileValue => {
    const { segment } = place;
    const whole = segment !== undefined && (['first', 'last'] as const).every((end) => isOutermost(launch.segments, segment, end));
    const { buffer, data, at, byRow } = cellOf(whole && op.whole !== undefined ? op.whole : op.buffer, place);
    if (!byRow) {
      const out = newValue(buffer.axes, sizeOf);
      out.data.set(data.subarray(at(0), at(0) + out.data.length));
      return out;
    }
    const out = newValue([op.rows === 'col' ? COL : ROW, ...buffer.axes], sizeOf);
    const width = out.data.length / module.chunk;
    const { first, length } = place.chunk ?? fail(`${op.buffer} needs a chunk`);
    const { back = 0 } = op;
    const [start, count] = back === 0 ? [first, length] : launch.runs[place.run ?? fail(`${op.buffer} needs a run`)];
    for (let row = 0; row < length; row++) {
      const from = first + row - back;
      if (from >= start && from < start + count) out.data.set(data.subarray(at(row - back), at(row - back) + width), row * width);
    }
    return out;
  };

  const gather = (op: TileOp & { readonly op: 'gather' }, axes: readonly Axis[], place: Place): TileValue => {
    const out = newValue(axes, sizeOf);
    const { length } = place.chunk ?? fail(`${op.buffer} needs a chunk`);
    const index = cellOf(op.index, place);
    // Its rows are counted from the first of all.
    const rows = cellOf(op.buffer, { ...place, row: 0 });
    const [picks, width] = [index.buffer, rows.buffer].map((buffer) => buffer.axes.reduce((n, axis) => n * sizeOf(axis), 1));
    for (let row = 0; row < length; row++) {
      for (let i = 0; i < picks; i++) {
        const from = index.data[index.at(row) + i];
        if (from >= 0) out.data.set(rows.data.subarray(rows.at(from), rows.at(from) + width), (row * picks + i) * width);
      }
    }
    return out;
  };

  const nth = (op: TileOp & { readonly op: 'nth' }, axes: readonly Axis[], place: Place): TileValue => {
    const out = newValue(axes, sizeOf);
    const { data, at } = cellOf(op.buffer, { ...place, row: 0 });
    const runs = place.run === undefined ? launch.runs : [launch.runs[place.run]];
    const rows = runs.flatMap(([first, length]) => Array.from({ length }, (_, i) => first + i));
    const [count, of] = [tile(op.count), op.of === undefined ? undefined : tile(op.of)];
    visit(out.sizes, [count, of ?? count].map((one) => stridesAlong(one, axes)), ([n, m], i) => {
      const value = (row: number): number => data[at(row) + i];
      const wanted = Math.max(0, Math.floor(count.data[n]));
      const there = rows.filter((row) => value(row) > -Infinity).sort((a, b) => value(b) - value(a) || a - b);
      if (of === undefined) out.data[i] = wanted === 0 ? Infinity : wanted > there.length ? -Infinity : value(there[wanted - 1]);
      else {
        const larger = there.filter((row) => value(row) > of.data[m]).length;
        const equal = there.filter((row) => value(row) === of.data[m]);
        out.data[i] = wanted <= larger ? -1 : equal[wanted - larger - 1] ?? Infinity;
      }
    });
    return out;
  };

  const store = (name: string, given: TileValue, place: Place): void => {
    const { buffer, data, at, byRow } = cellOf(name, place);
    const value = given.axes.includes(COL) && !given.axes.includes(ROW) && !buffer.axes.includes(COL) ? swapTile(given) : given;
    const axes = byRow ? [ROW, ...buffer.axes] : buffer.axes;
    const extra = value.axes.filter((axis) => !axes.includes(axis));
    if (extra.length > 0) fail(`a tile with ${extra.join(', ')} does not fit ${name}`);
    const cell = newValue(buffer.axes, sizeOf);
    const rows = byRow ? place.chunk?.length ?? 0 : 1;
    const step = byRow ? stridesAlong(value, [ROW])[0] : 0;
    for (let row = 0; row < rows; row++) {
      visit(cell.sizes, [stridesAlong(value, buffer.axes)], ([from], i) => {
        const x = value.data[from + row * step];
        data[at(row) + i] = buffer.dtype === 'io' && launch.rounding !== undefined ? launch.rounding.io(x) : x;
      });
    }
  };

  const scatter = ({ buffer: name, value: id }: TileStore, by: string, place: Place): void => {
    const { length } = place.chunk ?? fail(`${name} needs a chunk`);
    const index = cellOf(by, place);
    const rows = cellOf(name, { ...place, row: 0 });
    const value = tile(id);
    const cell = newValue([...index.buffer.axes, ...rows.buffer.axes], sizeOf);
    const [step] = stridesAlong(value, [ROW]);
    const width = rows.buffer.axes.reduce((n, axis) => n * sizeOf(axis), 1);
    for (let row = 0; row < length; row++) {
      visit(cell.sizes, [stridesAlong(value, cell.axes)], ([from], i) => {
        const to = index.data[index.at(row) + Math.floor(i / width)];
        if (to < 0) return;
        const x = value.data[from + row * step];
        rows.data[rows.at(to) + i % width] = rows.buffer.dtype === 'io' && launch.rounding !== undefined ? launch.rounding.io(x) : x;
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

  /** The row `at` rows from an end of the run; undefined if it is in another chunk, or in none. */
  const rowOf = ({ from, at }: { readonly from: RunEnd; readonly at: number }, place: Place): number | undefined => {
    const { first, length } = place.chunk ?? fail('no chunk is known here');
    const [start, count] = launch.runs[place.run ?? fail('no run is known here')];
    const row = (from === 'first' ? start + at : start + count - 1 - at) - first;
    return row >= 0 && row < length ? row : undefined;
  };

  const evaluate = (op: TileOp, axes: readonly Axis[], place: Place): TileValue => {
    if (op.op === 'load') return load(op, place);
    if (op.op === 'gather') return gather(op, axes, place);
    if (op.op === 'nth') return nth(op, axes, place);
    return evaluateOp(op, axes, {
      tile, operand, rounded, sizeOf, heads: dims.heads,
      head: () => place.head ?? fail('head is not known here'),
      number: (of) => {
        const [run, first] = [place.run ?? fail('no run is known here'), place.chunk?.first ?? 0];
        return of === 'run' ? run : of === 'row' ? first : first - launch.runs[run][0];
      },
      size: (of) => {
        switch (of) {
          case 'rows': return rowsIn(launch.runs);
          case 'runs': return launch.runs.length;
          case 'run': return launch.runs[place.run ?? fail('no run is known here')][1];
        }
      },
      length: () => (place.chunk ?? fail('no chunk is known here')).length,
      rowOf: (end) => rowOf(end, place),
    });
  };

  const places = (loop: TileLoop, place: Place): readonly Place[] => {
    switch (loop.over) {
      case 'chunks': {
        if (place.segment !== undefined && kernel.idle !== undefined && isOutermost(launch.segments, place.segment, kernel.idle)) return [];
        const own = place.segment?.chunks ?? launch.chunks.filter((chunk) => kernel.outer === 'once' || chunk.run === place.run);
        const some = loop.only === undefined ? own : loop.only === 'first' ? own.slice(0, 1) : own.slice(-1);
        return some.map((chunk) => ({ ...place, chunk, run: chunk.run }));
      }
      case 'segments':
        return launch.segments.filter(({ run }) => kernel.outer === 'once' || run === place.run).map((segment) => ({ ...place, segment }));
      case 'rounds': return Array.from({ length: loop.while?.most ?? 0 }, () => place);
      case 'runs': return launch.runs.map((_, run) => ({ ...place, run }));
      case 'rows': {
        const [first, length] = launch.runs[place.run ?? fail('a loop over rows needs a run')];
        return Array.from({ length }, (_, i) => ({ ...place, row: first + i }));
      }
      case 'members': {
        const perGroup = dims.heads / dims.groups;
        return Array.from(
          { length: perGroup }, (_, i) => ({ ...place, head: (place.group ?? fail('no group is known here')) * perGroup + i }),
        );
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
          if (stmt.by !== undefined) scatter(stmt, stmt.by, place);
          else if (
            stmt.only === undefined || (place.segment !== undefined && isOutermost(launch.segments, place.segment, stmt.only))
          ) store(
            stmt.buffer, tile(stmt.value), place,
          );
          break;
        case 'loop': {
          for (const carry of stmt.carry) tiles.set(carry.tile, tile(carry.init));
          const order = [...places(stmt, place)];
          if (stmt.reverse) order.reverse();
          for (const inner of order) {
            if (stmt.while !== undefined && !(tile(stmt.while.tile).data[0] >= stmt.while.least)) break;
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
