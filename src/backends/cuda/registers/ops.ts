import { ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import { endRow, type Place } from '../address.js';
import { floatLiteral } from '../code.js';
import { roundedText, scalarText } from '../scalar.js';
import type { Group } from './layout.js';
import { nearText, takeFromWindow } from './sliding.js';
import { loadText, type Writer } from './values.js';

const WARPS = 8;

/** Writes one statement. */
export function opText(w: Writer, tile: TileId, op: TileOp, place: Place): void {
  const { axes } = w.kernel.tiles[tile];
  for (const text of w.notes.tile(tile)) w.code.line(text);
  const assign = (value: (i: string, j: string) => string) => {
    w.declare(tile);
    w.each(axes, (i, j) => `${w.at(tile, i, j)} = ${value(i, j)};`);
  };
  const near = w.layout.near?.of.get(tile);
  if (near !== undefined) return nearText(w, tile, near);
  switch (op.op) {
    case 'load': {
      const window = op.rows === 'row' ? w.layout.windows?.get(op.buffer) : undefined;
      if (window === undefined) loadText(w, tile, op, place);
      else takeFromWindow(w, tile, op, window);
      return;
    }
    case 'gather': throw new Error(`${w.kernel.name}: gathered rows`);
    case 'literal': assign(() => floatLiteral(op.value)); return;
    case 'zeros': assign(() => '0.f'); return;
    case 'head': assign(() => `(float)${place.head ?? place.group}`); return;
    case 'heads': assign(() => '(float)d.heads'); return;
    case 'keep': assign((i, j) => `${w.index(ROW, i, j)} < ${place.length} ? ${w.at(op.arg, i, j)} : 0.f`); return;
    case 'put':
      if (addedLater(w, tile)) return;
      assign((i, j) => w.at(op.arg, i, j));
      if (![...w.layout.windows?.values() ?? []].some(({ put }) => put.has(tile))) putText(w, tile, op, '=', place);
      return;
    case 'round': assign((i, j) => roundedText(w.cx.dtype, w.at(op.arg, i, j))); return;
    case 'map': {
      const later = op.fn === 'add' ? op.args.find((arg) => addedLater(w, arg)) : undefined;
      const put = later === undefined ? undefined : w.uses.defs.get(later)?.op;
      if (put?.op === 'put') {
        const [other] = op.args.filter((arg) => arg !== later);
        assign((i, j) => w.at(other, i, j));
        return putText(w, tile, put, '+=', place);
      }
      assign((i, j) => scalarText(op.fn, op.args.map((arg) => w.at(arg, i, j))));
      return;
    }
    case 'reduce': {
      const scan = op.axis === ROW && op.reduce === 'sum' ? scanBefore(w, tile, op.arg) : undefined;
      if (scan !== undefined) {
        assign((_, j) => `out${scan}[${j}]`);
        return;
      }
      foldText(w, tile, op.axis, op.reduce, w.kernel.tiles[op.arg].axes, (i, j) => w.at(op.arg, i, j));
      return;
    }
    case 'contract': {
      const all = [...new Set([...w.kernel.tiles[op.a].axes, ...w.kernel.tiles[op.b].axes])];
      foldText(w, tile, op.axis, 'sum', all, (i, j) => `${w.at(op.a, i, j)} * ${w.at(op.b, i, j)}`);
      return;
    }
    case 'recur': {
      const one = isOne(w, op.decay);
      const { less } = op;
      scanText(w, tile, {
        decay: one ? undefined : (i, j) => w.at(op.decay, i, j), less: one || less === undefined ? undefined : (i, j) => w.at(less, i, j),
        write: (i, j) => w.at(op.write, i, j), init: (j) => w.at(op.init, '0', j), reverse: op.reverse, exclusive: false,
      });
      return;
    }
    case 'cumsum':
      scanText(w, tile, {
        decay: undefined, less: undefined, write: (i, j) => (op.decays ? `log_decay(${w.at(op.arg, i, j)})` : w.at(op.arg, i, j)),
        init: () => '0.f', reverse: op.reverse, exclusive: op.exclusive,
      });
      return;
    case 'pick': pickText(w, tile, op); return;
    case 'shift': shiftText(w, tile, op); return;
    default: throw new Error(`${op.op} in a kernel without matrices`);
  }
}

/** A running sum of the same rows, which ends in their sum. */
function scanBefore({ uses }: Writer, tile: TileId, arg: TileId): TileId | undefined {
  for (const stmt of uses.defs.get(tile)?.body ?? []) {
    if (stmt.kind !== 'let') continue;
    if (stmt.tile === tile) return undefined;
    if (stmt.op.op === 'cumsum' && stmt.op.arg === arg && stmt.op.axis === undefined && !stmt.op.decays) return stmt.tile;
  }
  return undefined;
}

type Put = Extract<TileOp, { op: 'put' }>;

/** Few chunks have that row. */
function putText(w: Writer, tile: TileId, op: Put, sign: '=' | '+=', place: Place): void {
  w.code.open(`if (const int at = ${endRow(place, op)}; at >= 0 && at < kChunk)`);
  w.each(w.kernel.tiles[tile].axes, (i, j) => `if (${w.index(ROW, i, j)} == at) ${w.at(tile, i, j)} ${sign} ${w.at(op.of, i, j)};`);
  w.code.close();
}

/** Is it zeros but for one row, of which a sum is all that becomes? Then that sum adds the row, and nobody holds the zeros. */
function addedLater(w: Writer, tile: TileId): boolean {
  const { defs, counts, bodies } = w.uses;
  const isRow = (at: TileId) => {
    const op = defs.get(at)?.op;
    return op?.op === 'put' && defs.get(op.arg)?.op?.op === 'zeros' && counts.get(at) === 1;
  };
  const [body] = bodies.get(tile) ?? [];
  const read = body?.flatMap((stmt) => (stmt.kind === 'let' && stmt.op.op === 'map' && stmt.op.args.includes(tile) ? [stmt.op] : []));
  const sum = read?.[0];
  return isRow(tile) && body === defs.get(tile)?.body && sum?.fn === 'add' && sum.args.find(isRow) === tile;
}

function isOne(w: Writer, tile: TileId): boolean {
  const op = w.uses.defs.get(tile)?.op;
  return op?.op === 'literal' && op.value === 1;
}

const FOLDS = {
  sum: { start: '0.f', step: (x: string, y: string) => `${x} + ${y}`, fn: 'fold_sum' },
  max: { start: floatLiteral(-Infinity), step: (x: string, y: string) => `max_nan(${x}, ${y})`, fn: 'max_nan' },
  min: { start: floatLiteral(Infinity), step: (x: string, y: string) => `min_nan(${x}, ${y})`, fn: 'min_nan' },
} as const;

/** Folds one axis of a value with `axes`: first what a thread holds, then over its lanes (warps). */
function foldText(
  w: Writer, tile: TileId, axis: Axis, how: keyof typeof FOLDS, axes: readonly Axis[], value: (i: string, j: string) => string,
): void {
  const group = groupOf(w, axis);
  const { start, step, fn } = FOLDS[how];
  const result = w.kernel.tiles[tile].axes;
  w.declare(tile);
  w.each(result, (i, j) => `${w.at(tile, i, j)} = ${start};`);
  w.each(axes, (i, j) => {
    const live = w.live([axis], i, j);
    const to = w.at(tile, i, j);
    return `${to} = ${step(to, live === '' ? value(i, j) : `(${live} ? ${value(i, j)} : ${start})`)};`;
  });
  if (group.role === 'lane') {
    w.each(result, (i, j) => `${w.at(tile, i, j)} = lanes_fold(${w.at(tile, i, j)}, [](float x, float y) { return ${fn}(x, y); });`);
    return;
  }
  acrossWarps(w, tile, how);
}

/** What the warps hold of a fold, folded. */
export function acrossWarps(w: Writer, tile: TileId, how: keyof typeof FOLDS): void {
  const { step } = FOLDS[how];
  const result = w.kernel.tiles[tile].axes;
  const columns = w.regs(result, 'lane');
  const { lanes } = w.layout;
  const warps = w.layout.threads / lanes;
  if (warps === 1) return;
  const ex = w.exchange(warps * columns * lanes);
  const slot = (warp: string, j: string) => `${ex}[(${warp} * ${columns} + ${j}) * ${lanes} + lane]`;
  w.each(result, (i, j) => `${slot('warp', j)} = ${w.at(tile, i, j)};`);
  w.barrier();
  w.each(
    result,
    (i, j) => `{ float x = ${slot('0', j)}; `
      + `UNROLL for (int s = 1; s < ${warps}; ++s) x = ${step('x', slot('s', j))}; ${w.at(tile, i, j)} = x; }`,
  );
}

/** A sum over tokens that come in turns: before them, among them, after them. */
export function sumInTurns(w: Writer, tile: TileId, arg: TileId) {
  const { axes } = w.kernel.tiles[tile];
  return {
    begin() {
      for (const text of w.notes.tile(tile)) w.code.line(text);
      w.declare(tile);
      w.each(axes, (i, j) => `${w.at(tile, i, j)} = 0.f;`);
    },
    add: () => w.each(w.kernel.tiles[arg].axes, (i, j) => `${w.at(tile, i, j)} += ${w.at(arg, i, j)};`),
    end: () => acrossWarps(w, tile, 'sum'),
  };
}

function groupOf(w: Writer, axis: Axis): Group {
  const group = w.layout.groups.find((candidate) => candidate.axes.includes(axis));
  if (group === undefined) throw new Error(`${w.kernel.name}: axis ${axis} is nowhere`);
  return group;
}

interface Scan {
  /** Absent: 1. */
  readonly decay: ((i: string, j: string) => string) | undefined;
  /** The decay - 1, where it has more digits. */
  readonly less: ((i: string, j: string) => string) | undefined;
  readonly write: (i: string, j: string) => string;
  readonly init: (j: string) => string;
  readonly reverse: boolean;
  readonly exclusive: boolean;
}

/**
 * h = a h + x along the rows: a sweep over the rows of a thread from nothing, an exchange of (h, product of a, the same less 1) between the
 * warps, and a second sweep from what the rows before leave. `in5` and `out5` are the values before this thread's rows and after all rows.
 */
function scanText(w: Writer, tile: TileId, scan: Scan): void {
  const { code } = w;
  const { axes } = w.kernel.tiles[tile];
  const [rows, columns] = [w.regs(axes, 'warp'), w.regs(axes, 'lane')];
  const { decay, less } = scan;
  const size = decay === undefined ? 1 : less === undefined ? 2 : 3;
  const ex = w.exchange(WARPS * columns * 32 * size);
  const slot = (warp: string, part: number) => (
    `ex[(${warp} * ${columns * size} + ${part === 0 ? 'j' : `j + ${part * columns}`}) * 32 + lane]`
  );
  const j = columns === 1 ? '0' : 'j';
  const next = (
    h: string, a: string, little: string, x: string,
  ) => (less === undefined ? `${a} * ${h} + ${x}` : `decayed(${h}, ${a}, ${little}, ${x})`);
  const step = (h: string) => (
    decay === undefined ? `${h} += ${scan.write('i', j)};` : `${h} = ${next(h, decay('i', j), less?.('i', j) ?? '', scan.write('i', j))};`
  );
  const products = decay === undefined
    ? ''
    : ` a *= ${decay('i', j)};${less === undefined ? '' : ` l += ${less('i', j)} + l * ${less('i', j)};`}`;
  const order = `const int i = ${scan.reverse ? `${rows - 1} - r` : 'r'};`;
  w.declare(tile);
  code.line(`float in${tile}[${columns}], out${tile}[${columns}];`);
  code.open('');
  code.line(`float* const ex = ${ex};`);
  code.open(`UNROLL for (int j = 0; j < ${columns}; ++j)`);
  code.line(`float h = 0.f${decay === undefined ? '' : ', a = 1.f'}${less === undefined ? '' : ', l = 0.f'};`);
  code.line(`UNROLL for (int r = 0; r < ${rows}; ++r) { ${order} ${step('h')}${products} }`);
  const decays = decay === undefined ? '' : ` ${slot('warp', 1)} = a;`;
  code.line(`${slot('warp', 0)} = h;${decays}${less === undefined ? '' : ` ${slot('warp', 2)} = l;`}`);
  code.close();
  w.barrier();
  code.open(`UNROLL for (int j = 0; j < ${columns}; ++j)`);
  code.line(`float h = ${scan.init(j)};`);
  const past = decay === undefined ? `h += ${slot('s', 0)};` : `h = ${next('h', slot('s', 1), slot('s', 2), slot('s', 0))};`;
  const warp = scan.reverse ? `${WARPS - 1} - w` : 'w';
  code.line(`UNROLL for (int w = 0; w < ${WARPS}; ++w) { const int s = ${warp}; if (s == warp) in${tile}[j] = h; ${past} }`);
  code.line(`out${tile}[j] = h;`);
  code.line(`h = in${tile}[j];`);
  const put = `${w.at(tile, 'i', j)} = h;`;
  code.line(`UNROLL for (int r = 0; r < ${rows}; ++r) { ${order} ${scan.exclusive ? `${put} ${step('h')}` : `${step('h')} ${put}`} }`);
  code.close();
  code.close();
}

/** Of a recurrence that ends in the row, its last value is at hand. */
function pickText(w: Writer, tile: TileId, op: Extract<TileOp, { op: 'pick' }>): void {
  const { axes } = w.kernel.tiles[tile];
  const def = w.uses.defs.get(op.arg)?.op;
  w.declare(tile);
  if (def?.op === 'recur' && def.reverse === (op.row === 'first')) {
    w.each(axes, (_, j) => `${w.at(tile, '0', j)} = out${op.arg}[${j}];`);
    return;
  }
  const rows = w.regs(w.kernel.tiles[op.arg].axes, 'warp');
  const columns = w.regs(axes, 'lane');
  const ex = w.exchange(columns * 32);
  const [warp, row] = op.row === 'first' ? [0, 0] : [WARPS - 1, rows - 1];
  w.each(axes, (_, j) => `if (warp == ${warp}) ${ex}[${j} * 32 + lane] = ${w.at(op.arg, String(row), j)};`);
  w.barrier();
  w.each(axes, (_, j) => `${w.at(tile, '0', j)} = ${ex}[${j} * 32 + lane];`);
}

function shiftText(w: Writer, tile: TileId, op: Extract<TileOp, { op: 'shift' }>): void {
  const { axes } = w.kernel.tiles[tile];
  const [rows, columns] = [w.regs(axes, 'warp'), w.regs(axes, 'lane')];
  const [from, to, beyond] = op.by === 1 ? [rows - 1, 0, 'warp == 0'] : [0, rows - 1, `warp == ${WARPS - 1}`];
  const j = columns === 1 ? '0' : 'j';
  const overColumns = (text: string) => w.code.line(`${columns === 1 ? '' : `UNROLL for (int j = 0; j < ${columns}; ++j) `}${text}`);
  w.declare(tile);
  if (rows > 1) {
    const [first, shifted] = op.by === 1 ? ['1', 'i - 1'] : ['0', 'i + 1'];
    w.code.line(
      `UNROLL for (int i = ${first}; i < ${op.by === 1 ? rows : rows - 1}; ++i) `
      + `${columns === 1 ? '' : `UNROLL for (int j = 0; j < ${columns}; ++j) `}${w.at(tile, 'i', j)} = ${w.at(op.arg, shifted, j)};`,
    );
  }
  const def = w.uses.defs.get(op.arg)?.op;
  if (def?.op === 'recur' && def.reverse === (op.by === -1) && def.init === op.edge) {
    overColumns(`${w.at(tile, String(to), j)} = in${op.arg}[${j}];`);
    return;
  }
  const edge = op.edge === undefined ? '0.f' : w.at(op.edge, '0', j);
  const ex = w.exchange(WARPS * columns * 32);
  overColumns(`${ex}[(warp * ${columns} + ${j}) * 32 + lane] = ${w.at(op.arg, String(from), j)};`);
  w.barrier();
  const neighbour = op.by === 1 ? 'warp - 1' : 'warp + 1';
  overColumns(`${w.at(tile, String(to), j)} = ${beyond} ? ${edge} : ${ex}[((${neighbour}) * ${columns} + ${j}) * 32 + lane];`);
}
