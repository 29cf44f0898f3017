import { COL, ROW, sameAxes, type Axis } from '../../../ir/common/axes.js';
import { loadedBuffers, storedBuffers } from '../../../ir/tile/buffers.js';
import { hasRole, operandsOf } from '../../../ir/tile/facts.js';
import type { TileKernel, TileLoop, TileModule } from '../../../ir/tile/tile.js';
import { bufferNamed, type Place } from '../address.js';
import { loopCount, openLoop } from '../prologue.js';
import { createElements, spotAt, type ElementOptions } from './element.js';
import type { Home } from './homes.js';
import { THREADS, type PlainWriter } from './writer.js';

/** Iterations whose loads are under way at once. */
const AHEAD = 16;

/**
 * The axes of a loop whose elements have nothing to do with each other, from one iteration to the next either: each thread may go through
 * all iterations of its own. undefined: they meet.
 */
export function elementAxes(module: TileModule, kernel: TileKernel, loop: TileLoop): readonly Axis[] | undefined {
  const axes = loop.carry.length === 0 ? [] : kernel.tiles[loop.carry[0].tile].axes;
  const within = (other: readonly Axis[]): boolean => other.every((axis) => axes.includes(axis));
  if (axes.length === 0 || axes.includes(ROW) || axes.includes(COL) || kernel.split !== undefined) return undefined;
  if (loop.only !== undefined || loop.while !== undefined) return undefined;
  if (loop.carry.some(({ tile, next }) => [tile, next].some((one) => !sameAxes(kernel.tiles[one].axes, axes)))) return undefined;
  const stored = storedBuffers(kernel.body);
  if (loadedBuffers(loop.body).some((name) => stored.includes(name))) return undefined;
  const apart = loop.body.every((stmt) => {
    switch (stmt.kind) {
      case 'loop': return false;
      case 'store': return stmt.only === undefined && stmt.by === undefined && sameAxes(bufferNamed(module, stmt.buffer).axes, axes);
      case 'let': return hasRole(stmt.op, 'free', 'load', 'pointwise') && stmt.op.op !== 'draw' && within(kernel.tiles[stmt.tile].axes);
    }
  });
  return apart ? axes : undefined;
}

/** Neighbours that a thread takes at once: as many as it takes for each to go through the iterations once. */
function widthFor(elements: number, last: number): number {
  return [1, 2].find((width) => elements / width <= THREADS && last % width === 0) ?? (last % 4 === 0 ? 4 : 1);
}

/** Writes such a loop: the elements outside, the iterations inside, and no barrier between them. */
export function elementLoop(
  w: PlainWriter, options: ElementOptions, loop: TileLoop, axes: readonly Axis[], place: Place, depth: number,
): void {
  const { cx: { module }, kernel, code, barriers } = w;
  const carried = loop.carry.map(({ tile }): [number, Home] => [tile, { kind: 'running' }]);
  const own = loop.body.flatMap((stmt): [number, Home][] => (stmt.kind === 'let' ? [[stmt.tile, { kind: 'inline', op: stmt.op }]] : []));
  const elements = createElements({ ...options, homes: new Map([...options.homes, ...own, ...carried]) });
  const tiles = loop.carry.map(({ tile }) => tile);
  const made = new Set([...tiles, ...own.map(([tile]) => tile)]);
  const read = [...loop.carry.map(({ init }) => init), ...loop.body.flatMap((stmt) => (stmt.kind === 'let' ? operandsOf(stmt.op) : []))];
  const sources = read.filter((tile) => !made.has(tile));
  barriers.before(sources, tiles);
  const last = axes[axes.length - 1];
  const width = widthFor(axes.reduce((n, axis) => n * elements.size(axis), 1), elements.size(last));
  const each = (line: (e: string) => string): void => code.line(`UNROLL for (int e = 0; e < ${width}; ++e) ${line('e')}`);
  w.overElements(axes, width, (at) => {
    const outside = spotAt(at, place, last, width);
    for (const { tile, init } of loop.carry) {
      const value = w.elements.value(init, outside);
      code.line(`float c${tile}[${width}];`);
      each((e) => `c${tile}[${e}] = ${value(e)};`);
    }
    for (const text of w.notes.loop(loop)) code.line(text);
    // Loops whose end is looked up before each round are not unrolled.
    code.line(`const int rounds${depth} = ${loopCount(kernel, loop)};`);
    code.line(`#pragma unroll ${AHEAD}`);
    const inside = openLoop(code, kernel, loop, `n${depth}`, module.chunk, place, `rounds${depth}`);
    const spot = spotAt(at, inside, last, width, new Map(tiles.map((tile) => [tile, (e) => `c${tile}[${e}]`])));
    for (const stmt of loop.body) {
      if (stmt.kind !== 'store') continue;
      for (const text of w.notes.store(stmt)) code.line(text);
      elements.store(stmt.buffer, spot, elements.value(stmt.value, spot));
    }
    for (const { tile, next } of loop.carry) {
      for (const text of w.notes.tile(next)) code.line(text);
      const value = elements.value(next, spot);
      code.line(`float next${tile}[${width}];`);
      each((e) => `next${tile}[${e}] = ${value(e)};`);
    }
    for (const tile of tiles) each((e) => `c${tile}[${e}] = next${tile}[${e}];`);
    code.close();
    for (const tile of tiles) w.elements.put(tile, outside, (e) => `c${tile}[${e}]`);
  });
  barriers.access(sources, tiles);
}
