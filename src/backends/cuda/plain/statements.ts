import { COL, isCut, ROW, runsOf, sameAxes, withoutAxes, type Axis } from '../../../ir/common/axes.js';
import { storedBuffers } from '../../../ir/tile/buffers.js';
import { isRows } from '../../../ir/tile/domain.js';
import { isElementwise, operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileOp, TileStore } from '../../../ir/tile/tile.js';
import { bufferNamed, type Place } from '../address.js';
import { floatLiteral } from '../code.js';
import { spotAt, type Spot } from './element.js';
import { rowsText } from '../prologue.js';
import { countText, overColumns, packText, runningText, unpackText } from './lists.js';
import { decayCall, decayOperands, foldText, type DecayOp } from './folds.js';
import { productAxes } from './homes.js';
import { arrayAxes, pitchOf } from './storage.js';
import { indexName, openOver, type PlainWriter } from './writer.js';

/** Folds one axis of an expression: over the lanes of a warp where the axis is contiguous, else one thread per result. */
function foldAxis(
  w: PlainWriter, tile: TileId, axis: Axis, all: readonly Axis[], sources: readonly TileId[], place: Place, how: 'sum' | 'max' | 'min',
  term: (spot: Spot) => string,
): void {
  const { code, elements, barriers, array, axesOf, overElements } = w;
  const { size } = elements;
  const axes = arrayAxes(axesOf(tile));
  const start = how === 'sum' ? '0.f' : floatLiteral(how === 'max' ? -Infinity : Infinity);
  const step = (x: string) => (how === 'sum' ? `acc += ${x};` : `acc = ${how}_nan(acc, ${x});`);
  const fn = how === 'sum' ? 'fold_sum' : `${how}_nan`;
  const total = axes.reduce((n, each) => n * size(each), 1);
  const across = size(axis) >= 32 && (axes.length === 0 || arrayAxes(all)[all.length - 1] === axis);
  const writes = axes.length === 0 ? [] : [array(tile)];
  barriers.before(sources, writes);
  const terms = (at: Map<Axis, string>, first: string, by: number) => {
    code.line(`float acc = ${start};`);
    code.line('#pragma unroll 4');
    code.open(`for (int j = ${first}; j < ${size(axis)}; j += ${by})`);
    code.line(step(term(spotAt(new Map(at).set(axis, 'j'), place))));
    code.close();
  };
  const lane = '(int)(threadIdx.x & 31)';
  const folded = `lanes_fold(acc, [](float x, float y) { return ${fn}(x, y); })`;
  if (axes.length === 0) {
    // Every warp computes the number for itself.
    code.open('');
    terms(new Map(), across ? lane : '0', across ? 32 : 1);
    code.line(`t${tile} = ${across ? folded : 'acc'};`);
    code.close();
  } else if (across) {
    openOver(w, total, 32);
    const at = elements.decoded(axes, 'i');
    terms(at, lane, 32);
    code.line(`acc = ${folded};`);
    code.open('if ((threadIdx.x & 31) == 0)');
    elements.put(tile, spotAt(at, place), () => 'acc');
    code.close();
    code.close();
  } else {
    overElements(axes, 1, (at) => {
      terms(at, '0', 1);
      elements.put(tile, spotAt(at, place), () => 'acc');
    });
  }
  barriers.access(sources, writes);
}

function decayText(w: PlainWriter, tile: TileId, op: DecayOp, place: Place): void {
  const { cx, code, elements, barriers, array, overElements, widthOf } = w;
  const { size } = elements;
  const channels = size(op.axis);
  const pitch = pitchOf([ROW, op.axis], size);
  const scores = pitchOf([ROW, COL], size);
  const { a, b } = decayOperands(op);
  barriers.before([op.g], []);
  barriers.stage();
  const width = widthOf([ROW, op.axis], op.g);
  overElements([ROW, op.axis], width, (at) => {
    const spot = spotAt(at, place, op.axis, width);
    const g = elements.value(op.g, spot);
    code.line(
      width === 1 ? `stage[${indexName(ROW)} * ${pitch} + ${indexName(op.axis)}] = m_exp(${g('0')});`
      : `UNROLL for (int e = 0; e < ${width}; ++e) stage[${indexName(ROW)} * ${pitch} + ${indexName(op.axis)} + e] = m_exp(${g('e')});`
    );
  });
  barriers.force();
  code.line(decayCall(
    op, cx.module.chunk, channels, pitch, scores, { out: `t${array(tile)}`, a: `t${array(a)}`, b: `t${array(b)}`, decay: 'stage' },
  ));
  barriers.access([a, b], [array(tile)]);
  barriers.stageRead();
}

/** One column after the other, by the whole block. */
function nthText(w: PlainWriter, tile: TileId, op: Extract<TileOp, { op: 'nth' }>, place: Place): void {
  const { kernel, code, elements, barriers, array, axesOf } = w;
  const axes = axesOf(tile);
  const sources = operandsOf(op);
  const writes = axes.length === 0 ? [] : [array(tile)];
  barriers.before(sources, writes);
  barriers.stage();
  code.open(`for (int i = 0; i < ${axes.reduce((n, axis) => n * elements.size(axis), 1)}; ++i)`);
  const spot = spotAt(elements.decoded(axes, 'i'), place);
  const [count, of] = sources.map((source) => elements.value(source, spot)('0'));
  const { first, end } = rowsText(kernel, place);
  const { pointer, stride } = elements.column(op.buffer, spot);
  const rows = `${pointer}, ${stride}, ${first}, ${end}, ${count}`;
  const call = op.of === undefined ? `nth(${rows}, (u32*)stage)` : `nth_row(${rows}, ${of}, (u32*)stage)`;
  if (axes.length === 0) code.line(`t${tile} = ${call};`);
  else {
    code.line(`const float found = ${call};`);
    code.open('if (threadIdx.x == 0)');
    elements.put(tile, spot, () => 'found');
    code.close();
  }
  code.close();
  barriers.access(sources, writes);
  barriers.stageRead();
}

/** One column a warp. */
function topText(w: PlainWriter, tile: TileId, op: Extract<TileOp, { op: 'top' }>, place: Place): void {
  const { code, elements, barriers, array, axesOf } = w;
  const total = op.axes.reduce((n, axis) => n * elements.size(axis), 1);
  barriers.before([op.arg, op.count], [array(tile)]);
  overColumns(w, withoutAxes(arrayAxes(axesOf(tile)), op.axes), (at) => {
    const of = (number: string): Map<Axis, string> => new Map([...at, ...elements.decoded(op.axes, number)]);
    const count = elements.value(op.count, spotAt(at, place))('0');
    code.open('const auto get = [&](int, int j)');
    const found = elements.value(op.arg, spotAt(of('j'), place))('0');
    code.line(`return ${found};`);
    code.close(';');
    code.open('const auto put = [&](int, int j, float holds)');
    elements.put(tile, spotAt(of('j'), place), () => 'holds');
    code.close(';');
    code.line(`top<${total}>(${count}, get, put);`);
  });
  barriers.access([op.arg, op.count], [array(tile)]);
}

/** Writes one statement. */
export function letText(w: PlainWriter, tile: TileId, op: TileOp, place: Place): void {
  const { cx, kernel, code, elements, barriers, array, axesOf, overElements } = w;
  const { size } = elements;
  for (const text of w.notes.tile(tile)) code.line(text);
  if (isElementwise(op)) {
    // What this kernel has stored may be what it reads.
    if (op.op === 'load' && storedBuffers(kernel.body).includes(op.buffer)) barriers.flush();
    w.assign(tile, operandsOf(op), place, (spot) => elements.operation(tile, op, spot), op.op === 'shift');
    return;
  }
  switch (op.op) {
    case 'runs': {
      const runs = runsOf(op.axis, op.length);
      barriers.before([op.arg], [array(tile)]);
      overElements(arrayAxes(axesOf(tile)), 1, (at) => {
        code.line('float acc = 0.f;');
        code.open(`for (int j = 0; j < ${op.length}; ++j)`);
        const spot = spotAt(new Map(at).set(op.axis, `(${at.get(runs)} * ${op.length} + j)`), place);
        code.line(`acc += ${elements.value(op.arg, spot)('0')};`);
        code.close();
        elements.put(tile, spotAt(at, place), () => 'acc');
      });
      barriers.access([op.arg], [array(tile)]);
      return;
    }
    case 'reduce':
      foldAxis(w, tile, op.axis, axesOf(op.arg), [op.arg], place, op.reduce, (spot) => elements.value(op.arg, spot)('0'));
      return;
    case 'contract': case 'compose': {
      if (productAxes(kernel, op) !== undefined) {
        barriers.before([op.a, op.b], [array(tile)]);
        w.products(
          [{ tile, op }], arrayAxes(axesOf(tile)), place, (spot) => elements.put(tile, spot, spot.sums.get(tile) ?? (() => '0.f')),
        );
        barriers.access([op.a, op.b], [array(tile)]);
        return;
      }
      if (op.op === 'compose') throw new Error('compose of what is no matrix');
      const all = [...new Set([...axesOf(op.a), ...axesOf(op.b)])];
      foldAxis(
        w, tile, op.axis, all, [op.a, op.b], place, 'sum',
        (spot) => `${elements.value(op.a, spot)('0')} * ${elements.value(op.b, spot)('0')}`,
      );
      return;
    }
    case 'cumsum': case 'recur': case 'dgate': {
      if (op.op === 'cumsum' && op.axis !== undefined && !op.reverse && !op.decays) {
        runningText(w, tile, op, op.axis, place);
        return;
      }
      const axes = arrayAxes(axesOf(tile));
      barriers.before(operandsOf(op), [array(tile)]);
      foldText(op, {
        code, chunk: cx.module.chunk, size, axes,
        out: (at) => elements.arrayAt(array(tile), at),
        element: (id, at) => elements.value(id, spotAt(at, place))('0'),
        over: (wanted, body) => overElements(wanted, 1, body),
      });
      barriers.access(operandsOf(op), [array(tile)]);
      return;
    }
    case 'inverse': {
      barriers.before([op.arg], [array(tile)]);
      barriers.stage();
      code.line(`inverse<${cx.module.chunk}, ${pitchOf([ROW, COL], size)}>(t${array(tile)}, t${array(op.arg)}, stage);`);
      barriers.force();
      return;
    }
    case 'dscore': case 'dscoreRow': case 'dscoreCol': decayText(w, tile, op, place); return;
    case 'nth': nthText(w, tile, op, place); return;
    case 'top': topText(w, tile, op, place); return;
    case 'tally': case 'queue': countText(w, tile, op, place); return;
    case 'pack': packText(w, tile, op, place); return;
    case 'unpack': unpackText(w, tile, op, place); return;
  }
  op satisfies never;
}

export function storeText(w: PlainWriter, stmt: TileStore, place: Place): void {
  const { buffer: name, value, by } = stmt;
  const { cx, kernel, code, elements, barriers, blocks, axesOf } = w;
  const buffer = bufferNamed(cx.module, name);
  const tokens = isRows(buffer) && place.row === undefined;
  const row = axesOf(value).includes(COL) && !axesOf(value).includes(ROW) ? COL : ROW;
  const picks = by === undefined ? [] : bufferNamed(cx.module, by).axes;
  const all = tokens ? [row, ...picks, ...buffer.axes] : buffer.axes;
  const running = w.runningIn(value);
  for (const text of w.notes.store(stmt)) code.line(text);
  barriers.before([value], []);
  barriers.buffer(name);
  // A value without the split axis is the same in every block: the first writes it.
  const once = kernel.split !== undefined && !all.some((axis) => isCut(axis, kernel.split)) && blocks > 1;
  const write = (spot: Spot) => {
    if (by === undefined) elements.store(name, spot, elements.value(value, spot));
    else elements.scatter(name, by, value, spot);
  };
  if (running.length > 0 && by === undefined && sameAxes(all, axesOf(running[0].tile))) {
    w.products(running, all, place, (spot) => {
      if (once) code.open('if (v0 == 0)');
      write(spot);
      if (once) code.close();
    });
  } else {
    if (once) code.open('if (v0 == 0)');
    if (all.length === 0) {
      code.open('if (threadIdx.x == 0)');
      write(spotAt(new Map(), place));
      code.close();
    } else {
      const width = by === undefined ? w.widthOf(all, value) : 1;
      w.overElements(all, width, (at) => write(spotAt(at, place, all[all.length - 1], width)));
    }
    if (once) code.close();
  }
  barriers.access([value], []);
}
