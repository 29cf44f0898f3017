import { COL, ROW, runsIn, type Axis } from '../../../ir/common/axes.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel } from '../../../ir/tile/tile.js';
import type { Notes } from '../../notes.js';
import type { Place } from '../address.js';
import type { Code } from '../code.js';
import type { CudaContext } from '../lowered.js';
import type { Barriers } from './barriers.js';
import { spotAt, type Elements, type Neighbours, type Spot } from './element.js';
import type { Homes } from './homes.js';
import { productsText, type Running } from './product.js';
import { arrayAxes } from './storage.js';

export const THREADS = 256;

export interface PlainParts {
  readonly cx: CudaContext;
  readonly kernel: TileKernel;
  readonly code: Code;
  readonly homes: Homes;
  readonly elements: Elements;
  readonly barriers: Barriers;
  readonly notes: Notes;
  /** Blocks that share the split axis. */
  readonly blocks: number;
}

/** Writes the statements of a plain kernel: loops of the whole block over the elements of results. */
export interface PlainWriter extends PlainParts {
  axesOf(tile: TileId): readonly Axis[];
  /** The tile whose array holds the values of `tile`. */
  array(tile: TileId): TileId;
  /** A loop of the block over the elements of `axes`, `width` neighbours along the last at a time. */
  overElements(axes: readonly Axis[], width: number, body: (at: Map<Axis, string>) => void): void;
  /** Neighbours that can be computed together; a shift of rows takes them one by one. */
  widthOf(axes: readonly Axis[], value: TileId): number;
  /** Fused products that a value takes in, innermost first. */
  runningIn(tile: TileId): readonly Running[];
  products(running: readonly Running[], target: readonly Axis[], place: Place, finish: (spot: Spot) => void): void;
  /** An expression to an array or a register; `moves`: it shifts rows. */
  assign(tile: TileId, sources: readonly TileId[], place: Place, value: (spot: Spot) => Neighbours, moves?: boolean): void;
}

/** A user's axis may be called `row`. */
export function indexName(axis: Axis): string {
  const runs = runsIn(axis);
  if (runs !== undefined) return `n_${runs.of}`;
  return axis.endsWith("'") ? `j_${axis.slice(0, -1)}` : `i_${axis.replace('%', '_')}`;
}

/** Opens a loop of the threads, or of the warps, over so many. Parts run once: code that has to be fetched takes longer than a round. */
export function openOver({ code, cx }: Pick<PlainParts, 'code' | 'cx'>, total: number, width = 1): void {
  if (cx.part !== undefined) code.line('#pragma unroll 1');
  code.open(`for (int i = threadIdx.x${width === 1 ? '' : ` / ${width}`}; i < ${total}; i += ${THREADS / width})`);
}

export function createPlainWriter(parts: PlainParts): PlainWriter {
  const { kernel, code, homes, elements, barriers } = parts;
  const { size } = elements;
  const axesOf = (tile: TileId) => kernel.tiles[tile].axes;
  const array = (tile: TileId) => {
    const home = homes.get(tile);
    return home?.kind === 'same' ? home.as : tile;
  };

  const overElements = (axes: readonly Axis[], width: number, body: (at: Map<Axis, string>) => void) => {
    const total = axes.reduce((n, axis) => n * size(axis), 1) / width;
    openOver(parts, total);
    const at = new Map<Axis, string>();
    let rest = 1;
    for (const axis of [...axes].reverse()) {
      const last = axis === axes[axes.length - 1];
      const extent = last ? size(axis) / width : size(axis);
      const part = `${rest === 1 ? 'i' : `i / ${rest}`}${axis === axes[0] ? '' : ` % ${extent}`}`;
      const name = indexName(axis);
      code.line(`const int ${name} = ${last && width > 1 ? `${part} * ${width}` : part};`);
      at.set(axis, name);
      rest *= extent;
    }
    body(at);
    code.close();
  };
  const widthOf = (axes: readonly Axis[], value: TileId): number => {
    const last = axes[axes.length - 1];
    return last === undefined || size(last) % 4 !== 0 || ((last === ROW || last === COL) && shifts(homes, value)) ? 1 : 4;
  };

  const runningIn = (tile: TileId): readonly Running[] => {
    const home = homes.get(tile);
    if (home?.kind === 'fused') return [{ tile, op: home.op }];
    return home?.kind === 'inline' ? operandsOf(home.op).flatMap(runningIn) : [];
  };
  const products = (running: readonly Running[], target: readonly Axis[], place: Place, finish: (spot: Spot) => void) => {
    barriers.reads(running.flatMap(({ op }) => operandsOf(op)));
    barriers.stage();
    productsText({ kernel, code, homes, elements, stage: 'stage', barrier: () => barriers.force() }, running, target, place, finish);
  };
  const assign = (tile: TileId, sources: readonly TileId[], place: Place, value: (spot: Spot) => Neighbours, moves = false) => {
    const axes = arrayAxes(axesOf(tile));
    if (axes.length === 0) {
      barriers.reads(sources);
      code.open('');
      const text = value(spotAt(new Map(), place))('0');
      code.line(`t${tile} = ${text};`);
      code.close();
      return;
    }
    const running = sources.flatMap(runningIn);
    if (running.length > 0) {
      barriers.before(sources, [array(tile)]);
      products(running, axes, place, (spot) => elements.put(tile, spot, value(spot)));
      barriers.access(sources, [array(tile)]);
      return;
    }
    barriers.before(sources, [array(tile)]);
    const last = axes[axes.length - 1];
    const width = Math.min(...sources.map((source) => widthOf(axes, source)), size(last) % 4 === 0 && !(moves && last === ROW) ? 4 : 1);
    overElements(axes, width, (at) => {
      const spot = spotAt(at, place, last, width);
      elements.put(tile, spot, value(spot));
    });
    barriers.access(sources, [array(tile)]);
  };

  return { ...parts, axesOf, array, overElements, widthOf, runningIn, products, assign };
}

function shifts(homes: Homes, tile: TileId): boolean {
  const home = homes.get(tile);
  return home?.kind === 'inline' && (home.op.op === 'shift' || operandsOf(home.op).some((arg) => shifts(homes, arg)));
}
