import { ROW } from '../../../ir/common/axes.js';
import type { TileId, TileLet, TileLoop, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { type Place } from '../address.js';
import { storedBuffers } from '../../../ir/tile/buffers.js';
import { iterationLines, loopCount, outermost } from '../prologue.js';
import { copiesInOrder } from '../carry.js';
import type { SharedLoop } from './layout.js';
import { opText, sumInTurns } from './ops.js';
import { ringOf } from './ring.js';
import { rollingWindows } from './rolling.js';
import { totalsOf } from './totals.js';
import type { Turns } from './turns.js';
import { rawLoad, storeText, type Hooks, type Writer } from './values.js';

/** 32-bit words that a thread may hold of later iterations, and how many iterations ahead it asks at most. */
const WORDS_AHEAD = 48;
const MOST_AHEAD = 4;

/** Writes a list of statements; those whose tiles are in `done` have their values already. */
export function bodyText(w: Writer, hooks: Hooks, body: readonly TileStmt[], place: Place, done: ReadonlySet<TileId> = new Set()): void {
  for (const stmt of body) {
    switch (stmt.kind) {
      case 'let':
        if (!done.has(stmt.tile)) opText(w, stmt.tile, stmt.op, place);
        break;
      case 'store':
        for (const text of w.notes.store(stmt)) w.code.line(text);
        if (stmt.only !== undefined) w.code.open(`if (${outermost(stmt.only)})`);
        storeText(w, stmt.buffer, stmt.value, place);
        if (stmt.only !== undefined) w.code.close();
        break;
      case 'loop':
        if (w.layout.shared?.loop === stmt) sharedText(w, w.layout.shared, place);
        else loopText(w, hooks, stmt, place);
        break;
      default:
        stmt satisfies never;
    }
  }
}

/** Some rows after the others: what a thread holds is of one turn, but for its sums. */
export function turnsText(w: Writer, hooks: Hooks, { before, rows, sums, after }: Turns, place: Place): void {
  const { code, layout, cx } = w;
  const group = layout.groups.find(({ axes }) => axes[0] === ROW);
  if (group === undefined) throw new Error(`${w.kernel.name}: no rows to take turns`);
  const unread = layout.near?.unread;
  const rolling = layout.windows === undefined ? undefined : rollingWindows(w, layout.windows, group, place);
  rolling?.ask();
  bodyText(w, hooks, before, place, unread);
  rolling?.begin();
  const totals = sums.map(({ tile, op }) => sumInTurns(w, tile, op.arg));
  totals.forEach((total) => total.begin());
  code.line('#pragma unroll 1');
  code.open(`for (int turn = 0; turn < ${cx.module.chunk / group.total}; ++turn)`);
  // Rows that follow each other share windows.
  const [mine, step] = rolling === undefined ? [group.vec, group.total] : [cx.module.chunk / group.threads, group.vec];
  code.line(`const int x_${group.name} = turn * ${step} + ${group.role} * ${mine};`);
  rolling?.next();
  bodyText(w, hooks, rows, place, unread);
  totals.forEach((total) => total.add());
  code.close();
  totals.forEach((total) => total.end());
  bodyText(w, hooks, after, place, unread);
}

const copyText = (w: Writer, to: TileId, from: TileId) => w.each(
  w.kernel.tiles[to].axes, (i, j) => `${w.at(to, i, j)} = ${w.at(from, i, j)};`,
);

/** One iteration after the other, the loads of later ones under way. */
function loopText(w: Writer, hooks: Hooks, loop: TileLoop, place: Place): void {
  const { code, kernel, cx } = w;
  const { chunk } = cx.module;
  const totals = totalsOf(w, loop);
  totals.begin();
  for (const { tile, init } of loop.carry) {
    if (totals.tiles.has(tile)) continue;
    w.declare(tile);
    copyText(w, tile, init);
  }
  for (const text of w.notes.loop(loop)) code.line(text);
  code.open('');
  const lines = (n: string, suffix: string) => iterationLines(code, kernel, loop, n, suffix, chunk, place);
  const ring = loop.over === 'chunks' ? ringOf(w, loop.body) : undefined;
  const stored = storedBuffers(kernel.body);
  const early = loop.over === 'rows'
    ? []
    : loop.body.filter((stmt): stmt is TileLet & { op: Extract<TileOp, { op: 'load' }> } =>
    stmt.kind === 'let' && stmt.op.op === 'load' && !(ring?.tiles.has(stmt.tile) ?? false) && !stored.includes(stmt.op.buffer));
  const words = early.reduce((sum, stmt) => sum + rawLoad(w, stmt.tile, stmt.op, 1).words, 0);
  const ahead = words === 0 ? 0 : Math.max(1, Math.min(MOST_AHEAD, Math.floor(WORDS_AHEAD / words)));
  const raws = early.map((stmt) => ({ tile: stmt.tile, raw: rawLoad(w, stmt.tile, stmt.op, Math.max(1, ahead)) }));
  const count = loopCount(kernel, loop);
  if (ring !== undefined) {
    code.line(`constexpr int RING = ${RING_MARK};`);
    ring.open(count, lines);
    hooks.ring = ring.bytes;
  }
  if (ahead > 0) {
    for (const { raw } of raws) raw.declare();
    code.open('auto ask = [&](int m, int p)');
    code.line(`if (m >= ${count}) return;`);
    const later = lines('m', '_');
    for (const { raw } of raws) raw.ask(later, 'p');
    code.close(';');
    code.line(`UNROLL for (int p = 0; p < ${ahead}; ++p) ask(p, p);`);
    code.line('#pragma unroll 1');
    code.open(`for (int n0 = 0; n0 < ${count}; n0 += ${ahead})`);
    code.open(`UNROLL for (int p = 0; p < ${ahead}; ++p)`);
    code.line('const int n = n0 + p;');
    code.line(`if (n >= ${count}) break;`);
  } else {
    code.line('#pragma unroll 1');
    code.open(`for (int n = 0; n < ${count}; ++n)`);
  }
  const inside = lines('n', '');
  for (const tile of ring?.tiles ?? []) {
    for (const text of w.notes.tile(tile)) code.line(text);
    ring?.take(tile);
  }
  if (ahead > 0) {
    for (const { tile, raw } of raws) {
      for (const text of w.notes.tile(tile)) code.line(text);
      raw.take('p');
    }
    code.line(`ask(n + ${ahead}, p);`);
  }
  const parity = hooks.parity;
  hooks.parity = 'n';
  hooks.around = ring?.around('n');
  bodyText(w, hooks, loop.body, inside, new Set([...(ring?.tiles ?? []), ...raws.map(({ tile }) => tile), ...totals.tiles]));
  totals.add();
  if (hooks.around !== undefined) w.barrier();
  hooks.parity = parity;
  for (const { tile, next } of copiesInOrder(loop)) if (!totals.tiles.has(tile)) copyText(w, tile, next);
  code.close();
  if (ahead > 0) code.close();
  code.close();
  totals.end();
}

/** Stands for the first byte of the ring, which is known when all exchanges are. */
export const RING_MARK = '@ring@';

/** Every warp (thread) takes the iterations that are its turn; then the parts are put together in order. */
function sharedText(w: Writer, shared: SharedLoop, place: Place): void {
  const { code, kernel, layout, cx } = w;
  const { loop, parts, perThread, atOnce } = shared;
  const count = loopCount(kernel, loop);
  const workers = perThread ? layout.threads : layout.threads / 32;
  for (const { tile, by } of parts) {
    w.declare(tile);
    w.each(kernel.tiles[tile].axes, (i, j) => `${w.at(tile, i, j)} = ${by === 'add' ? '0.f' : '1.f'};`);
  }
  for (const text of w.notes.loop(loop)) code.line(text);
  const nexts = new Set(loop.carry.map(({ next }) => next));
  /** Makes what the iteration `n` brings, and says for each part what becomes of it. */
  const iteration = (then: (part: SharedLoop['parts'][number], i: string, j: string, term: string) => string) => {
    const inside = iterationLines(code, kernel, loop, 'n', '', cx.module.chunk, place);
    for (const stmt of loop.body) {
      if (stmt.kind !== 'let' || nexts.has(stmt.tile) || (stmt.op.op === 'reduce' && stmt.op.axis === ROW)) continue;
      opText(w, stmt.tile, stmt.op, inside);
    }
    for (const part of parts) {
      const axes = kernel.tiles[part.acrossLanes ? part.value : part.tile].axes;
      w.each(axes, (i, j) => {
        const live = part.acrossLanes ? w.live(axes, i, j) : '';
        return then(part, i, j, live === '' ? w.at(part.value, i, j) : `(${live} ? ${w.at(part.value, i, j)} : 0.f)`);
      });
    }
  };
  const sign = { add: '+=', mul: '*=' } as const;
  const first = perThread ? 'threadIdx.x' : 'warp';
  const grouped = atOnce > 4 && !perThread && parts.every(({ acrossLanes }) => !acrossLanes);
  if (grouped) {
    // All loads are asked for before any is waited for, which compilers do not see to.
    code.line(`int n0 = ${first};`);
    code.line('#pragma unroll 1');
    code.open(`for (; n0 + ${(atOnce - 1) * workers} < ${count}; n0 += ${atOnce * workers})`);
    const columns = ({ tile }: SharedLoop['parts'][number]) => w.regs(kernel.tiles[tile].axes, 'lane');
    for (const part of parts) code.line(`float all${part.tile}[${atOnce * columns(part)}];`);
    code.open(`UNROLL for (int u = 0; u < ${atOnce}; ++u)`);
    code.line(`const int n = n0 + u * ${workers};`);
    iteration((part, _, j, term) => `all${part.tile}[u * ${columns(part)} + ${j}] = ${term};`);
    code.close();
    for (const part of parts) code.line(`all_asked<${atOnce * columns(part)}>(all${part.tile});`);
    code.open(`UNROLL for (int u = 0; u < ${atOnce}; ++u)`);
    for (const part of parts) w.each(
      kernel.tiles[part.tile].axes, (i, j) => `${w.at(part.tile, i, j)} ${sign[part.by]} all${part.tile}[u * ${columns(part)} + ${j}];`,
    );
    code.close();
    code.close();
  }
  code.line(`#pragma unroll ${grouped ? 1 : 4}`);
  code.open(`for (int n = ${grouped ? 'n0' : first}; n < ${count}; n += ${workers})`);
  iteration((part, i, j, term) => `${w.at(part.tile, i, j)} ${sign[part.by]} ${term};`);
  code.close();
  const warps = layout.threads / 32;
  const slots = parts.map(({ tile, by, acrossLanes }) => {
    const { axes } = kernel.tiles[tile];
    const columns = w.regs(axes, 'lane');
    const fn = by === 'add' ? 'fold_sum' : 'fold_product';
    if (acrossLanes || perThread) w.each(
      axes, (i, j) => `${w.at(tile, i, j)} = lanes_fold(${w.at(tile, i, j)}, [](float x, float y) { return ${fn}(x, y); });`,
    );
    const ex = w.exchange(warps * columns * 32);
    const slot = (warp: string, j: string) => `${ex}[(${warp} * ${columns} + ${j}) * 32 + (threadIdx.x & 31)]`;
    w.each(axes, (_, j) => `${slot('(threadIdx.x >> 5)', j)} = ${w.at(tile, '0', j)};`);
    return slot;
  });
  w.barrier();
  // What follows the loop is the first warp's.
  parts.forEach(({ tile, by }, part) => {
    const init = loop.carry.find((carry) => carry.tile === tile)?.init;
    if (init === undefined) throw new Error(`${kernel.name}: tile ${tile} has no start`);
    w.each(
      kernel.tiles[tile].axes,
      (_, j) => `if (threadIdx.x < 32) { float x = ${w.at(init, '0', j)}; `
        + `UNROLL for (int s = 0; s < ${warps}; ++s) x ${by === 'add' ? '+=' : '*='} ${slots[part]('s', j)}; ${w.at(tile, '0', j)} = x; }`,
    );
  });
}
