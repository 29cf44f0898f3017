import { COL, ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileKernel, TileLet, TileModule, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { axisSize } from '../../describe.js';
import { uncommented } from '../../notes.js';
import type { Place } from '../address.js';
import type { Piece } from '../instructions/pieces.js';
import type { CudaContext } from '../lowered.js';
import { usesOf } from '../uses.js';
import { opText } from './ops.js';
import { productText } from './product.js';
import { argument } from './values.js';
import type { Team } from './team.js';

const RUNTIME = ['rt/base.cuh', 'rt/math.cuh', 'rt/ptx.cuh', 'rt/tile.cuh', 'rt/mma.cuh', 'rt/solve.cuh', 'rt/decay.cuh'];

/** Files of templates/cuda that the text of a kernel of fragments needs. */
export function runtimeOf(text: string): readonly string[] {
  const code = uncommented(text);
  const called = ['fit', 'ragged', 'gather', 'runs', 'draw', 'near'].filter((name) => new RegExp(`\\b${name}[_(]`).test(code));
  const piped = /\bpipe_/.test(code) ? ['rt/wgmma.cuh', 'rt/pipe.cuh'] : [];
  return [...RUNTIME, ...called.map((name) => `rt/${name}.cuh`), ...piped];
}

/** Tokens are the rows of fragments outside of walks. */
export const tokenRow = (axes: readonly Axis[]): Axis | undefined => (axes.includes(ROW) ? ROW : axes.includes(COL) ? COL : undefined);

export function definitions(kernel: TileKernel): Map<TileId, TileOp> {
  const defs = new Map<TileId, TileOp>();
  for (const [tile, { op }] of usesOf(kernel).defs) if (op !== undefined) defs.set(tile, op);
  return defs;
}

/** A sum of a product and another term. */
export interface FusedSum {
  readonly product: TileId;
  readonly other: TileId;
  /** Nobody else reads the other term. */
  readonly alone: boolean;
}

/**
 * Products that a sum takes over as its accumulator: by the sum's tile, the product and the other term. `apart` says where the product had
 * better begin before the other term is there.
 */
export function fusedSums(
  kernel: TileKernel, body: readonly TileStmt[], apart: (sum: TileId, product: TileId, other: TileId) => boolean = () => false,
): Map<TileId, FusedSum> {
  const uses = usesOf(kernel);
  const sums = new Map<TileId, FusedSum>();
  const taken = new Set<TileId>();
  for (const stmt of body) {
    if (stmt.kind !== 'let' || stmt.op.op !== 'map' || stmt.op.fn !== 'add') continue;
    const [x, y] = stmt.op.args;
    for (const [product, other] of [[y, x], [x, y]]) {
      const def = uses.defs.get(product);
      if (sums.has(stmt.tile) || x === y || taken.has(product)) continue;
      if (apart(stmt.tile, product, other)) continue;
      if (
        def?.op?.op !== 'contract' || def.body !== body || uses.counts.get(product) !== 1 || kernel.tiles[product].axes.length !== 2
      ) continue;
      sums.set(stmt.tile, { product, other, alone: uses.counts.get(other) === 1 && uses.defs.get(other)?.body === body });
      taken.add(product);
    }
  }
  return sums;
}

/** Writes one statement of straight code: not a load, not a loop. */
export function letText(team: Team, stmt: TileLet, place: Place, sums: ReturnType<typeof fusedSums>): void {
  team.begin();
  const sum = sums.get(stmt.tile);
  const { op, tile } = stmt;
  if (sum !== undefined) {
    const product = team.options.defs.get(sum.product);
    if (product?.op !== 'contract') throw new Error('a fused sum without its product');
    team.note(tile);
    productText(team, tile, product, (frag) => argument(team, sum.other, 'matrix', frag), sum.alone ? sum.other : undefined);
    if (team.options.exported.has(tile)) team.t16(tile);
    return;
  }
  if (op.op === 'load' || op.op === 'gather') throw new Error('loads are written elsewhere');
  if ([...sums.values()].some((s) => s.product === tile)) return;
  team.note(tile);
  opText(team, tile, op, place);
}

/** Prologue every kernel shares; `width`: columns of the split axis that a block has. */
export function head(cx: CudaContext, kernel: TileKernel, blocks: number, width = 64): string[] {
  const V = kernel.split === undefined ? 0 : axisSize(cx.module, kernel.split);
  return [
    `const int outer = ${blocks === 1 ? 'blockIdx.x' : `blockIdx.x / ${blocks}`};`,
    ...(kernel.split === undefined ? [] : [
      `const int v0 = ${blocks === 1 ? '0' : `(int)(blockIdx.x % ${blocks}) * ${width}`};`,
      `const int v_here = ${V % width === 0 ? width : `(${V} - v0 < ${width} ? ${V} - v0 : ${width})`};`,
    ]),
    ...(kernel.inner === 'head' ? ['const int head = blockIdx.y, group = head / (d.heads / d.groups);'] : []),
  ];
}

export function offsetLines(offsets: ReadonlyMap<Piece, number>): string[] {
  const list = [...offsets].map(([{ name }, offset]) => `${name} = ${offset}`);
  return list.length === 0 ? [] : [`constexpr u32 ${list.join(', ')};`];
}

/** Size of the split axis in blocks of so much of it. */
export function slabs(module: TileModule, split: Axis, width: number): number {
  return Math.ceil(axisSize(module, split) / width);
}
