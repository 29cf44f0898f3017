import { COL, isCut, ROW, runsIn, type Axis } from '../../ir/common/axes.js';
import { nameOf, sizeName, type Level } from '../../ir/tile/domain.js';
import type { Inner, TileBuffer } from '../../ir/tile/tile.js';
import type { Structure } from './structure.js';
import { identifier } from './text.js';

/** Where in a launch statements run, as WGSL variables; undefined: not known there. */
export interface Place {
  readonly run?: string;
  readonly segment?: string;
  /** Index among all chunks. */
  readonly chunk?: string;
  /** First row of the chunk, or the row of a loop over rows. */
  readonly row?: string;
  /** Number of rows of the chunk; undefined inside loops over rows. */
  readonly length?: string;
  readonly head?: string;
  readonly group: string;
  /** Writes a line where this place begins. */
  readonly begin: (text: string) => void;
  /** Variables that `begin` or a place around has written, by what they hold. */
  readonly known: Map<string, string>;
}

/** How a kernel reaches one buffer. */
export interface Binding {
  /** WGSL variable of the binding. */
  readonly pointer: string;
  /**
   * `f32`: as it lies there. `f32x4`: four neighbours at once, wherever the kernel reads it. `f16`: a native half. The others are halves of
   * u32 words.
   */
  readonly element: 'f32' | 'f32x4' | 'i32' | 'f16' | 'f16word' | 'bf16word';
  /** Offset in elements of a tensor that shares its binding with others. */
  readonly offset: string | undefined;
}

/** Row-major strides of a cell. */
export function cellStrides(s: Structure, axes: readonly Axis[]): ReadonlyMap<Axis, number> {
  const strides = new Map<Axis, number>();
  let step = 1;
  for (const axis of [...axes].reverse()) {
    strides.set(axis, step);
    step *= s.whole(axis);
  }
  return strides;
}

export function cellElements(s: Structure, buffer: TileBuffer): number {
  return buffer.axes.reduce((n, axis) => n * s.whole(axis), 1);
}

function needed(value: string | undefined, what: string, buffer: TileBuffer): string {
  if (value === undefined) throw new Error(`buffer ${buffer.name} needs a ${what} where it is used`);
  return value;
}

/** Variable with the element offset of a cell (of rows: the first one's), written once per place. */
export function cellBase(s: Structure, buffer: TileBuffer, binding: Binding, place: Place): string {
  const inner = buffer.inner === 'head' ? needed(place.head, 'head', buffer) : place.group;
  const outer = ((): string => {
    switch (buffer.outer) {
      case 'once': return '0u';
      default: return needed(place[buffer.outer], nameOf(buffer), buffer);
    }
  })();
  const cell = cellElements(s, buffer);
  const strides = cellStrides(s, buffer.axes);
  // What a block has of an axis, or of runs of it.
  const parts = s.blocks.flatMap((block) => buffer.axes.filter((axis) => isCut(axis, block.axis)).map((axis) => {
    const from = axis === block.axis ? block.first : `${block.first} / ${runsIn(axis)?.length}u`;
    const stride = strides.get(axis) ?? 0;
    return stride === 1 ? from : `${from} * ${stride}u`;
  }));
  const cells = ((): string => {
    switch (buffer.inner) {
      case 'head': case 'group': return outer === '0u' ? inner : `(${outer} * ${buffer.inner}s + ${inner})`;
      case 'once': return outer;
    }
  })();
  const terms = [
    ...(binding.offset === undefined ? [] : [binding.offset]),
    cell === 1 ? cells : `${cells} * ${cell}u`,
    ...parts,
  ];
  return once(place, identifier('at_', buffer.name), terms.join(' + '));
}

/** Elements between the rows of a buffer of rows. */
export function rowStride(s: Structure, buffer: TileBuffer, top: Place): string {
  const cell = cellElements(s, buffer);
  if (buffer.inner === 'once') return `${cell}u`;
  const count = `${buffer.inner}s`;
  return cell === 1 ? count : once(top, `${count}_${cell}`, `${count} * ${cell}u`);
}

function once(place: Place, name: string, value: string): string {
  const found = place.known.get(value);
  if (found !== undefined) return found;
  const taken = new Set(place.known.values());
  const free = taken.has(name) ? `${name}_${place.known.size}` : name;
  place.known.set(value, free);
  place.begin(`let ${free} = ${value};`);
  return free;
}

/**
 * First row of the run, and the end of its rows as far as the chunk's neighbours go. Chunk kernels work them out from the table of chunks,
 * since a table more is a binding more.
 */
export function runEnds(s: Structure, place: Place): { readonly first: string; readonly end: string } {
  const { run, chunk, row, length } = place;
  const { domain } = s.kernel;
  const [chunks, runs] = [sizeName(domain, 'chunk'), sizeName(domain, 'run')];
  if (run === undefined) throw new Error(`${s.kernel.name}: no ${domain.run} is known here`);
  if (s.kernel.outer !== 'chunk') return { first: `${runs}[6u * ${run}]`, end: `${runs}[6u * ${run} + 1u]` };
  if (row === undefined || length === undefined) throw new Error(`${s.kernel.name}: no ${domain.chunk} is known here`);
  const count = sizeText('chunk');
  const next = `4u * min(${chunk} + 1u, ${count} - 1u)`;
  return {
    first: once(place, `${domain.run}_first`, `${row} - ${chunks}[4u * ${chunk} + 3u] * ${s.module.chunk}u`),
    end: once(
      place, `${domain.run}_end`,
      `${row} + ${length} + select(0u, ${chunks}[${next} + 2u], ${chunk} + 1u < ${count} && ${chunks}[${next}] == ${run})`,
    ),
  };
}

/** How many there are of a level of the kernel's domain, as WGSL: `dims` begins with these (see `dimsOf`). */
export function sizeText(level: Level): string {
  return { row: 'dims[0].x', run: 'dims[0].w', chunk: 'dims[1].x', segment: 'dims[1].y', once: '1u' }[level];
}

export function innerText(inner: Inner): readonly string[] {
  switch (inner) {
    case 'head': return ['dims[0].y'];
    case 'group': return ['dims[0].z'];
    case 'once': return [];
  }
}

/** The name of an axis's index in a loop. */
export function axisVariable(axis: Axis): string {
  if (axis.endsWith("'")) return identifier('j_', axis.slice(0, -1));
  const runs = runsIn(axis);
  if (runs !== undefined) return identifier('n_', runs.of);
  return axis === ROW ? 'r' : axis === COL ? 'c' : identifier('i_', axis);
}
