import { COL, ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileKernel, TileModule, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { axisSize, bufferNamed, type Place } from '../address.js';
import { createCode } from '../code.js';
import { gridOf, sharedLimit, signature, type CudaContext, type LoweredKernel } from '../lowered.js';
import { outerLines } from '../prologue.js';
import { operandsOf } from '../../../ir/tile/operands.js';
import { usesOf, walk } from '../uses.js';
import { createArena } from './arena.js';
import { cellOf, copyArray, copyTile, isArray, loadCell, loadNow, storeCell } from './memory.js';
import { argument, opText } from './ops.js';
import { productText } from './product.js';
import { freeOperands } from './rewrite.js';
import { lowerWalk } from './walk.js';
import { createTeam, Unsupported, unsupported, type Parts, type Team } from './team.js';

export const RUNTIME = ['rt/base.cuh', 'rt/math.cuh', 'rt/tile.cuh', 'rt/mma.cuh', 'rt/solve.cuh', 'rt/decay.cuh', 'rt/pipe.cuh'];

/** Kernels around matrix products. `undefined`: not of the kind this lowering knows, the plain one takes it. */
export function lowerFragments(cx: CudaContext, kernel: TileKernel, why?: (reason: string) => void): LoweredKernel | undefined {
  try {
    if (!worthwhile(kernel)) unsupported('no matrix product');
    if (cx.dtype === 'f32') unsupported('f32 operands');
    if (cx.module.chunk !== 64) unsupported(`chunks of ${cx.module.chunk}`);
    if (kernel.inner !== 'head') unsupported('kernels over groups');
    switch (kernel.outer) {
      case 'chunk': return chunkKernel(cx, freeOperands(kernel, (axes) => tokenRow(axes)));
      case 'sequence': case 'segment': return lowerWalk(cx, freeOperands(kernel, (axes) => (kernel.split !== undefined && axes.includes(kernel.split) ? kernel.split : tokenRow(axes))));
      case 'once': return unsupported('kernels over everything');
    }
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    why?.(error.message);
    return undefined;
  }
}

/** Tokens are the rows of fragments outside of walks. */
export const tokenRow = (axes: readonly Axis[]): Axis | undefined => (axes.includes(ROW) ? ROW : axes.includes(COL) ? COL : undefined);

function worthwhile(kernel: TileKernel): boolean {
  let found = false;
  walk(kernel.body, (stmt) => {
    if (stmt.kind !== 'let') return;
    const { op } = stmt;
    if (op.op === 'dscore' || op.op === 'dscoreRow' || op.op === 'dscoreCol' || op.op === 'inverse') found = true;
    if (op.op === 'contract' && kernel.tiles[stmt.tile].axes.length === 2) found = true;
  });
  return found;
}

export function definitions(kernel: TileKernel): Map<TileId, TileOp> {
  const defs = new Map<TileId, TileOp>();
  for (const [tile, { op }] of usesOf(kernel).defs) if (op !== undefined) defs.set(tile, op);
  return defs;
}

/**
 * Products that a sum takes over as its accumulator: by the sum's tile, the product and the other term. `apart` says where the product had better
 * begin before the other term is there.
 */
export function fusedSums(kernel: TileKernel, body: readonly TileStmt[], apart: (sum: TileId, product: TileId, other: TileId) => boolean = () => false): Map<TileId, { product: TileId; other: TileId }> {
  const uses = usesOf(kernel);
  const sums = new Map<TileId, { product: TileId; other: TileId }>();
  const taken = new Set<TileId>();
  for (const stmt of body) {
    if (stmt.kind !== 'let' || stmt.op.op !== 'map' || stmt.op.fn !== 'add') continue;
    const [x, y] = stmt.op.args;
    for (const [product, other] of [[y, x], [x, y]]) {
      const def = uses.defs.get(product);
      if (sums.has(stmt.tile) || x === y || taken.has(product)) continue;
      if (apart(stmt.tile, product, other)) continue;
      if (def?.op?.op !== 'contract' || def.body !== body || uses.counts.get(product) !== 1 || kernel.tiles[product].axes.length !== 2) continue;
      sums.set(stmt.tile, { product, other });
      taken.add(product);
    }
  }
  return sums;
}

/** Writes one statement of straight code: not a load, not a loop. */
export function letText(team: Team, stmt: Extract<TileStmt, { kind: 'let' }>, place: Place, sums: ReturnType<typeof fusedSums>): void {
  const sum = sums.get(stmt.tile);
  const { op, tile } = stmt;
  if (sum !== undefined) {
    const product = team.options.defs.get(sum.product);
    if (product?.op !== 'contract') throw new Error('a fused sum without its product');
    productText(team, tile, product, (frag) => argument(team, sum.other, 'matrix', frag));
    if (team.options.exported.has(tile)) team.t16(tile);
    return;
  }
  if (op.op === 'load') throw new Error('loads are written elsewhere');
  if ([...sums.values()].some((s) => s.product === tile)) return;
  opText(team, tile, op, place);
}

/** Prologue every kernel shares. */
export function head(cx: CudaContext, kernel: TileKernel, blocks: number): string[] {
  const V = kernel.split === undefined ? 0 : axisSize(cx.module, kernel.split);
  return [
    `const int outer = ${blocks === 1 ? 'blockIdx.x' : `blockIdx.x / ${blocks}`};`,
    ...(kernel.split === undefined ? [] : [`const int v0 = ${blocks === 1 ? '0' : `(int)(blockIdx.x % ${blocks}) * 64`};`, `const int v_here = ${V % 64 === 0 ? '64' : `(${V} - v0 < 64 ? ${V} - v0 : 64)`};`]),
    'const int head = blockIdx.y, group = head / (d.heads / d.groups);',
  ];
}

export function offsetLines(layout: { readonly offsets: ReadonlyMap<string, number> }): string[] {
  const list = [...layout.offsets].map(([name, offset]) => `${name} = ${offset}`);
  return list.length === 0 ? [] : [`constexpr u32 ${list.join(', ')};`];
}

/** Shared memory up to which a multiprocessor holds three blocks of one warpgroup, and two blocks of two. */
const LIGHT = 72 * 1024;
const MEDIUM = 113 * 1024;

/**
 * The more memory a block takes, the fewer fit on a multiprocessor, and the more warpgroups share its fragments: latencies are hidden by other
 * blocks or by other warps of the same one, and each warp has less straight code to fetch.
 */
function chunkKernel(cx: CudaContext, kernel: TileKernel): LoweredKernel {
  const one = lowerChunk(cx, kernel, 1, Infinity);
  const wide = [...cx.module.sizes.values()].every((size) => size % 64 === 0);
  if (!wide || one.sharedBytes <= LIGHT) return fitting(cx, one) ?? unsupported(`${one.sharedBytes} bytes of shared memory`);
  const two = lowerChunk(cx, kernel, 2, Infinity);
  if (two.sharedBytes <= MEDIUM) return two;
  const budgets = [Infinity, 160, 128, 112, 96, 80, 64].map((kilobytes) => kilobytes * 1024);
  for (const budget of budgets) {
    const found = fitting(cx, lowerChunk(cx, kernel, 4, budget));
    if (found !== undefined) return found;
  }
  return unsupported(`${lowerChunk(cx, kernel, 4, 0).sharedBytes} bytes of shared memory`);
}

function fitting(cx: CudaContext, kernel: LoweredKernel): LoweredKernel | undefined {
  return kernel.sharedBytes <= sharedLimit(cx.target) ? kernel : undefined;
}

/** `budget`: bytes that loaded tiles may take at a time; what does not fit at the start is loaded when others are done with. */
function lowerChunk(cx: CudaContext, kernel: TileKernel, parts: Parts, budget: number): LoweredKernel {
  if (kernel.split !== undefined) unsupported('split chunk kernels');
  const defs = definitions(kernel);
  const body = createCode();
  const arena = createArena('M');
  const team = createTeam({ cx, kernel, code: body, arena, barrier: 1, parts, defs, rowOf: tokenRow, stage: { address: 'base', pointer: 'basep' }, exported: new Set() });
  const place: Place = { sequence: 'sequence', chunk: 'chunk', first: 'first', length: 'length', head: 'head', group: 'group' };
  const sums = fusedSums(kernel, kernel.body);
  const copies = kernel.body.flatMap((stmt): Copy[] => {
    if (stmt.kind !== 'let' || stmt.op.op !== 'load') return [];
    const { tile } = stmt;
    const cell = loadCell(cx, stmt.op, place, undefined);
    const [rows, cols] = cell.axes;
    if (cell.half && cell.axes.length === 2) return [{ tile, bytes: team.pad(rows) * team.pad(cols) * 2, begin: () => copyTile(team, tile, cell, false, undefined) }];
    if (isArray(team, cell)) return [{ tile, bytes: team.pad(rows) * (team.pad(cols) + 8) * 4, begin: () => copyArray(team, tile, cell) }];
    return [];
  });
  const due = copySchedule(kernel.body, copies, budget);
  for (const [at, stmt] of kernel.body.entries()) {
    const now = due.get(at) ?? [];
    // Tiles that come late take the place of others, whose readers have to be done.
    if (now.length > 0 && at > 0) team.sync();
    for (const copy of now) copy.begin();
    switch (stmt.kind) {
      case 'let': {
        if (stmt.op.op !== 'load') letText(team, stmt, place, sums);
        else {
          const cell = loadCell(cx, stmt.op, place, undefined);
          if (!(cell.half && cell.axes.length === 2) && !isArray(team, cell)) loadNow(team, stmt.tile, cell);
        }
        break;
      }
      case 'store': {
        const buffer = bufferNamed(cx.module, stmt.buffer);
        storeCell(team, stmt.value, cellOf(cx, buffer, buffer.outer === 'token' ? ROW : undefined, place, undefined), undefined);
        break;
      }
      case 'loop': return unsupported('loops in chunk kernels');
      default: stmt satisfies never;
    }
  }
  team.finish();
  const layout = arena.layout();
  const { args, parameters } = signature(cx, kernel, []);
  const code = createCode();
  code.line(`// ${kernel.doc}`);
  code.open(`extern "C" __global__ void __launch_bounds__(${team.threads}, ${layout.fixedBytes + 1024 <= MEDIUM && parts > 1 ? 2 : 1}) ${kernel.name}(${parameters})`);
  for (const line of offsetLines(layout)) code.line(line);
  for (const line of head(cx, kernel, 1)) code.line(line);
  code.line('const int t = threadIdx.x;');
  if (parts > 1) code.line('const int part = __shfl_sync(~0u, t >> 7, 0);');
  outerLines(code, kernel, { head: 'head', group: 'group' });
  code.line('const u32 base = (saddr(smem) + 1023) & ~1023u;');
  code.line('u8* const basep = smem + (base - saddr(smem));');
  code.line('(void)group, (void)basep;');
  for (const line of body.text().trimEnd().split('\n')) code.line(line);
  code.close();
  const sharedBytes = layout.fixedBytes + 1024;
  return { text: code.text(), runtime: RUNTIME, block: team.threads, sharedBytes, grid: gridOf(kernel, 1), args, scratch: [] };
}

interface Copy {
  readonly tile: TileId;
  readonly bytes: number;
  begin(): void;
}

/** When to begin each copy, by position in the body: as early as the budget allows, at its first use at the latest. */
function copySchedule(body: readonly TileStmt[], copies: readonly Copy[], budget: number): ReadonlyMap<number, readonly Copy[]> {
  const spans = new Map<TileId, { first: number; last: number }>();
  const sources = new Map<TileId, TileId>();
  const use = (id: TileId, at: number): void => {
    const tile = sources.get(id) ?? id;
    spans.set(tile, { first: spans.get(tile)?.first ?? at, last: at });
  };
  body.forEach((stmt, at) => {
    if (stmt.kind === 'store') use(stmt.value, at);
    if (stmt.kind !== 'let') return;
    // A swap only renames.
    if (stmt.op.op === 'swap') sources.set(stmt.tile, sources.get(stmt.op.arg) ?? stmt.op.arg);
    else for (const arg of operandsOf(stmt.op)) use(arg, at);
  });
  const spanOf = ({ tile }: Copy) => spans.get(tile) ?? { first: 0, last: 0 };
  const due = new Map<number, Copy[]>();
  const begun: Copy[] = [];
  let at = 0;
  for (const copy of [...copies].sort((a, b) => spanOf(a).first - spanOf(b).first)) {
    const taken = () => begun.filter((other) => spanOf(other).last >= at).reduce((sum, { bytes }) => sum + bytes, 0);
    while (at < spanOf(copy).first && taken() + copy.bytes > budget) at++;
    due.set(at, [...(due.get(at) ?? []), copy]);
    begun.push(copy);
  }
  return due;
}

/** Size of the split axis in blocks of 64. */
export function slabs(module: TileModule, split: Axis): number {
  return Math.ceil(axisSize(module, split) / 64);
}
