import { ROW } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import { bufferNamed, outerStride, type Place } from '../address.js';
import { cellPointer, sourcePresence } from '../lowered.js';
import { scalarText } from '../scalar.js';
import { siluSlopeOf } from '../slopes.js';
import type { Near } from './near.js';
import { elementOf, loadText, type Writer } from './values.js';
import type { Window } from './windows.js';

/** C name of what a turn shares with the next of an array of rows: its last ones. */
export const keptName = (of: string) => `kept_${of}`;
/** C name of the rows that a thread has of a buffer. */
export const windowName = (w: Writer, buffer: string) => `near_${w.cx.module.buffers.findIndex(({ name }) => name === buffer)}`;

/**
 * Takes the rows that a thread needs of buffers, zeros where their run has none. Few threads have rows that it lacks: the others ask for
 * all rows of all buffers before they wait for any.
 */
export function openWindows(w: Writer, windows: ReadonlyMap<string, Window>, place: Place): void {
  const { cx, code } = w;
  const opened = [...windows].map(([name, { before, after, edge }]) => {
    const source = { buffer: bufferNamed(cx.module, name) };
    const axes = [ROW, ...source.buffer.axes];
    const there = [sourcePresence(source), w.live(axes, '0', '0')].filter((text) => text !== undefined && text !== '');
    const start = `(${w.index(ROW, '0', '0')} - ${before})`;
    const to = windowName(w, name);
    return {
      source, there, start, to, before, edge, columns: w.regs(axes, 'lane'), rows: w.regs(axes, 'warp') + before + after,
      at: `at_${to}`, step: `step_${to}`, from: `from_${to}`, end: `end_${to}`,
    };
  });
  for (const { to, rows, columns } of opened) code.line(`float ${to}[${rows * columns}];`);
  code.open('');
  for (const { source, start, at, step, from, end } of opened) {
    const cell = cellPointer(cx.module, source, { ...place, first: `(${place.first} + ${start})` });
    code.line(`auto* ${at} = ${[cell, elementOf(w, source.buffer, '0', '0')].filter((text) => text !== '').join(' + ')};`);
    code.line(`const i64 ${step} = ${outerStride(cx.module, source.buffer)};`);
    code.line(`const int ${from} = ${place.runFirst} - ${place.first} - ${start}, ${end} = ${place.runEnd} - ${place.first} - ${start};`);
  }
  const whole = opened.flatMap(({ from, end, rows, there }) => [`${from} <= 0`, `${end} >= ${rows}`, ...there]).join(' && ');
  code.open(`if (${whole})`);
  for (const { to, at, step, rows, columns } of opened) {
    code.line(`UNROLL for (int r = 0; r < ${rows}; ++r, ${at} += ${step}) ldn<${columns}>(&${to}[r * ${columns}], ${at});`);
  }
  code.close();
  code.open('else');
  for (const { to, at, step, from, end, rows, columns, there } of opened) {
    const exists = [`r >= ${from}`, `r < ${end}`, ...there].join(' && ');
    const here = `&${to}[r * ${columns}]`;
    const take = `if (${exists}) ldn<${columns}>(${here}, ${at}); else zeron<${columns}>(${here});`;
    code.line(`UNROLL for (int r = 0; r < ${rows}; ++r, ${at} += ${step}) { ${take} }`);
  }
  code.close();
  for (const { to, from, before, columns, edge } of opened) edgeText(w, { name: to, from, before, columns }, edge, place);
  code.close();
}

/** Puts down what lies before the run; few threads have a row of that, among their first ones. */
export function edgeText(
  w: Writer, window: { readonly name: string; readonly from: string; readonly before: number; readonly columns: number },
  edge: Window['edge'], place: Place,
): void {
  if (edge.size === 0) return;
  const { code } = w;
  code.open(`if (${window.from} > 0)`);
  for (const [at, tile] of edge) {
    const op = w.uses.defs.get(tile)?.op;
    if (op?.op !== 'load') throw new Error(`${w.kernel.name}: what lies before a run is in memory`);
    code.open('');
    loadText(w, tile, op, place);
    const put = w.at(tile, '0', window.columns === 1 ? '0' : 'j');
    const columns = window.columns === 1 ? '' : `UNROLL for (int j = 0; j < ${window.columns}; ++j) `;
    const to = `${window.name}[r * ${window.columns}${window.columns === 1 ? '' : ' + j'}]`;
    code.line(`UNROLL for (int r = 0; r < ${window.before}; ++r) if (r == ${window.from} - ${at}) ${columns}${to} = ${put};`);
    code.close();
  }
  code.close();
}

/** A load of rows that a window holds. */
export function takeFromWindow(w: Writer, tile: TileId, { buffer, back = 0 }: Extract<TileOp, { op: 'load' }>, { before }: Window): void {
  const { axes } = w.kernel.tiles[tile];
  const columns = w.regs(axes, 'lane');
  w.declare(tile);
  w.each(axes, (i, j) => `${w.at(tile, i, j)} = ${windowName(w, buffer)}[(${i} + ${before - back}) * ${columns} + ${j}];`);
}

const most = (near: Near) => Math.max(...near.backs.values());
/** How many rows more than a thread's own there are of tiles of rows near others. */
const spanOf = (near: Near) => most(near) - Math.min(...near.backs.values());
const madeName = (near: Near) => `made_${near.like}`;

/** A tile of rows near others: the first makes them all, or those that turns before have not. */
export function nearText(w: Writer, tile: TileId, near: Near): void {
  const { axes } = w.kernel.tiles[tile];
  const columns = w.regs(axes, 'lane');
  const name = madeName(near);
  const [own, span] = [w.regs(axes, 'warp'), spanOf(near)];
  if (tile === near.like) {
    w.code.line(`float ${name}[${(own + span) * columns}];`);
    if (w.layout.turns === undefined) makeText(w, near, { first: 0, end: own + span, name: (of) => of });
    else {
      if (span > 0) w.code.line(`UNROLL for (int k = 0; k < ${span * columns}; ++k) ${name}[k] = ${keptName(name)}[k];`);
      makeText(w, near, { first: span, end: own + span, name: (of) => of });
      keepMade(w, near, columns);
    }
  }
  w.declare(tile);
  const at = most(near) - (near.backs.get(tile) ?? 0);
  w.each(axes, (i, j) => `${w.at(tile, i, j)} = ${name}[(${i} + ${at}) * ${columns} + ${j}];`);
}

/** Before the first turn: what it shares with one before, of what that would have kept. */
export function nearBefore(w: Writer, near: Near): void {
  const span = spanOf(near);
  if (span === 0) return;
  w.code.line(`float ${keptName(madeName(near))}[${span * w.regs(w.kernel.tiles[near.like].axes, 'lane')}];`);
  makeText(w, near, { first: 0, end: span, name: keptName });
}

/** What the next turn shares with this one. */
function keepMade(w: Writer, near: Near, columns: number): void {
  const name = madeName(near);
  const [own, span] = [w.regs(w.kernel.tiles[near.like].axes, 'warp'), spanOf(near)];
  if (span > 0) w.code.line(`UNROLL for (int k = 0; k < ${span * columns}; ++k) ${keptName(name)}[k] = ${name}[k + ${own * columns}];`);
}

interface Made {
  readonly first: number;
  readonly end: number;
  /** The array in which rows are, told its name in turns. */
  name(of: string): string;
}

/** Makes rows of a tile of rows near others. */
function makeText(w: Writer, near: Near, { first, end, name }: Made): void {
  const { code, kernel, layout: { windows }, uses } = w;
  const columns = w.regs(kernel.tiles[near.like].axes, 'lane');
  /** Of this row, the row of the tile `like`. */
  const shift = (near.backs.get(near.like) ?? 0) - most(near);
  const opOf = (tile: TileId) => uses.defs.get(tile)?.op;
  const text = (tile: TileId): string => {
    if (!kernel.tiles[tile].axes.includes(ROW)) return w.at(tile, '0', columns === 1 ? '0' : 'j');
    const op = opOf(tile);
    if (op?.op === 'put') return text(op.arg);
    if (op?.op !== 'load') return `n${tile}`;
    const before = windows?.get(op.buffer)?.before ?? 0;
    const width = w.regs(kernel.tiles[tile].axes, 'lane');
    return `${name(windowName(w, op.buffer))}[(r + ${shift + before - (op.back ?? 0)}) * ${width} + ${width === 1 ? '0' : 'j'}]`;
  };
  /** What a tile is made of, and how. */
  const valueOf = (tile: TileId): { readonly args: readonly TileId[]; readonly value: string } => {
    const op = opOf(tile);
    const sloped = siluSlopeOf(opOf, tile);
    if (sloped !== undefined) return { args: [sloped], value: `m_silu_slope(${text(sloped)})` };
    if (op?.op !== 'map') throw new Error(`${kernel.name}: ${op?.op} of rows near others`);
    const inner = opOf(op.args[0]);
    // It is made of the same numbers as that of what it is minus of.
    if (op.fn === 'sigmoid' && inner?.op === 'map' && inner.fn === 'neg') {
      return { args: inner.args, value: `m_sigmoid_minus(${text(inner.args[0])})` };
    }
    return { args: op.args, value: scalarText(op.fn, op.args.map(text)) };
  };
  const read = new Set([near.like]);
  for (const tile of [...near.made].reverse()) if (read.has(tile)) for (const arg of valueOf(tile).args) read.add(arg);
  code.open(`UNROLL for (int r = ${first}; r < ${end}; ++r)${columns === 1 ? '' : ` UNROLL for (int j = 0; j < ${columns}; ++j)`}`);
  for (const tile of near.made) if (read.has(tile)) code.line(`const float n${tile} = ${valueOf(tile).value};`);
  code.line(`${name(madeName(near))}[r * ${columns}${columns === 1 ? '' : ' + j'}] = n${near.like};`);
  code.close();
}
