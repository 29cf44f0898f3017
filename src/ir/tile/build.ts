import { COL, ROW, includesAll, swapTokens, type Axis, type AxisPair } from '../common/axes.js';
import { keyOf } from '../../support/key.js';
import type { MathName } from '../common/dag.js';
import { isRows } from './domain.js';
import { factsOf } from './facts.js';
import type { RowNumber, RunEnd, TileBuffer, TileId, TileKernel, TileLoop, TileOp, TileStmt, TileType } from './tile.js';

/** Writes one kernel; tiles get their axes from the operations. `T` in comments: a tile id. */
export interface KernelBuilder {
  axesOf(tile: TileId): readonly Axis[];
  /** What makes a tile; undefined for one that a loop carries. */
  opOf(tile: TileId): TileOp | undefined;
  /** Buffers of rows: ROW by default. Inside loops over rows and for other buffers `rows` is ignored. */
  load(buffer: TileBuffer, rows?: 'row' | 'col'): TileId;
  /** Rows `back` before (after, if negative). */
  loadBack(buffer: TileBuffer, back: number): TileId;
  /** The cell of a buffer per segment; where the segment is all of its run, that of `whole`. */
  loadEntry(buffer: TileBuffer, whole: TileBuffer): TileId;
  /** Rows of a buffer that `index` names, which has none of its axes. */
  gather(buffer: TileBuffer, index: TileBuffer, rows?: 'row' | 'col'): TileId;
  /** `only`: from the first or last segment of a run alone. */
  store(buffer: TileBuffer, value: TileId, only?: RunEnd): void;
  /** To the rows that `index` names. */
  scatter(buffer: TileBuffer, value: TileId, index: TileBuffer): void;
  /** Columns of a buffer of rows; `of`: the row instead. */
  nth(buffer: TileBuffer, count: TileId, of?: TileId): TileId;
  literal(value: number): TileId;
  zeros(axes: readonly Axis[]): TileId;
  identity(axes: AxisPair): TileId;
  head(): TileId;
  heads(): TileId;
  index(axis: Axis): TileId;
  number(of: RowNumber | 'run'): TileId;
  size(of: 'rows' | 'runs' | 'run'): TileId;
  keep(arg: TileId): TileId;
  round(arg: TileId): TileId;
  draw(key: TileId, axis: Axis, from: Readonly<Record<'element' | 'position' | 'sequence' | 'lane', TileId>>): TileId;
  map(fn: MathName, ...args: TileId[]): TileId;
  add(a: TileId, b: TileId): TileId;
  sub(a: TileId, b: TileId): TileId;
  mul(a: TileId, b: TileId): TileId;
  neg(a: TileId): TileId;
  exp(a: TileId): TileId;
  top(axes: readonly Axis[], arg: TileId, count: TileId): TileId;
  /** What `arg` has where `held` is 1, one behind the other along `to`. */
  pack(axes: readonly Axis[], to: Axis, arg: TileId, held: TileId): TileId;
  /** What `arg` has for the numbers of elements of `axes`, from 1, at these. */
  unpack(axes: readonly Axis[], from: Axis, arg: TileId, number: TileId): TileId;
  /** Of numbers of elements of `axes`, from 1: how often there is each, and where each is to go. */
  tally(axes: readonly Axis[], arg: TileId): TileId;
  queue(axes: readonly Axis[], arg: TileId, first: TileId): TileId;
  reduce(op: 'sum' | 'max' | 'min', axis: Axis, arg: TileId): TileId;
  runs(axis: Axis, length: number, arg: TileId): TileId;
  contract(a: TileId, b: TileId, axis: Axis): TileId;
  compose(a: TileId, b: TileId, fine?: boolean): TileId;
  swap(arg: TileId, axes?: AxisPair): TileId;
  cumsum(arg: TileId, how?: { exclusive?: boolean; reverse?: boolean; axis?: Axis }): TileId;
  /** The same along ROW, of log decays alone: each counts as LEAST_LOG_DECAY at least. */
  decaySums(arg: TileId, how?: { exclusive?: boolean }): TileId;
  shift(arg: TileId, by: 1 | -1, edge?: TileId): TileId;
  pick(arg: TileId, row: 'first' | 'last'): TileId;
  put(arg: TileId, of: TileId, from: RunEnd, at: number): TileId;
  take(arg: TileId, from: RunEnd, at: number): TileId;
  mask(arg: TileId, strict: boolean): TileId;
  dscore(x: TileId, y: TileId, g: TileId, axis: Axis, how: { before: boolean; strict: boolean }): TileId;
  dscoreRow(a: TileId, y: TileId, g: TileId, axis: Axis, how: { before: boolean; strict: boolean }): TileId;
  dscoreCol(a: TileId, x: TileId, g: TileId, axis: Axis, how: { before: boolean; strict: boolean }): TileId;
  dgate(a: TileId, x: TileId, y: TileId, decay: TileId, before: boolean): TileId;
  inverse(arg: TileId, fine?: boolean): TileId;
  recur(decay: TileId, write: TileId, init: TileId, reverse: boolean, less?: TileId): TileId;
  /** Runs `body` on the carried tiles; it returns their next values. Returns the tiles that hold the last values. */
  loop(
    over: TileLoop['over'], reverse: boolean, inits: readonly TileId[], body: (carried: readonly TileId[]) => readonly TileId[],
  ): readonly TileId[];
  /** Rounds, as long as the first that is carried, a number, is `least` or more before each, at most so many. */
  rounds(
    least: number, most: number, inits: readonly TileId[], body: (carried: readonly TileId[]) => readonly TileId[],
  ): readonly TileId[];
  /** The same for one chunk of a run, if it has any. */
  once(only: RunEnd, inits: readonly TileId[], body: (carried: readonly TileId[]) => readonly TileId[]): readonly TileId[];
}

export interface KernelHead {
  readonly name: string;
  readonly doc: string;
  readonly outer: TileKernel['outer'];
  readonly domain: TileKernel['domain'];
  readonly inner: TileKernel['inner'];
  readonly split?: Axis;
  readonly idle?: TileKernel['idle'];
  readonly cut?: TileKernel['cut'] | undefined;
}

/** Builds a kernel; `write` gets the builder and issues the statements in order. Equal operations become one tile. */
export function buildKernel(head: KernelHead, write: (k: KernelBuilder) => void): TileKernel {
  const tiles: TileType[] = [];
  let body: TileStmt[] = [];
  let rowLoops = 0;
  // What is known in this body and those around it: equal operations are one tile. A load is not repeated unless its buffer was stored to.
  let known: ReadonlyMap<string, TileId>[] = [];
  let here = new Map<string, TileId>();
  const stored = new Set<string>();

  const axesOf = (tile: TileId): readonly Axis[] => tiles[tile].axes;
  const ops = new Map<TileId, TileOp>();
  /** `made`: the axes of what is made with them. */
  const define = (op: TileOp, made?: readonly Axis[]): TileId => {
    const axes = made ?? factsOf(op).axes(op, axesOf);
    if (axes === undefined) throw new Error(`${head.name}: ${op.op} is made with axes`);
    const turns = op.op === 'map' && (op.fn === 'mul' || op.fn === 'add');
    const key = keyOf([turns ? { ...op, args: [...op.args].sort((a, b) => a - b) } : op, axes]);
    const fresh = op.op === 'load' && [op.buffer, op.whole].some((name) => name !== undefined && stored.has(name));
    const found = fresh ? undefined : [here, ...known].map((scope) => scope.get(key)).find((tile) => tile !== undefined);
    if (found !== undefined) return found;
    tiles.push({ axes });
    ops.set(tiles.length - 1, op);
    body.push({ kind: 'let', tile: tiles.length - 1, op });
    if (!fresh) here.set(key, tiles.length - 1);
    return tiles.length - 1;
  };
  const map = (fn: MathName, ...args: TileId[]) => define({ op: 'map', fn, args });

  const loop = (
    how: Pick<TileLoop, 'over' | 'reverse' | 'only'> & { readonly while?: Omit<NonNullable<TileLoop['while']>, 'tile'> },
    inits: readonly TileId[],
    writeBody: (carried: readonly TileId[]) => readonly TileId[],
  ): readonly TileId[] => {
    const outerBody = body;
    const carried = inits.map((init) => (tiles.push({ axes: axesOf(init) }), tiles.length - 1));
    const outside = here;
    const around = known;
    body = [];
    known = [here, ...known];
    here = new Map();
    if (how.over === 'rows') rowLoops++;
    const nexts = writeBody(carried);
    if (how.over === 'rows') rowLoops--;
    const inner = body;
    body = outerBody;
    here = outside;
    known = around;
    const { while: ends, ...over } = how;
    const measured = ends && { while: { ...ends, tile: carried[0] } };
    const carry = carried.map((tile, i) => ({ tile, init: inits[i], next: nexts[i] }));
    body.push({ kind: 'loop', ...over, ...measured, carry, body: inner });
    return carried;
  };

  const k: KernelBuilder = {
    axesOf,
    opOf: (tile) => ops.get(tile),
    load(buffer, rows = 'row') {
      if (!isRows(buffer)) return define({ op: 'load', buffer: buffer.name, rows: 'none' }, buffer.axes);
      if (rowLoops > 0) return define({ op: 'load', buffer: buffer.name, rows: 'one' }, buffer.axes);
      return define({ op: 'load', buffer: buffer.name, rows }, [rows === 'row' ? ROW : COL, ...buffer.axes]);
    },
    loadBack: (buffer, back) => (
      back === 0 ? k.load(buffer) : define({ op: 'load', buffer: buffer.name, rows: 'row', back }, [ROW, ...buffer.axes])
    ),
    loadEntry: (buffer, whole) => define({ op: 'load', buffer: buffer.name, rows: 'none', whole: whole.name }, buffer.axes),
    gather: (buffer, index, rows = 'row') => define(
      { op: 'gather', buffer: buffer.name, index: index.name, rows }, [rows === 'row' ? ROW : COL, ...index.axes, ...buffer.axes],
    ),
    store(buffer, value, only) {
      const expected = isRows(buffer) && rowLoops === 0 ? [ROW, ...buffer.axes] : buffer.axes;
      const found = axesOf(value);
      // A column tile may be stored as it is: the row axis has one meaning in memory.
      const renamed = isRows(buffer) && found.includes(COL) && !found.includes(ROW) ? swapTokens(found) : found;
      if (!includesAll(expected, renamed)) throw new Error(`${head.name}: [${found}] does not fit ${buffer.name} [${expected}]`);
      stored.add(buffer.name);
      body.push({ kind: 'store', buffer: buffer.name, value, ...(only && { only }) });
    },
    scatter(buffer, value, index) {
      stored.add(buffer.name);
      body.push({ kind: 'store', buffer: buffer.name, value, by: index.name });
    },
    nth: (buffer, count, of) => define({ op: 'nth', buffer: buffer.name, count, of }, buffer.axes),
    literal: (value) => define({ op: 'literal', value }),
    zeros: (axes) => define({ op: 'zeros' }, axes),
    identity: (axes) => define({ op: 'identity' }, axes),
    head: () => define({ op: 'head' }),
    heads: () => define({ op: 'heads' }),
    index: (axis) => define({ op: 'index', axis }),
    number: (of) => define({ op: 'number', of }),
    size: (of) => define({ op: 'size', of }),
    keep: (arg) => define({ op: 'keep', arg }),
    round: (arg) => define({ op: 'round', arg }),
    draw: (key, axis, from) => define({ op: 'draw', key, axis, ...from }),
    map,
    add: (a, b) => map('add', a, b),
    sub: (a, b) => map('sub', a, b),
    mul: (a, b) => map('mul', a, b),
    neg: (a) => map('neg', a),
    exp: (a) => map('exp', a),
    runs: (axis, length, arg) => define({ op: 'runs', axis, length, arg }),
    top: (axes, arg, count) => define({ op: 'top', axes, arg, count }),
    pack: (axes, to, arg, held) => define({ op: 'pack', axes, to, arg, held }),
    unpack: (axes, from, arg, number) => define({ op: 'unpack', axes, from, arg, number }),
    tally: (axes, arg) => define({ op: 'tally', axes, arg }),
    queue: (axes, arg, first) => define({ op: 'queue', axes, arg, first }),
    reduce: (op, axis, arg) => define({ op: 'reduce', reduce: op, axis, arg }),
    contract: (a, b, axis) => define({ op: 'contract', a, b, axis }),
    compose: (a, b, fine = false) => define({ op: 'compose', a, b, fine }),
    swap: (arg, axes) => define({ op: 'swap', arg, ...(axes && { axes }) }),
    cumsum: (arg, { exclusive = false, reverse = false, axis } = {}) => (
      define({ op: 'cumsum', arg, exclusive, reverse, decays: false, ...(axis !== undefined && { axis }) })
    ),
    decaySums: (arg, { exclusive = false } = {}) => define({ op: 'cumsum', arg, exclusive, reverse: false, decays: true }),
    shift: (arg, by, edge) => define({ op: 'shift', arg, by, edge }),
    pick: (arg, row) => define({ op: 'pick', arg, row }),
    put: (arg, of, from, at) => define({ op: 'put', arg, of, from, at }),
    take: (arg, from, at) => define({ op: 'take', arg, from, at }),
    mask: (arg, strict) => define({ op: 'mask', arg, strict }),
    dscore: (x, y, g, axis, how) => define({ op: 'dscore', x, y, g, axis, ...how }),
    dscoreRow: (a, y, g, axis, how) => define({ op: 'dscoreRow', a, y, g, axis, ...how }),
    dscoreCol: (a, x, g, axis, how) => define({ op: 'dscoreCol', a, x, g, axis, ...how }),
    dgate: (a, x, y, decay, before) => define({ op: 'dgate', a, x, y, decay, before }),
    inverse: (arg, fine = false) => define({ op: 'inverse', arg, fine }),
    recur: (decay, writeTile, init, reverse, less) => define({ op: 'recur', decay, less, write: writeTile, init, reverse }),
    loop: (over, reverse, inits, writeBody) => loop({ over, reverse }, inits, writeBody),
    rounds: (least, most, inits, writeBody) => loop({ over: 'rounds', reverse: false, while: { least, most } }, inits, writeBody),
    once: (only, inits, writeBody) => loop({ over: 'chunks', reverse: false, only }, inits, writeBody),
  };
  write(k);
  return {
    name: head.name, doc: head.doc, outer: head.outer, domain: head.domain, inner: head.inner, split: head.split,
    ...(head.idle && { idle: head.idle }), ...(head.cut !== undefined && { cut: head.cut }), tiles, body,
  };
}
