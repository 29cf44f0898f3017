import { isRuns } from '../../ir/tile/domain.js';
import type { TileBuffer, TileKernel, TileModule } from '../../ir/tile/tile.js';
import type { Extent, PlanArg, PlanKernel, PlanTensor } from '../../ir/plan/plan.js';
import type { IoDtype } from '../../ir/common/dtype.js';
import { loadedBuffers, storedBuffers } from '../../ir/tile/buffers.js';
import { innerExtents, outerExtents, plainName, tablesOf } from '../describe.js';
import { bufferNamed, cellOffset, isStrided, strides, type Place } from './address.js';

export type CudaTarget = 'cuda.sm80' | 'cuda.sm86' | 'cuda.sm90';

export interface CudaContext {
  readonly module: TileModule;
  readonly target: CudaTarget;
  readonly dtype: IoDtype;
  /** A kernel is a part of another, a function that it calls for block after block (`in-one.ts`): what that one is called. */
  readonly part?: string;
}

/** Threads of kernels that have parts, each of which may leave some idle: as many as make tables (templates/cuda/rt/tables.cuh). */
export const PART_THREADS = 1024;
/** C text of the number of a block, in kernels and in parts. */
export const blockNumber = ({ part }: CudaContext): string => (part === undefined ? 'blockIdx.x' : 'block');

/** One kernel as text, with what the plan says of it. */
export interface LoweredKernel {
  readonly text: string;
  /** Files of templates/cuda that the text needs. */
  readonly runtime: readonly string[];
  readonly block: number;
  readonly sharedBytes: number;
  readonly grid: PlanKernel['grid'];
  readonly args: readonly PlanArg[];
  /** Tensors that only this kernel knows. */
  readonly scratch: readonly PlanTensor[];
}

/** Dynamic shared memory in bytes that a block may ask for, so that `blocks` of them share a multiprocessor: each takes 1 KB more. */
export function sharedLimit(target: CudaTarget, blocks = 1): number {
  return Math.floor((sharedOf(target) + 1024) / blocks) - 1024;
}

function sharedOf(target: CudaTarget): number {
  switch (target) {
    case 'cuda.sm80': return 163 * 1024;
    case 'cuda.sm86': return 99 * 1024;
    case 'cuda.sm90': return 227 * 1024;
  }
}

/** C name of a buffer's element type. */
export function elementType(buffer: TileBuffer, dtype: IoDtype): string {
  switch (buffer.dtype) {
    case 'io': return dtype;
    case 'f32': return 'f32';
    case 'i32': return 'int';
  }
}

/** Grid of a kernel whose split axis is cut in `blocks`: blocks of one cell are neighbours, so that they share the cache. */
export function gridOf(kernel: TileKernel, blocks: number): PlanKernel['grid'] {
  const cells: readonly Extent[] = [...(blocks === 1 ? [] : [blocks]), ...outerExtents(kernel)];
  const inner = innerExtents(kernel.inner);
  return [cells.length === 0 ? [1] : cells, inner.length === 0 ? [1] : inner, [1]];
}

/** Buffers a kernel touches, in the order of the module. */
export function buffersOf(
  module: TileModule, kernel: TileKernel,
): readonly { readonly buffer: TileBuffer; readonly access: 'read' | 'write' | 'readwrite' }[] {
  const [read, written] = [new Set(loadedBuffers(kernel.body)), new Set(storedBuffers(kernel.body))];
  return module.buffers
    .filter((buffer) => read.has(buffer.name) || written.has(buffer.name))
    .map((buffer) => ({
      buffer: bufferNamed(module, buffer.name),
      access: !written.has(buffer.name) ? 'read' : read.has(buffer.name) ? 'readwrite' : 'write',
    }));
}

/** Does a kernel load or store whole numbers? Indices that rows are gathered by are read as such. */
export const wholeIn = ({ module }: CudaContext, { body }: TileKernel): boolean => (
  [...loadedBuffers(body), ...storedBuffers(body)].some((name) => bufferNamed(module, name).dtype === 'i32')
);

/** C names of the pointer to a buffer and of its tensor map: prefixed, since a user may call a tensor `int`. */
export const pointer = (name: string) => `p_${plainName(name)}`;
export const tensorMap = (name: string) => `m_${plainName(name)}`;
/**
 * May a host pass a null pointer for a buffer? States are zeros where nobody gave them, and need not be written where nobody wants them.
 */
export const isOptional = (buffer: TileBuffer): boolean => isRuns(buffer) && (
  buffer.role === 'initial' || buffer.role === 'final' || buffer.role === 'cotangent'
);
/** The condition, in C, under which a buffer is there; undefined: always. */
export const presence = (buffer: TileBuffer): string | undefined => (isOptional(buffer) ? `${pointer(buffer.name)} != nullptr` : undefined);

/** A buffer that is read, and what takes its place where a segment is all of its sequence. */
export interface Source {
  readonly buffer: TileBuffer;
  readonly whole?: TileBuffer;
}

export function sourceOf(module: TileModule, { buffer, whole }: { readonly buffer: string; readonly whole?: string }): Source {
  return { buffer: bufferNamed(module, buffer), ...(whole !== undefined && { whole: bufferNamed(module, whole) }) };
}

/** C text of the pointer to a cell. */
export function cellPointer(module: TileModule, { buffer, whole }: Source, place: Place): string {
  const of = (one: TileBuffer) => `${pointer(one.name)} + ${cellOffset(module, one, place)}`;
  return whole === undefined ? of(buffer) : `(is_whole ? ${of(whole)} : ${of(buffer)})`;
}

/** The condition, in C, under which a source is there; undefined: always. */
export function sourcePresence({ buffer, whole }: Source): string | undefined {
  const there = whole === undefined ? presence(buffer) : presence(whole);
  return whole === undefined || there === undefined ? there : `(!is_whole || ${there})`;
}

/**
 * Arguments in the plan's order and the matching C parameters. `boxes`: by buffer, the box in which the copy engine writes it, or reads it;
 * always, unless it is among those that are read in place `too`. What a part reads another may have written: nothing is promised of it.
 */
export function signature(
  cx: CudaContext, kernel: TileKernel, scratch: readonly string[], boxes: ReadonlyMap<string, readonly number[]> = new Map(),
  too: ReadonlySet<string> = new Set(),
): { args: PlanArg[]; parameters: string } {
  const touched = buffersOf(cx.module, kernel).filter(
    ({ buffer: { name }, access }) => access !== 'read' || !boxes.has(name) || too.has(name),
  );
  const stored = new Set(touched.filter(({ access }) => access !== 'read').map(({ buffer }) => buffer.name));
  const apart = touched.filter(({ buffer }) => isStrided(buffer)).map(({ buffer }) => buffer.name);
  const tables = tablesOf(kernel.domain);
  const args: PlanArg[] = [
    ...touched.map(({ buffer, access }): PlanArg => ({ kind: 'tensor', tensor: buffer.name, access })),
    ...[...boxes].map(([tensor, box]): PlanArg => (
      { kind: 'tensorMap', tensor, box, ...(stored.has(tensor) && { access: 'write' }) }
    )),
    ...scratch.map((tensor): PlanArg => ({ kind: 'tensor', tensor, access: 'readwrite' })),
    ...apart.map((tensor): PlanArg => ({ kind: 'strides', tensor })),
    ...tables.map((table): PlanArg => ({ kind: 'table', table })),
    { kind: 'dims', domain: kernel.domain.row },
  ];
  const parameters = [
    ...touched.map(({ buffer, access }) => {
      const type = `${access === 'read' ? 'const ' : ''}${elementType(buffer, cx.dtype)}*`;
      return `${type} ${access === 'readwrite' || cx.part !== undefined ? '' : '__restrict__ '}${pointer(buffer.name)}`;
    }),
    ...[...boxes.keys()].map((name) => `const __grid_constant__ TensorMap ${tensorMap(name)}`),
    ...scratch.map((name) => `float* ${pointer(name)}`),
    ...apart.map((name) => `const Strides ${strides(name)}`),
    ...tables.map((name) => `const int* ${cx.part === undefined ? '__restrict__ ' : ''}${name}`),
    'const Dims d',
  ].join(', ');
  return { args, parameters };
}
