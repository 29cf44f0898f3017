import { ROW } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import { bufferNamed, outerStride, type Place } from '../address.js';
import { cellPointer, sourcePresence } from '../lowered.js';
import { elementOf, loadText, type Writer } from './values.js';
import type { Window } from './windows.js';

/** C name of the rows that a thread has of a buffer. */
export const windowName = (w: Writer, buffer: string) => `near_${w.cx.module.buffers.findIndex(({ name }) => name === buffer)}`;

/** Takes the rows that a thread needs of a buffer, zeros where its run has none. */
export function openWindow(w: Writer, name: string, { before, after, edge }: Window, place: Place): void {
  const { cx, code } = w;
  const source = { buffer: bufferNamed(cx.module, name) };
  const axes = [ROW, ...source.buffer.axes];
  const columns = w.regs(axes, 'lane');
  const rows = w.regs(axes, 'warp') + before + after;
  const start = `(${w.index(ROW, '0', '0')} - ${before})`;
  const to = `&${windowName(w, name)}[r * ${columns}]`;
  const there = [sourcePresence(source), w.live(axes, '0', '0')].filter((text) => text !== undefined && text !== '');
  const exists = ['r >= from', 'r < to', ...there].join(' && ');
  code.line(`float ${windowName(w, name)}[${rows * columns}];`);
  code.open('');
  const cell = cellPointer(cx.module, source, { ...place, first: `(${place.first} + ${start})` });
  code.line(`auto* const at = ${[cell, elementOf(w, source.buffer, '0', '0')].filter((text) => text !== '').join(' + ')};`);
  code.line(`const i64 step = ${outerStride(cx.module, source.buffer)};`);
  code.line(`const int from = ${place.runFirst} - ${place.first} - ${start}, to = ${place.runEnd} - ${place.first} - ${start};`);
  const take = `if (${exists}) ldn<${columns}>(${to}, at + r * step); else zeron<${columns}>(${to});`;
  code.line(`UNROLL for (int r = 0; r < ${rows}; ++r) { ${take} }`);
  edgeText(w, { name: windowName(w, name), before, columns }, edge, place);
  code.close();
}

/** Puts down what lies before the run; few threads have a row of that, among their first ones. */
function edgeText(
  w: Writer, window: { readonly name: string; readonly before: number; readonly columns: number }, edge: Window['edge'], place: Place,
): void {
  if (edge.size === 0) return;
  const { code } = w;
  code.open('if (from > 0)');
  for (const [at, tile] of edge) {
    const op = w.uses.defs.get(tile)?.op;
    if (op?.op !== 'load') throw new Error(`${w.kernel.name}: what lies before a run is in memory`);
    code.open('');
    loadText(w, tile, op, place);
    const put = w.at(tile, '0', window.columns === 1 ? '0' : 'j');
    const columns = window.columns === 1 ? '' : `UNROLL for (int j = 0; j < ${window.columns}; ++j) `;
    const to = `${window.name}[r * ${window.columns}${window.columns === 1 ? '' : ' + j'}]`;
    code.line(`UNROLL for (int r = 0; r < ${window.before}; ++r) if (r == from - ${at}) ${columns}${to} = ${put};`);
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
