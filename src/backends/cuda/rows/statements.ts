import { ROW, sameAxes, unionAxes, withoutAxes, type Axis } from '../../../ir/common/axes.js';
import { isElementwise } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileOp, TileStore } from '../../../ir/tile/tile.js';
import type { Notes } from '../../notes.js';
import { bufferNamed, type Place } from '../address.js';
import { floatLiteral, type Code } from '../code.js';
import type { CudaContext } from '../lowered.js';
import { flat, spotAt, type Elements, type Neighbours, type Spot } from '../plain/element.js';
import { leavesOf, type Homes } from '../plain/homes.js';
import { indexName } from '../plain/writer.js';
import { WARP, type RowsLayout } from './layout.js';

export interface RowsWriter {
  readonly cx: CudaContext;
  readonly kernel: TileKernel;
  readonly code: Code;
  readonly elements: Elements;
  readonly layout: RowsLayout;
  readonly homes: Homes;
  /** Lists that are made together, by the first of them. */
  readonly packs: ReturnType<typeof packsTogether>;
  readonly place: Place;
  readonly notes: Notes;
}

/** Neighbours that are worked out together. */
interface Step {
  readonly axis: Axis | undefined;
  readonly width: number;
}

const ALONE: Step = { axis: undefined, width: 1 };

type At = ReadonlyMap<Axis, string>;

/** Loops over what a lane has of some axes; elements beyond the end of an axis are left out. */
function over(w: RowsWriter, axes: readonly Axis[], step: Step, body: (at: At) => void): void {
  const { code, elements, layout: { spread, units } } = w;
  const at = new Map<Axis, string>([[ROW, 'row']]);
  let opened = 0;
  const open = (text: string): void => {
    code.open(text);
    opened++;
  };
  for (const axis of withoutAxes(axes, [ROW])) {
    const one = spread.get(axis);
    const name = indexName(axis);
    const here = axis === step.axis ? step.width : 1;
    if (one === undefined) {
      open(`UNROLL for (int ${name} = 0; ${name} < ${elements.size(axis)}; ${name} += ${here})`);
      at.set(axis, name);
      continue;
    }
    const piece = WARP * one.vec;
    // Neighbours one by one, where they are not worked out together.
    const apart = here < one.vec;
    const first = one.pieces === 1 ? '0' : apart ? `${name}_` : name;
    const number = apart ? name : first;
    if (one.pieces > 1) open(`UNROLL for (int ${first} = 0; ${first} < ${one.pieces * piece}; ${first} += ${piece})`);
    if (apart) open(`UNROLL for (int ${name} = ${first}; ${name} < ${first} + ${one.vec}; ++${name})`);
    const index = number === '0' ? elements.first(axis) : `${elements.first(axis)} + ${number}`;
    if (one.total % (piece * one.pieces * units) !== 0) open(`if (${index} < ${one.total})`);
    at.set(axis, number);
  }
  if (opened === 0) open('');
  body(at);
  for (; opened > 0; --opened) code.close();
}

/** What is worked out together of a tile with these axes: a lane's neighbours, or four of an axis that every lane has. */
function stepOf({ elements, layout: { spread } }: RowsWriter, axes: readonly Axis[]): Step {
  const wide = axes.find((axis) => (spread.get(axis)?.vec ?? 1) > 1);
  if (wide !== undefined) return { axis: wide, width: spread.get(wide)?.vec ?? 1 };
  const last = axes[axes.length - 1];
  if (last === undefined || last === ROW || spread.has(last) || elements.size(last) % 4 !== 0) return ALONE;
  return { axis: last, width: 4 };
}

const spotOf = ({ place }: RowsWriter, at: At, { axis, width }: Step): Spot => spotAt(at, place, axis, width);

/** Writes one statement. */
export function letText(w: RowsWriter, tile: TileId, op: TileOp): void {
  const { code, kernel: { tiles }, elements, notes } = w;
  const { axes } = tiles[tile];
  for (const text of notes.tile(tile)) code.line(text);
  if (isElementwise(op)) {
    const step = stepOf(w, axes);
    over(w, axes, step, (at) => {
      const spot = spotOf(w, at, step);
      put(w, tile, spot, elements.operation(tile, op, spot));
    });
    return;
  }
  switch (op.op) {
    case 'reduce': foldText(w, tile, op.axis, op.reduce, (spot) => elements.value(op.arg, spot)); return;
    case 'contract': foldText(w, tile, op.axis, 'sum', (spot) => {
      const [a, b] = [elements.value(op.a, spot), elements.value(op.b, spot)];
      return (e) => `${a(e)} * ${b(e)}`;
    }); return;
    case 'cumsum': runningText(w, tile, op); return;
    case 'top': topText(w, tile, op); return;
    case 'pack': packText(w, tile, op); return;
    case 'unpack': unpackText(w, tile, op); return;
    default: throw new Error(`${op.op} in a kernel of rows`);
  }
}

function put({ code, homes, elements }: RowsWriter, tile: TileId, spot: Spot, value: Neighbours): void {
  if (homes.get(tile)?.kind === 'scalar') code.line(`t${tile} = ${value('0')};`);
  else elements.put(tile, spot, value);
}

const FOLDS = {
  sum: { start: '0.f', step: (x: string, y: string) => `${x} + ${y}`, fn: 'fold_sum' },
  max: { start: floatLiteral(-Infinity), step: (x: string, y: string) => `max_nan(${x}, ${y})`, fn: 'max_nan' },
  min: { start: floatLiteral(Infinity), step: (x: string, y: string) => `min_nan(${x}, ${y})`, fn: 'min_nan' },
} as const;

/** Folds an axis: what a lane has of it in order, then over the lanes, always in the same one. */
function foldText(w: RowsWriter, tile: TileId, axis: Axis, how: keyof typeof FOLDS, term: (spot: Spot) => Neighbours): void {
  const { code, kernel: { tiles }, layout: { spread } } = w;
  const { axes } = tiles[tile];
  const { start, step: next, fn } = FOLDS[how];
  const own = stepOf(w, axes);
  // Neighbours of the result, or else those along the axis that is folded.
  const kept = own.axis !== undefined && !spread.has(axis) ? own : ALONE;
  const within = kept.axis === undefined ? stepOf(w, [axis]) : kept;
  const alone = within.axis === axis;
  over(w, axes, kept, (at) => {
    code.line(`float acc[${kept.width}];`);
    code.line(`UNROLL for (int e = 0; e < ${kept.width}; ++e) acc[e] = ${start};`);
    over(w, [axis], alone ? within : ALONE, (inner) => {
      const value = term(spotOf(w, new Map([...at, ...inner]), within));
      const to = alone ? 'acc[0]' : 'acc[e]';
      code.line(`UNROLL for (int e = 0; e < ${within.width}; ++e) ${to} = ${next(to, value('e'))};`);
    });
    if (spread.has(axis)) code.line(`acc[0] = lanes_fold(acc[0], [](float x, float y) { return ${fn}(x, y); });`);
    put(w, tile, spotOf(w, at, kept), (e) => `acc[${e}]`);
  });
}

/** A running sum along an axis, from its first element. */
function runningText(w: RowsWriter, tile: TileId, { axis, arg, exclusive }: Extract<TileOp, { op: 'cumsum' }>): void {
  const { code, kernel: { tiles }, elements, layout: { spread } } = w;
  if (axis === undefined) throw new Error('a running sum of rows in a kernel of rows');
  over(w, withoutAxes(tiles[tile].axes, [axis]), ALONE, (at) => {
    code.line('float before = 0.f;');
    const one = spread.get(axis);
    if (one === undefined) {
      over(w, [axis], ALONE, (inner) => {
        const spot = spotOf(w, new Map([...at, ...inner]), ALONE);
        code.line(`const float own = ${elements.value(arg, spot)('0')}, sum = before + own;`);
        put(w, tile, spot, () => (exclusive ? 'before' : 'sum'));
        code.line('before = sum;');
      });
      return;
    }
    // All lanes take part, beyond the end of the axis with nothing.
    for (let piece = 0; piece < one.pieces; ++piece) {
      const here = new Map(at).set(axis, String(piece * WARP));
      const whole = (piece + 1) * WARP <= one.total;
      code.open('');
      code.line('float own = 0.f;');
      code.open(whole ? '' : `if (${elements.first(axis)} + ${piece * WARP} < ${one.total})`);
      code.line(`own = ${elements.value(arg, spotOf(w, here, ALONE))('0')};`);
      code.close();
      code.line(`own = running_sum<${exclusive}>(own, before);`);
      put(w, tile, spotOf(w, here, ALONE), () => 'own');
      code.close();
    }
  });
}

/** Where the elements of a row are that a lane has, the `i`-th of them: their numbers are those of lanes, one warp after the other. */
function ofLane({ elements }: RowsWriter, axes: readonly Axis[], at: At): At {
  const last = axes[axes.length - 1];
  if (axes.length === 1) return new Map(at).set(last, `i * ${WARP}`);
  const turns = Math.ceil(elements.size(last) / WARP);
  return new Map([...at, [last, `(i % ${turns} * ${WARP})`], ...elements.decoded(axes.slice(0, -1), `i / ${turns}`)]);
}

const many = ({ elements }: RowsWriter, axes: readonly Axis[]): number => axes.reduce((n, axis) => n * elements.size(axis), 1);

type Pack = Extract<TileOp, { op: 'pack' }>;

/** Lists of the same elements, by the statement of the first: their operands are there already. */
export function packsTogether(kernel: TileKernel, homes: Homes): ReadonlyMap<TileId, readonly (readonly [TileId, Pack])[]> {
  const groups = new Map<TileId, (readonly [TileId, Pack])[]>();
  const made = new Map<TileId, number>();
  kernel.body.forEach((stmt, at) => {
    if (stmt.kind !== 'let') return;
    made.set(stmt.tile, at);
    const { tile, op } = stmt;
    if (op.op !== 'pack') return;
    const first = [...groups].find(([head, [[, one]]]) => (
      one.held === op.held && one.to === op.to && one.axes.join() === op.axes.join()
      && sameAxes(kernel.tiles[head].axes, kernel.tiles[tile].axes)
      && leavesOf(homes, op.arg).every((leaf) => (made.get(leaf.tile) ?? at) < (made.get(head) ?? 0))
    ));
    if (first === undefined) groups.set(tile, [[tile, op]]);
    else first[1].push([tile, op]);
  });
  return groups;
}

/** By way of the warp's own shared memory. */
function packText(w: RowsWriter, head: TileId, op: Pack): void {
  const { code, kernel: { tiles }, elements, place, packs } = w;
  // The first of a group makes them all.
  const group = packs.get(head) ?? [];
  const seats = elements.size(op.to);
  for (const [tile] of group.slice(1)) for (const text of w.notes.tile(tile)) code.line(text);
  if (group.length > 0) over(w, withoutAxes(tiles[head].axes, [op.to]), ALONE, (at) => {
    const here = ofLane(w, op.axes, at);
    const last = op.axes[op.axes.length - 1];
    const rest = elements.size(last) % WARP;
    code.open('const auto held = [&](int i)');
    if (rest !== 0) code.line(`if (${elements.first(last)} + ${here.get(last)} >= ${elements.size(last)}) return false;`);
    code.line(`return ${elements.value(op.held, spotAt(here, place))('0')} != 0.f;`);
    code.close(';');
    code.open('const auto put = [&](int seat, int i)');
    group.forEach(([, { arg }], n) => {
      code.line(`packed[${n * seats} + seat] = ${elements.value(arg, spotAt(here, place))('0')};`);
    });
    code.close(';');
    code.open('const auto none = [&](int seat)');
    group.forEach((_, n) => code.line(`packed[${n * seats} + seat] = 0.f;`));
    code.close(';');
    const pieces = many(w, op.axes.slice(0, -1)) * Math.ceil(elements.size(last) / WARP);
    code.line(`pack<${pieces}, ${seats}>(held, put, none);`);
    code.line('__syncwarp();');
    over(w, [op.to], ALONE, (seat) => {
      const spot = spotOf(w, new Map([...at, ...seat]), ALONE);
      group.forEach(([tile], n) => put(w, tile, spot, () => `packed[${n * seats} + ${elements.first(op.to)} + ${seat.get(op.to)}]`));
    });
    code.line('__syncwarp();');
  });
}

function unpackText(w: RowsWriter, tile: TileId, op: Extract<TileOp, { op: 'unpack' }>): void {
  const { code, kernel: { tiles }, elements, layout: { spread } } = w;
  const total = many(w, op.axes);
  over(w, withoutAxes(tiles[tile].axes, op.axes), ALONE, (at) => {
    code.line(`for (int i = threadIdx.x & ${WARP - 1}; i < ${total}; i += ${WARP}) packed[i] = 0.f;`);
    code.line('__syncwarp();');
    over(w, [op.from], ALONE, (seat) => {
      const spot = spotOf(w, new Map([...at, ...seat]), ALONE);
      code.line(`const int of = (int)${elements.value(op.number, spot)('0')};`);
      code.open('if (of > 0)');
      code.line(`packed[of - 1] = ${elements.value(op.arg, spot)('0')};`);
      code.close();
    });
    code.line('__syncwarp();');
    over(w, op.axes, ALONE, (own) => {
      const number = flat(op.axes, elements.size, (axis) => (
        spread.has(axis) ? `(${elements.first(axis)} + ${own.get(axis)})` : own.get(axis) ?? '0'
      ));
      put(w, tile, spotOf(w, new Map([...at, ...own]), ALONE), () => `packed[${number}]`);
    });
    code.line('__syncwarp();');
  });
}

function topText(w: RowsWriter, tile: TileId, op: Extract<TileOp, { op: 'top' }>): void {
  const { code, kernel: { tiles }, elements, place } = w;
  const total = many(w, op.axes);
  over(w, withoutAxes(tiles[tile].axes, op.axes), ALONE, (at) => {
    const here = ofLane(w, op.axes, at);
    const spot = () => spotAt(here, place);
    const count = elements.value(op.count, spotAt(at, place))('0');
    code.open('const auto get = [&](int i, int)');
    code.line(`return ${elements.value(op.arg, spot())('0')};`);
    code.close(';');
    code.open('const auto put = [&](int i, int, float holds)');
    put(w, tile, spot(), () => 'holds');
    code.close(';');
    code.line(`top<${total}>(${count}, get, put);`);
  });
}

/** Of lanes that have the same the first writes. */
export function storeText(w: RowsWriter, stmt: TileStore): void {
  const { cx: { module }, code, elements, layout: { spread, units }, notes } = w;
  const { axes } = bufferNamed(module, stmt.buffer);
  const picks = stmt.by === undefined ? [] : bufferNamed(module, stmt.by).axes;
  const all = unionAxes(picks, axes);
  for (const text of notes.store(stmt)) code.line(text);
  const step = stmt.by === undefined ? stepOf(w, all) : ALONE;
  const same = spread.size > 0 && !all.some((axis) => spread.has(axis));
  if (same) code.open(`if (lane == 0${units > 1 ? ' && unit == 0' : ''})`);
  over(w, all, step, (at) => {
    const spot = spotOf(w, at, step);
    if (stmt.by === undefined) elements.store(stmt.buffer, spot, elements.value(stmt.value, spot));
    else elements.scatter(stmt.buffer, stmt.by, stmt.value, spot);
  });
  if (same) code.close();
}
