import { swapAxis, type Axis } from '../../../ir/common/axes.js';
import { hasRole } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel } from '../../../ir/tile/tile.js';
import type { Place } from '../address.js';
import type { Code } from '../code.js';
import { spotAt, type Elements, type Neighbours } from './element.js';
import { arrayAxes } from './storage.js';
import { productAxes, type Homes, type Product, type ProductAxes } from './homes.js';

const THREADS = 256;

/** How the threads of a block share out a product [M, N]: each has `tm` x `tn` elements, all have `rows` x `cols` threads at a time. */
export interface Shape {
  readonly tm: number;
  readonly tn: number;
  readonly rows: number;
  readonly cols: number;
  /** Steps of the summed axis per stage. */
  readonly ks: number;
}

/** `products`: how many run into the same result; each has accumulators of its own. */
export function shapeOf(M: number, N: number, K: number, products: number): Shape {
  const options = [[8, 8], [8, 4], [4, 8], [4, 4], [4, 2], [2, 4], [2, 2], [2, 1], [1, 1]].filter(([tm, tn]) => tm * tn * products <= 96);
  const tiles = ([tm, tn]: readonly number[]) => Math.ceil(M / tm) * Math.ceil(N / tn);
  const [tm, tn] = options.find((option) => tiles(option) >= THREADS) ?? [1, 1];
  // A warp of 4 x 8 threads reads 64 and 128 bytes per step.
  const cols = Math.min(Math.max(8, 2 ** Math.ceil(Math.log2(N / tn))), 32);
  const rows = THREADS / cols;
  const ks = tm * rows + tn * cols <= 128 && K % 32 === 0 ? 32 : 16;
  return { tm, tn, rows, cols, ks };
}

/** Floats of the two stages. */
export function stagingFloats({ tm, tn, rows, cols, ks }: Shape): number {
  return 2 * ks * (tm * rows + 4 + tn * cols + 4);
}

export interface ProductWriter {
  readonly kernel: TileKernel;
  readonly code: Code;
  readonly homes: Homes;
  readonly elements: Elements;
  /** Name of the pointer to the stages. */
  readonly stage: string;
  barrier(): void;
}

/** A product and the axis names of its result as the reader has them. */
export interface Running {
  readonly tile: TileId;
  readonly op: Product;
}

/** Axes of the result, columns last as the target has them. */
export function orient(kernel: TileKernel, op: Product, target: readonly Axis[]): ProductAxes & { readonly a: TileId; readonly b: TileId } {
  const axes = productAxes(kernel, op);
  if (axes === undefined) throw new Error(`${kernel.name}: no product of matrices`);
  const last = target[target.length - 1];
  return axes.m === last ? { m: axes.n, n: axes.m, ka: axes.kb, kb: axes.ka, a: op.b, b: op.a } : { ...axes, a: op.a, b: op.b };
}

/**
 * Runs products with results over the same two axes, then `finish` for every piece of `width` neighbours of the result: operands go through
 * shared memory in slabs along the summed axis, evaluated from their expressions on the way; every thread accumulates outer products in
 * registers.
 */
export function productsText(
  w: ProductWriter, running: readonly Running[], target: readonly Axis[], place: Place, finish: (spot: ReturnType<typeof spotAt>) => void,
): void {
  const { code, elements, kernel } = w;
  const first = orient(kernel, running[0].op, target);
  const [M, N] = [elements.size(first.m), elements.size(first.n)];
  const shapes = running.map(({ op }) => shapeOf(M, N, elements.size(orient(kernel, op, target).ka), running.length));
  const { tm, tn, rows, cols } = shapes[0];
  const [BM, BN] = [tm * rows, tn * cols];
  const [mp, np] = [Math.min(tm, 4), Math.min(tn, 4)];
  code.open('');
  code.line(
    `const int tn = threadIdx.x % 8 + threadIdx.x / 32 % ${cols / 8} * 8, `
    + `tm = threadIdx.x / 8 % 4 + threadIdx.x / ${32 * (cols / 8)} * 4;`,
  );
  const blocked = [
    M > BM ? `for (int from_m = 0; from_m < ${M}; from_m += ${BM})` : 'const int from_m = 0; ',
    N > BN ? `for (int from_n = 0; from_n < ${N}; from_n += ${BN})` : 'const int from_n = 0; ',
  ];
  for (const text of blocked) {
    if (text.startsWith('for')) code.open(text);
    else code.line(text.trim());
  }
  running.forEach(({ tile, op }, i) => {
    const { m, n, ka, kb, a, b } = orient(kernel, op, target);
    const { ks } = shapes[i];
    const K = elements.size(ka);
    const [AP, BP] = [BM + 4, BN + 4];
    const half = ks * (AP + BP);
    code.line(`float acc${tile}[${tm}][${tn}];`);
    code.line(`UNROLL for (int i = 0; i < ${tm}; ++i) UNROLL for (int j = 0; j < ${tn}; ++j) acc${tile}[i][j] = 0.f;`);
    const slabs = [
      slabOf(w, a, { name: `a${tile}`, own: m, summed: ka, size: M, K, ks, width: BM, pitch: AP, origin: 'from_m' }),
      slabOf(w, b, { name: `b${tile}`, own: n, summed: kb, size: N, K, ks, width: BN, pitch: BP, origin: 'from_n' }),
    ];
    // Fetched before the products of the slab before, put down after them: the loads take their time meanwhile.
    for (const slab of slabs) code.line(`float ${slab.name}[${slab.turns}][${slab.vec}];`);
    code.open(`auto fetch${tile} = [&](int k0)`);
    for (const slab of slabs) fetchText(w, slab, place);
    code.close(';');
    code.open(`auto put${tile} = [&](float* to)`);
    putText(w, slabs[0], 'to');
    putText(w, slabs[1], `to + ${ks * AP}`);
    code.close(';');
    code.line(`fetch${tile}(0);`);
    code.line(`put${tile}(${w.stage});`);
    w.barrier();
    code.line('#pragma unroll 1');
    code.open(`for (int k0 = 0, s = 0; k0 < ${K}; k0 += ${ks}, s ^= 1)`);
    code.line(`if (k0 + ${ks} < ${K}) fetch${tile}(k0 + ${ks});`);
    code.line(
      `accumulate<${ks}, ${AP}, ${BP}, ${rows * mp}, ${cols * np}>(acc${tile}, `
      + `${w.stage} + s * ${half} + tm * ${mp}, ${w.stage} + s * ${half} + ${ks * AP} + tn * ${np});`,
    );
    code.line(`if (k0 + ${ks} < ${K}) put${tile}(${w.stage} + (s ^ 1) * ${half});`);
    w.barrier();
    code.close();
  });
  const exactRows = M % BM === 0;
  const exactColumns = N % BN === 0;
  // Loops over pieces must be unrolled: accumulators are registers.
  code.open(`UNROLL for (int i = 0; i < ${tm}; ++i)`);
  code.line(`const int m = from_m + i / ${mp} * ${rows * mp} + tm * ${mp} + i % ${mp};`);
  code.open(`UNROLL for (int q = 0; q < ${tn / np}; ++q)`);
  code.line(`const int n = from_n + q * ${cols * np} + tn * ${np};`);
  const wide = N % np === 0 ? np : 1;
  const guards = [...(exactRows ? [] : [`m < ${M}`]), ...(exactColumns ? [] : [`n < ${N}`])];
  if (guards.length > 0) code.open(`if (${guards.join(' && ')})`);
  const finishAt = (column: string, width: number, offset: string) => {
    const sums = new Map(running.map(({ tile }): [TileId, Neighbours] => [tile, (e) => `acc${tile}[i][q * ${np} + ${offset}${e}]`]));
    finish(spotAt(new Map([[first.m, 'm'], [first.n, column]]), place, first.n, width, sums));
  };
  if (wide === np) finishAt('n', np, '');
  else {
    // Columns beyond the last one lie in the same piece.
    code.open(`UNROLL for (int c = 0; c < ${np}; ++c) if (n + c < ${N})`);
    finishAt('(n + c)', 1, 'c + ');
    code.close();
  }
  if (guards.length > 0) code.close();
  code.close();
  code.close();
  for (const text of blocked) if (text.startsWith('for')) code.close();
  code.close();
}

interface SlabShape {
  /** Of the registers it waits in. */
  readonly name: string;
  /** The operand's own axis and the summed one. */
  readonly own: Axis;
  readonly summed: Axis;
  readonly size: number;
  readonly K: number;
  readonly ks: number;
  /** Elements of the own axis per stage, and floats between rows of the stage. */
  readonly width: number;
  readonly pitch: number;
  readonly origin: string;
}

/** k0..k0 + ks of an operand on its way to [k][own]. Threads are neighbours along the axis that is contiguous in the source. */
interface Slab extends SlabShape {
  readonly operand: TileId;
  readonly alongK: boolean;
  readonly vec: number;
  /** Pieces in all and per thread. */
  readonly pieces: number;
  readonly turns: number;
}

function slabOf(w: ProductWriter, operand: TileId, shape: SlabShape): Slab {
  const { summed, size, K, ks, width } = shape;
  const alongK = contiguousAxis(w, operand) === summed;
  const vec = (alongK ? K : size) % 4 === 0 ? 4 : 1;
  const pieces = (width * ks) / vec;
  return { ...shape, operand, alongK, vec, pieces, turns: Math.ceil(pieces / THREADS) };
}

function overPieces(w: ProductWriter, slab: Slab, body: () => void): void {
  const { code } = w;
  const { alongK, vec, ks, width, pieces, turns } = slab;
  code.open(`UNROLL for (int u = 0; u < ${turns}; ++u)`);
  code.line(`const int p = u * ${THREADS} + threadIdx.x;`);
  if (alongK) code.line(`const int k = p % ${ks / vec} * ${vec}, x = p / ${ks / vec};`);
  else code.line(`const int x = p % ${width / vec} * ${vec}, k = p / ${width / vec};`);
  if (pieces % THREADS !== 0) code.open(`if (p < ${pieces})`);
  body();
  if (pieces % THREADS !== 0) code.close();
  code.close();
}

function fetchText(w: ProductWriter, slab: Slab, place: Place): void {
  const { code, elements } = w;
  const { name, operand, own, summed, size, K, ks, width, origin, alongK, vec } = slab;
  overPieces(w, slab, () => {
    const guards = [...(size % width === 0 ? [] : [`${origin} + x < ${size}`]), ...(K % ks === 0 ? [] : [`k0 + k < ${K}`])];
    if (guards.length > 0) {
      code.line(`zeron<${vec}>(${name}[u]);`);
      code.open(`if (${guards.join(' && ')})`);
    }
    const spot = spotAt(new Map([[own, `(${origin} + x)`], [summed, '(k0 + k)']]), place, alongK ? summed : own, vec);
    const value = elements.value(operand, spot);
    if (vec === 1) code.line(`${name}[u][0] = ${value('0')};`);
    else code.line(`UNROLL for (int e = 0; e < ${vec}; ++e) ${name}[u][e] = ${value('e')};`);
    if (guards.length > 0) code.close();
  });
}

function putText(w: ProductWriter, slab: Slab, to: string): void {
  const { name, pitch, alongK, vec } = slab;
  overPieces(w, slab, () => {
    if (alongK) w.code.line(`UNROLL for (int e = 0; e < ${vec}; ++e) (${to})[(k + e) * ${pitch} + x] = ${name}[u][e];`);
    else w.code.line(`stn<${vec}>(${to} + k * ${pitch} + x, ${name}[u]);`);
  });
}

/** The axis along which the first matrix that an expression reads lies in memory. */
function contiguousAxis(w: ProductWriter, tile: TileId): Axis | undefined {
  const home = w.homes.get(tile);
  const { axes } = w.kernel.tiles[tile];
  if (home?.kind !== 'inline') return axes.length < 2 ? undefined : arrayAxes(axes)[axes.length - 1];
  const { op } = home;
  if (!hasRole(op, 'load', 'pointwise', 'move')) return undefined;
  switch (op.op) {
    case 'load': case 'gather': return axes.length < 2 ? undefined : axes[axes.length - 1];
    case 'map': return op.args.map((arg) => contiguousAxis(w, arg)).find((axis) => axis !== undefined);
    case 'keep': case 'round': case 'mask': case 'shift': case 'put': return contiguousAxis(w, op.arg);
    case 'swap': {
      const inner = contiguousAxis(w, op.arg);
      return inner === undefined ? undefined : swapAxis(op.axes)(inner);
    }
    case 'identity': case 'draw': case 'pick': case 'take': return undefined;
  }
}
