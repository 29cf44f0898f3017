import { COL, ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileKernel, TileLoop, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { axisSize, bufferNamed, cellOffset, outerStride, type Place } from '../address.js';
import { createCode, floatLiteral } from '../code.js';
import { elementType, gridOf, pointer, signature, type CudaContext, type LoweredKernel } from '../lowered.js';
import { chunkLines, outerLines } from '../prologue.js';
import { scalarText } from '../scalar.js';
import { copiesInOrder } from '../simt/lower.js';
import { usesOf, walk } from '../uses.js';

const WARPS = 8;
const LANES = 32;
/** Chunks asked for ahead: 4.3 TB/s times the latency of memory is some 3 MB in flight. */
const AHEAD = 4;

/**
 * Elementwise kernels: a lane owns a channel, a warp an eighth of the rows of a chunk, everything in registers. A recurrence is a local scan,
 * an exchange of (decay, value) between the eight warps, and a second sweep; the loads of later chunks are in flight meanwhile.
 * `undefined`: not of this kind.
 */
export function lowerStream(cx: CudaContext, kernel: TileKernel): LoweredKernel | undefined {
  const { module } = cx;
  const rows = module.chunk / WARPS;
  if (kernel.outer === 'once' || kernel.inner !== 'head' || !Number.isInteger(rows)) return undefined;
  const channels: Axis[] = [];
  let fits = true;
  walk(kernel.body, (stmt, depth) => {
    if (stmt.kind === 'loop') fits &&= stmt.over === 'chunks' && depth === 0;
    if (stmt.kind !== 'let') return;
    switch (stmt.op.op) {
      case 'load': fits &&= stmt.op.rows !== 'col' && stmt.op.rows !== 'one'; break;
      case 'literal': case 'zeros': case 'head': case 'heads': case 'keep': case 'map': case 'recur': case 'pick': case 'shift': break;
      case 'reduce': case 'contract': case 'compose': case 'swap': case 'cumsum': case 'mask': case 'dscore': case 'dscoreRow': case 'dscoreCol': case 'inverse':
        fits = false;
        break;
      default: stmt.op satisfies never;
    }
    for (const axis of kernel.tiles[stmt.tile].axes) if (axis !== ROW && !channels.includes(axis)) channels.push(axis);
  });
  const loops = kernel.body.filter((stmt): stmt is TileLoop => stmt.kind === 'loop');
  if (!fits || loops.length > 1 || channels.includes(COL) || (kernel.outer === 'chunk') !== (loops.length === 0)) return undefined;
  const total = channels.reduce((n, axis) => n * axisSize(module, axis), 1);
  if (total < 8) return undefined;
  const uses = usesOf(kernel);
  const code = createCode();
  const hasRow = (tile: TileId) => kernel.tiles[tile].axes.includes(ROW);

  /** Index of the channel in a cell with these axes. */
  const channelIndex = (axes: readonly Axis[]): string => {
    if (axes.length === 0) return '0';
    const part = (axis: Axis) => {
      const at = channels.indexOf(axis);
      const below = channels.slice(at + 1).reduce((n, later) => n * axisSize(module, later), 1);
      const text = below === 1 ? 'channel' : `channel / ${below}`;
      return at === 0 ? `(${text})` : `(${text} % ${axisSize(module, axis)})`;
    };
    return axes.slice(1).reduce((text, axis) => `(${text} * ${axisSize(module, axis)} + ${part(axis)})`, part(axes[0]));
  };
  const storable = (name: string) => bufferNamed(module, name).axes.length === channels.length;
  let stores = true;
  walk(kernel.body, (stmt) => {
    if (stmt.kind === 'store') stores &&= storable(stmt.buffer);
  });
  if (!stores) return undefined;

  const ahead: Extract<TileStmt, { kind: 'let' }>[] = [];
  const loop = loops[0];
  if (loop !== undefined) for (const stmt of loop.body) if (stmt.kind === 'let' && stmt.op.op === 'load' && hasRow(stmt.tile)) ahead.push(stmt);
  let exchanges = 0;
  const value = (tile: TileId) => (hasRow(tile) ? `t${tile}[j]` : `t${tile}`);
  const declare = (tile: TileId) => code.line(hasRow(tile) ? `float t${tile}[${rows}];` : `float t${tile};`);
  const each = (tile: TileId, text: string) => {
    declare(tile);
    code.line(hasRow(tile) ? `UNROLL for (int j = 0; j < ${rows}; ++j) t${tile}[j] = ${text};` : `t${tile} = ${text};`);
  };
  const slot = (floats: number) => {
    const at = exchanges;
    exchanges += floats * LANES * 2;
    return `(sm + ${at} + (n & 1) * ${floats * LANES})`;
  };

  const loadText = (op: Extract<TileOp, { op: 'load' }>, place: Place, chunkOf: string): string => {
    const buffer = bufferNamed(module, op.buffer);
    const name = pointer(buffer.name);
    if (buffer.outer !== 'token') return `live ? ld(${name} + ${cellOffset(module, buffer, place)} + ${channelIndex(buffer.axes)}) : 0.f`;
    return `live && row0 + j < length${chunkOf} ? ld(${name} + ${cellOffset(module, buffer, { ...place, first: `(first${chunkOf} + row0 + j)` })} + ${channelIndex(buffer.axes)}) : 0.f`;
  };

  const recurText = (tile: TileId, op: Extract<TileOp, { op: 'recur' }>) => {
    const order = (j: string) => (op.reverse ? `${rows - 1} - ${j}` : j);
    const a = hasRow(op.decay) ? `t${op.decay}[i]` : `t${op.decay}`;
    const x = hasRow(op.write) ? `t${op.write}[i]` : `t${op.write}`;
    declare(tile);
    const buffer = slot(2 * WARPS);
    code.line(`float in${tile} = t${op.init}, out${tile};`);
    code.open('');
    code.line('float A = 1.f, B = 0.f;');
    code.line(`UNROLL for (int j = 0; j < ${rows}; ++j) { const int i = ${order('j')}; B = ${a} * B + ${x}; A *= ${a}; }`);
    code.line(`float* const ex = ${buffer};`);
    code.line(`ex[warp * 64 + lane] = A; ex[warp * 64 + 32 + lane] = B;`);
    code.line('__syncthreads();');
    code.line(`float h = t${op.init};`);
    code.line(`UNROLL for (int s = 0; s < ${WARPS}; ++s) { const int w = ${op.reverse ? `${WARPS - 1} - s` : 's'}; if (w == warp) in${tile} = h; h = ex[w * 64 + lane] * h + ex[w * 64 + 32 + lane]; }`);
    code.line(`out${tile} = h;`);
    code.line(`h = in${tile};`);
    code.line(`UNROLL for (int j = 0; j < ${rows}; ++j) { const int i = ${order('j')}; h = ${a} * h + ${x}; t${tile}[i] = h; }`);
    code.close();
  };

  const letText = (tile: TileId, op: TileOp, place: Place): void => {
    switch (op.op) {
      case 'load': each(tile, loadText(op, place, '')); return;
      case 'literal': each(tile, floatLiteral(op.value)); return;
      case 'zeros': each(tile, '0.f'); return;
      case 'head': each(tile, '(float)head'); return;
      case 'heads': each(tile, '(float)d.heads'); return;
      case 'map': each(tile, scalarText(op.fn, op.args.map(value))); return;
      case 'keep': each(tile, `row0 + j < length ? ${value(op.arg)} : 0.f`); return;
      case 'recur': recurText(tile, op); return;
      case 'pick': {
        const def = uses.defs.get(op.arg)?.op;
        if (def?.op === 'recur' && def.reverse === (op.row === 'first')) {
          each(tile, `out${op.arg}`);
          return;
        }
        const buffer = slot(1);
        declare(tile);
        code.line(`if (warp == ${op.row === 'first' ? 0 : WARPS - 1}) ${buffer}[lane] = t${op.arg}[${op.row === 'first' ? 0 : rows - 1}];`);
        code.line('__syncthreads();');
        code.line(`t${tile} = ${buffer}[lane];`);
        return;
      }
      case 'shift': {
        const [from, to, beyond] = op.by === 1 ? [rows - 1, 0, 'warp == 0'] : [0, rows - 1, `warp == ${WARPS - 1}`];
        const edge = op.edge === undefined ? '0.f' : `t${op.edge}`;
        const def = uses.defs.get(op.arg)?.op;
        declare(tile);
        code.line(`UNROLL for (int j = 0; j < ${rows}; ++j) if (j != ${to}) t${tile}[j] = t${op.arg}[(j - ${op.by}) & ${rows - 1}];`.replace('- -', '+ '));
        if (def?.op === 'recur' && def.reverse === (op.by === -1) && def.init === op.edge) {
          code.line(`t${tile}[${to}] = in${op.arg};`);
          return;
        }
        const buffer = slot(WARPS);
        code.line(`${buffer}[warp * 32 + lane] = t${op.arg}[${from}];`);
        code.line('__syncthreads();');
        code.line(`t${tile}[${to}] = ${beyond} ? ${edge} : ${buffer}[(warp - ${op.by}) * 32 + lane];`.replace('- -', '+ '));
        return;
      }
      case 'reduce': case 'contract': case 'compose': case 'swap': case 'cumsum': case 'mask': case 'dscore': case 'dscoreRow': case 'dscoreCol': case 'inverse':
        throw new Error(`${op.op} in an elementwise kernel`);
    }
    op satisfies never;
  };
  const storeText = (name: string, tile: TileId, place: Place) => {
    const buffer = bufferNamed(module, name);
    if (buffer.outer !== 'token') {
      code.line(`if (live && warp == 0) st(${pointer(name)} + ${cellOffset(module, buffer, place)} + ${channelIndex(buffer.axes)}, t${tile});`);
      return;
    }
    code.line(`UNROLL for (int j = 0; j < ${rows}; ++j) if (live && row0 + j < length) st(${pointer(name)} + ${cellOffset(module, buffer, { ...place, first: '(first + row0 + j)' })} + ${channelIndex(buffer.axes)}, ${value(tile)});`);
  };
  const straight = (body: readonly TileStmt[], place: Place, skip: ReadonlySet<TileId>) => {
    for (const stmt of body) {
      switch (stmt.kind) {
        case 'let':
          if (!skip.has(stmt.tile)) letText(stmt.tile, stmt.op, place);
          break;
        case 'store': storeText(stmt.buffer, stmt.value, place); break;
        case 'loop': loopText(stmt, place); break;
        default: stmt satisfies never;
      }
    }
  };
  const loopText = (stmt: TileLoop, place: Place) => {
    const inside: Place = { ...place, chunk: 'chunk', first: 'first', length: 'length' };
    for (const { tile, init } of stmt.carry) each(tile, `t${init}`);
    for (const { tile, op } of ahead) if (op.op === 'load') code.line(`${elementType(bufferNamed(module, op.buffer), cx.dtype)} raw${tile}[${AHEAD}][${rows}];`);
    code.line('auto ask = [&](int m, int p) {');
    chunkLines(code, { n: 'm', suffix: '_' }, stmt.reverse, module.chunk);
    for (const { tile, op } of ahead) {
      if (op.op !== 'load') continue;
      const buffer = bufferNamed(module, op.buffer);
      code.line(`{ auto* from = ${pointer(buffer.name)} + ${cellOffset(module, buffer, { ...inside, first: '(first_ + row0)' })} + ${channelIndex(buffer.axes)};`);
      code.line(`UNROLL for (int j = 0; j < ${rows}; ++j) { if (live && m < walk_chunks && row0 + j < length_) raw${tile}[p][j] = from[j * (${outerStride(module, buffer)})]; else st(&raw${tile}[p][j], 0.f); } }`);
    }
    code.line('};');
    code.line(`UNROLL for (int p = 0; p < ${AHEAD}; ++p) ask(p, p);`);
    code.line('#pragma unroll 1');
    code.open(`for (int n0 = 0; n0 < walk_chunks; n0 += ${AHEAD})`);
    code.open(`UNROLL for (int p = 0; p < ${AHEAD}; ++p)`);
    code.line('const int n = n0 + p;');
    code.line('if (n >= walk_chunks) break;');
    chunkLines(code, { n: 'n', suffix: '' }, stmt.reverse, module.chunk);
    for (const { tile } of ahead) code.line(`float t${tile}[${rows}]; UNROLL for (int j = 0; j < ${rows}; ++j) t${tile}[j] = ld(&raw${tile}[p][j]);`);
    code.line(`ask(n + ${AHEAD}, p);`);
    straight(stmt.body, inside, new Set(ahead.map((s) => s.tile)));
    for (const { tile, next } of copiesInOrder(stmt)) code.line(`t${tile} = t${next};`);
    code.close();
    code.close();
  };

  const { args, parameters } = signature(cx, kernel, []);
  const blocks = Math.ceil(total / LANES);
  code.line(`// ${kernel.doc}`);
  code.open(`extern "C" __global__ void __launch_bounds__(${WARPS * 32}) ${kernel.name}(${parameters})`);
  code.line('float* const sm = (float*)smem; (void)sm;');
  code.line(`const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, channel = (blockIdx.x % ${blocks}) * 32 + lane, outer = blockIdx.x / ${blocks}, row0 = warp * ${rows};`);
  code.line(`const bool live = channel < ${total};`);
  code.line('const int head = blockIdx.y, group = head / (d.heads / d.groups); (void)group; (void)head;');
  const place = outerLines(code, kernel, { head: 'head', group: 'group' });
  if (kernel.outer === 'chunk') code.line('const int n = 0; (void)n;');
  straight(kernel.body, place, new Set());
  code.close();
  return {
    text: code.text(),
    runtime: ['rt/base.cuh', 'rt/math.cuh'],
    block: WARPS * 32,
    sharedBytes: exchanges * 4,
    grid: gridOf(kernel, blocks),
    args,
    scratch: [],
  };
}
