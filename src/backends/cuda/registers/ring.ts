import { ROW } from '../../../ir/common/axes.js';
import type { TileId, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { bufferNamed, cellOffset, outerStride, type Place } from '../address.js';
import { elementType, pointer, sharedLimit } from '../lowered.js';
import type { Writer } from './values.js';

type Load = Extract<TileOp, { op: 'load' }>;

/** Of two blocks on a multiprocessor, as long as that is enough; more chunks in flight gain nothing. */
const BUDGET = 100 * 1024;
const MOST_STAGES = 6;
/** Left for what warps exchange. */
const EXCHANGES = 10 * 1024;

/**
 * Token tiles of a walk that travel through a ring of stages in shared memory, in pieces of 16 bytes: that keeps more bytes in flight than
 * registers could hold, for a twentieth of the instructions.
 */
export interface Ring {
  readonly tiles: ReadonlySet<TileId>;
  readonly bytes: number;
  /** Asks for the first of `count` chunks. `fill` is the C name of the lambda that asks for one chunk. */
  open(count: string, lines: (n: string, suffix: string) => Place): void;
  /** Said around the first barrier of an iteration: the next chunk has arrived, the stage of this one is free. */
  around(n: string): { readonly before: string; readonly after: string };
  take(tile: TileId): void;
}

const PIECE = 16;

/** `undefined`: no load of the loop can travel so. `RING` is the first byte of the ring in shared memory. */
export function ringOf(w: Writer, body: readonly TileStmt[]): Ring | undefined {
  const { code, layout, cx } = w;
  const rows = layout.groups.find((group) => group.axes.includes(ROW));
  const lanes = layout.groups.filter((group) => group.role === 'lane');
  if (rows?.role !== 'warp' || rows.cut) return undefined;
  const found: { tile: TileId; op: Load; width: number; type: string; at: number; start: number }[] = [];
  let stage = 0;
  for (const stmt of body) {
    if (stmt.kind !== 'let' || stmt.op.op !== 'load' || stmt.op.rows !== 'row' || stmt.op.back !== undefined) continue;
    const buffer = bufferNamed(cx.module, stmt.op.buffer);
    const group = lanes.find(
      (candidate) => candidate.axes.length === buffer.axes.length && candidate.axes.every((axis, n) => buffer.axes[n] === axis)
    );
    if (group === undefined || group.regs !== group.vec) continue;
    const type = elementType(buffer, cx.dtype);
    const size = type === 'f32' || type === 'int' ? 4 : 2;
    const width = group.threads * group.regs;
    if ((width * size) % PIECE !== 0 || (group.total * size) % PIECE !== 0) continue;
    found.push({ tile: stmt.tile, op: stmt.op, width: width * size, type, at: stage, start: size });
    stage += rows.total * width * size;
  }
  if (found.length === 0) return undefined;
  const limit = sharedLimit(cx.target);
  if (2 * stage > limit - EXCHANGES) return undefined;
  const stages = Math.max(2, Math.min(MOST_STAGES, Math.floor(Math.min(BUDGET, limit / 2 - EXCHANGES) / stage)));
  return {
    tiles: new Set(found.map(({ tile }) => tile)),
    bytes: stages * stage,
    open(count, lines) {
      code.line('const u32 ring = saddr(smem) + RING;');
      code.line('int full = 0, empty = 0;');
      code.open('auto fill = [&](int m)');
      code.open(`if (m < ${count})`);
      const place = lines('m', '_');
      for (const { op, width, at, start } of found) {
        const buffer = bufferNamed(cx.module, op.buffer);
        const group = lanes.find((candidate) => candidate.axes.every((axis, n) => buffer.axes[n] === axis));
        if (group === undefined) throw new Error(`${w.kernel.name}: no lanes for ${buffer.name}`);
        const perRow = width / PIECE;
        const rowsPerTurn = layout.threads / perRow;
        const turns = Math.ceil(rows.total / rowsPerTurn);
        const base = group.cut ? `block * ${group.threads * group.regs}` : '0';
        code.open('');
        code.line(`const int r = threadIdx.x / ${perRow}, x = threadIdx.x % ${perRow}, column = ${base} + x * ${PIECE / start};`);
        const cell = cellOffset(cx.module, buffer, { ...place, first: `(${place.first} + r)` });
        code.line(`auto* const from = ${pointer(buffer.name)} + ${cell} + column;`);
        code.line(`const i64 step = ${rowsPerTurn} * (${outerStride(cx.module, buffer)});`);
        const guards = [...(rows.total % rowsPerTurn === 0 ? [] : [`u * ${rowsPerTurn} + r < ${rows.total}`])];
        const exists = [
          `u * ${rowsPerTurn} + r < ${place.length}`, ...(group.total % (width / start) === 0 ? [] : [`column < ${group.total}`])
        ].join(' && ');
        code.open(`UNROLL for (int u = 0; u < ${turns}; ++u)`);
        code.line(`const bool in = ${exists};`);
        code.line(
          `${guards.length === 0 ? '' : `if (${guards.join(' && ')}) `}`
          + `cp_async(ring + empty * ${stage} + ${at} + (u * ${layout.threads} + threadIdx.x) * ${PIECE}, `
          + `in ? from + u * step : ${pointer(buffer.name)}, in ? ${PIECE} : 0);`,
        );
        code.close();
        code.close();
      }
      code.close();
      code.line('cp_commit();');
      code.line(`if (++empty == ${stages}) empty = 0;`);
      code.close(';');
      code.line(`UNROLL for (int m = 0; m < ${stages}; ++m) fill(m);`);
      code.line(`cp_wait<${stages - 1}>();`);
      code.line('__syncthreads();');
    },
    around: (n) => ({ before: `cp_wait<${stages - 2}>();`, after: `fill(${n} + ${stages}); if (++full == ${stages}) full = 0;` }),
    take(tile) {
      const load = found.find((candidate) => candidate.tile === tile);
      if (load === undefined) throw new Error(`tile ${tile} is not in the ring`);
      const { type, width, at, start } = load;
      w.declare(tile);
      const vec = width / start / w.layout.lanes;
      w.each([ROW], (i) => {
        const from = `(const ${type}*)(smem + RING + full * ${stage} + ${at} + (x__row + ${i}) * ${width}) + lane`;
        return vec === 1 ? `${w.at(tile, i, '0')} = ld(${from});` : `ldn<${vec}>(&${w.at(tile, i, '0')}, ${from} * ${vec});`;
      });
    },
  };
}
