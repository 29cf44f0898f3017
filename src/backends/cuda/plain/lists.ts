import { ROW, withoutAxes, type Axis } from '../../../ir/common/axes.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import type { Place } from '../address.js';
import { usesOf } from '../uses.js';
import { flat, spotAt } from './element.js';
import { arrayAxes } from './storage.js';
import { indexName, openOver, type PlainWriter } from './writer.js';

/**
 * In the stage: counters, and of a queue which rows have each number, a bit for each, which a tally right behind it counts. No order of
 * threads makes another number.
 */
export function countText(w: PlainWriter, tile: TileId, op: Extract<TileOp, { op: 'tally' | 'queue' }>, place: Place): void {
  const { code, elements, barriers, array, axesOf, overElements } = w;
  const marked = op.op === 'queue' || follows(w, tile, op);
  const words = marked ? Math.ceil(elements.size(ROW) / 32) : 1;
  const sources = marked && op.op === 'tally' ? [] : operandsOf(op);
  const writes = [array(tile)];
  const row = indexName(ROW);
  const marks = (of: string, n: string): string => `((u32*)stage)[(${of}) * ${words} + ${n}]`;
  barriers.before(sources, writes);
  if (op.op === 'queue' || !marked) {
    barriers.stage();
    const total = op.axes.reduce((n, axis) => n * elements.size(axis), words);
    openOver(w, total);
    code.line('((u32*)stage)[i] = 0;');
    code.close();
    barriers.force();
    overElements(axesOf(op.arg), 1, (at) => {
      code.line(`const int of = (int)${elements.value(op.arg, spotAt(at, place))('0')};`);
      const [word, mark] = marked ? [`(of - 1) * ${words} + ${row} / 32`, `1u << ${row} % 32`] : ['of - 1', '1u'];
      code.line(`if (of > 0) atomicAdd((u32*)stage + (${word}), ${mark});`);
    });
    barriers.force();
  }
  overElements(axesOf(tile), 1, (at) => {
    if (op.op === 'tally') {
      const number = flat(op.axes, elements.size, (axis) => at.get(axis) ?? '0');
      const counts = Array.from({ length: words }, (_, n) => (marked ? `__popc(${marks(number, String(n))})` : marks(number, '0')));
      elements.put(tile, spotAt(at, place), () => `(float)(${counts.join(' + ')})`);
      return;
    }
    code.line(`const int of = (int)${elements.value(op.arg, spotAt(at, place))('0')};`);
    code.line('float place = -1.f;');
    code.open('if (of > 0)');
    code.line(`place = ${elements.value(op.first, spotAt(elements.decoded(op.axes, '(of - 1)'), place))('0')};`);
    code.line(`for (int n = 0; n < ${row} / 32; ++n) place += (float)__popc(${marks('of - 1', 'n')});`);
    code.line(`place += (float)__popc(${marks('of - 1', `${row} / 32`)} & ((1u << ${row} % 32) - 1));`);
    code.close();
    elements.put(tile, spotAt(at, place), () => 'place');
  });
  barriers.access(sources, writes);
  barriers.stageRead();
}

/** Is a tally behind a queue of the same numbers, and nothing but stores between them? */
function follows({ kernel }: PlainWriter, tile: TileId, { arg, axes }: Extract<TileOp, { op: 'tally' | 'queue' }>): boolean {
  const body = usesOf(kernel).defs.get(tile)?.body ?? [];
  const before = body.slice(0, body.findIndex((stmt) => stmt.kind === 'let' && stmt.tile === tile)).filter(({ kind }) => kind !== 'store');
  const last = before[before.length - 1];
  return last?.kind === 'let' && last.op.op === 'queue' && last.op.arg === arg && last.op.axes.join() === axes.join();
}

/** One column a warp, a piece of it after the other. */
export function runningText(w: PlainWriter, tile: TileId, op: Extract<TileOp, { op: 'cumsum' }>, axis: Axis, place: Place): void {
  const { code, elements, barriers, array, axesOf } = w;
  barriers.before([op.arg], [array(tile)]);
  overColumns(w, withoutAxes(arrayAxes(axesOf(tile)), [axis]), (at) => {
    code.line('float before = 0.f;');
    code.open(`for (int j = threadIdx.x & 31; j < ${Math.ceil(elements.size(axis) / 32) * 32}; j += 32)`);
    const spot = spotAt(new Map(at).set(axis, 'j'), place);
    code.line('float own = 0.f;');
    code.open(`if (j < ${elements.size(axis)})`);
    code.line(`own = ${elements.value(op.arg, spot)('0')};`);
    code.close();
    code.line(`own = running_sum<${op.exclusive}>(own, before);`);
    code.open(`if (j < ${elements.size(axis)})`);
    elements.put(tile, spot, () => 'own');
    code.close();
    code.close();
  });
  barriers.access([op.arg], [array(tile)]);
}

/** A loop of the warps over columns. */
export function overColumns(w: PlainWriter, columns: readonly Axis[], body: (at: Map<Axis, string>) => void): void {
  const { code, elements } = w;
  openOver(w, columns.reduce((n, axis) => n * elements.size(axis), 1), 32);
  body(elements.decoded(columns, 'i'));
  code.close();
}

/** One column a warp. */
export function packText(w: PlainWriter, tile: TileId, op: Extract<TileOp, { op: 'pack' }>, place: Place): void {
  const { code, elements, barriers, array, axesOf } = w;
  const sources = operandsOf(op);
  const total = op.axes.reduce((n, axis) => n * elements.size(axis), 1);
  barriers.before(sources, [array(tile)]);
  overColumns(w, withoutAxes(arrayAxes(axesOf(tile)), [op.to]), (at) => {
    const here = new Map([...at, ...elements.decoded(op.axes, '(n * 32 + (int)(threadIdx.x & 31))')]);
    code.open('const auto held = [&](int n)');
    if (total % 32 !== 0) code.line(`if (n * 32 + (int)(threadIdx.x & 31) >= ${total}) return false;`);
    code.line(`return ${elements.value(op.held, spotAt(here, place))('0')} != 0.f;`);
    code.close(';');
    const seat = spotAt(new Map(at).set(op.to, 'seat'), place);
    code.open('const auto put = [&](int seat, int n)');
    const value = elements.value(op.arg, spotAt(here, place))('0');
    elements.put(tile, seat, () => value);
    code.close(';');
    code.open('const auto none = [&](int seat)');
    elements.put(tile, seat, () => '0.f');
    code.close(';');
    code.line(`pack<${Math.ceil(total / 32)}, ${elements.size(op.to)}>(held, put, none);`);
  });
  barriers.access(sources, [array(tile)]);
}

/** Zeros, and what there is over them. */
export function unpackText(w: PlainWriter, tile: TileId, op: Extract<TileOp, { op: 'unpack' }>, place: Place): void {
  const { code, elements, barriers, array, axesOf, overElements } = w;
  const own = arrayAxes(axesOf(tile));
  const sources = operandsOf(op);
  barriers.before(sources, [array(tile)]);
  overElements(own, 1, (at) => elements.put(tile, spotAt(at, place), () => '0.f'));
  barriers.force();
  overElements([...withoutAxes(own, op.axes), op.from], 1, (at) => {
    const spot = spotAt(at, place);
    code.line(`const int of = (int)${elements.value(op.number, spot)('0')};`);
    code.open('if (of > 0)');
    const value = elements.value(op.arg, spot)('0');
    elements.put(tile, spotAt(new Map([...at, ...elements.decoded(op.axes, '(of - 1)')]), place), () => value);
    code.close();
  });
  barriers.access(sources, [array(tile)]);
}
