import { COL, ROW, runsOf, swapAxis, unionAxes, withoutAxes, type Axis, type AxisPair } from '../ir/common/axes.js';
import type { MathName } from '../ir/common/dag.js';
import { LEAST_LOG_DECAY, type RowNumber, type RunEnd, type TileId, type TileOp } from '../ir/tile/tile.js';
import { math } from '../math/index.js';
import { fourDraws } from '../support/noise.js';
import { packTile, queueTile, tallyTile, unpackTile } from './tile-lists.js';
import { newValue, strideOf, stridesAlong, visit, type TileValue } from './tile-value.js';

type SizeOf = (axis: Axis) => number;

/** Where an operation is evaluated. */
export interface Scene {
  readonly sizeOf: SizeOf;
  readonly heads: number;
  /** Number of the run, or of the chunk's first row. */
  number(of: RowNumber | 'run'): number;
  size(of: 'rows' | 'runs' | 'run'): number;
  tile(id: TileId): TileValue;
  /** A tile as products see it. */
  operand(id: TileId): TileValue;
  /** A value as `io` buffers keep it. */
  rounded(value: TileValue): TileValue;
  head(): number;
  /** Rows of the chunk that are real. */
  length(): number;
  /** The row `at` rows from an end of the run; undefined if it is in another chunk, or in none. */
  rowOf(end: { readonly from: RunEnd; readonly at: number }): number | undefined;
}

/** The meaning of every operation but those that read memory. `axes`: those of the result. */
export function evaluateOp(op: Exclude<TileOp, { op: 'load' | 'gather' | 'nth' }>, axes: readonly Axis[], scene: Scene): TileValue {
  const { tile, operand, sizeOf } = scene;
  const scalar = (value: number): TileValue => ({ axes: [], sizes: [], data: Float64Array.of(value) });
  switch (op.op) {
    case 'literal': return scalar(op.value);
    case 'zeros': return newValue(axes, sizeOf);
    case 'identity': return identityTile(axes, sizeOf);
    case 'head': return scalar(scene.head());
    case 'heads': return scalar(scene.heads);
    case 'index': return countTile(op.axis, 0, sizeOf);
    case 'number': return op.of === 'run' ? scalar(scene.number('run')) : countTile(ROW, scene.number(op.of), sizeOf);
    case 'size': return scalar(scene.size(op.of));
    case 'keep': return keepTile(tile(op.arg), scene.length(), sizeOf);
    case 'round': return scene.rounded(tile(op.arg));
    case 'draw': return drawTile(tile(op.key).data, [op.element, op.position, op.sequence, op.lane].map(tile), axes, sizeOf);
    case 'map': return mapTiles(op.fn, op.args.map(tile), sizeOf);
    case 'runs': return runsTile(op.axis, op.length, tile(op.arg), sizeOf);
    case 'top': return topTile(op.axes, tile(op.arg), tile(op.count));
    case 'pack': return packTile(op.axes, tile(op.arg), tile(op.held), newValue(axes, sizeOf));
    case 'unpack': return unpackTile(op.from, tile(op.arg), tile(op.number), op.axes, newValue(axes, sizeOf));
    case 'tally': return tallyTile(tile(op.arg), newValue(op.axes, sizeOf));
    case 'queue': return queueTile(tile(op.arg), tile(op.first), op.axes, newValue(axes, sizeOf));
    case 'reduce': return reduceTile(op.reduce, op.axis, tile(op.arg), sizeOf);
    case 'contract': return contractTiles(operand(op.a), operand(op.b), op.axis, sizeOf);
    case 'compose': return composeTiles(tile(op.a), tile(op.b), sizeOf);
    case 'swap': return swapTile(tile(op.arg), op.axes);
    case 'cumsum': return cumsumTile(tile(op.arg), op, sizeOf);
    case 'shift': return shiftTile(tile(op.arg), op.by, op.edge === undefined ? undefined : tile(op.edge), sizeOf);
    case 'pick': return pickTile(tile(op.arg), op.row, sizeOf);
    case 'put': {
      const row = scene.rowOf(op);
      return row === undefined ? tile(op.arg) : putTile(tile(op.arg), tile(op.of), row);
    }
    case 'take': return takeTile(tile(op.arg), scene.rowOf(op), sizeOf);
    case 'mask': return maskTile(tile(op.arg), op.strict, sizeOf);
    case 'dscore': return dscoreTile(operand(op.x), operand(op.y), tile(op.g), op, sizeOf);
    case 'dscoreRow': return dscoreSide('row', operand(op.a), operand(op.y), tile(op.g), op, sizeOf);
    case 'dscoreCol': return dscoreSide('col', operand(op.a), operand(op.x), tile(op.g), op, sizeOf);
    case 'inverse': return inverseTile(tile(op.arg), sizeOf);
    case 'dgate': return dgateTile(tile(op.a), tile(op.x), tile(op.y), tile(op.decay), op.before, sizeOf);
    case 'recur': return recurTile(
      op.less === undefined ? tile(op.decay) : nextToOne(tile(op.less)), tile(op.write), tile(op.init), op.reverse, sizeOf,
    );
  }
  op satisfies never;
}

function drawTile(key: Float64Array, from: readonly TileValue[], axes: readonly Axis[], sizeOf: SizeOf): TileValue {
  const out = newValue(axes, sizeOf);
  const [low, high] = [0, 2].map((at) => key[at] + 2 ** 16 * key[at + 1]);
  visit(out.sizes, from.map((one) => stridesAlong(one, axes)), (offsets, i) => {
    const [element, ...place] = from.map(({ data }, n) => data[offsets[n]]);
    out.data[i] = fourDraws('uniform', [low, high], [place[0], place[1], place[2]], Math.floor(element / 4))[element % 4];
  });
  return out;
}

function topTile(along: readonly Axis[], x: TileValue, count: TileValue): TileValue {
  const out = { ...x, data: new Float64Array(x.data.length) };
  const columns = x.axes.filter((axis) => !along.includes(axis));
  const sizes = (axes: readonly Axis[]): readonly number[] => axes.map((axis) => x.sizes[x.axes.indexOf(axis)]);
  visit(sizes(columns), [x, count].map((one) => stridesAlong(one, columns)), ([column, n]) => {
    const there: number[] = [];
    visit(sizes(along), [stridesAlong(x, along)], ([element]) => void there.push(column + element));
    const some = there.filter((i) => x.data[i] > -Infinity).sort((a, b) => x.data[b] - x.data[a] || there.indexOf(a) - there.indexOf(b));
    for (const i of some.slice(0, Math.max(0, Math.floor(count.data[n])))) out.data[i] = 1;
  });
  return out;
}

function mapTiles(fn: MathName, args: readonly TileValue[], sizeOf: SizeOf): TileValue {
  const out = newValue(unionAxes(...args.map((arg) => arg.axes)), sizeOf);
  const f = math[fn].f64;
  const [a, b] = args.length > 1 ? args : [args[0], args[0]];
  visit(out.sizes, [stridesAlong(a, out.axes), stridesAlong(b, out.axes)], (at, i) => {
    out.data[i] = f(a.data[at[0]], b.data[at[1]]);
  });
  return out;
}

function reduceTile(reduce: 'sum' | 'max' | 'min', axis: Axis, arg: TileValue, sizeOf: SizeOf): TileValue {
  const out = newValue(withoutAxes(arg.axes, [axis]), sizeOf);
  const step = strideOf(arg, axis);
  const n = sizeOf(axis);
  visit(out.sizes, [stridesAlong(arg, out.axes)], ([base], i) => {
    let value = arg.data[base];
    for (let j = 1; j < n; j++) {
      const next = arg.data[base + j * step];
      value = reduce === 'sum' ? value + next : reduce === 'max' ? Math.max(value, next) : Math.min(value, next);
    }
    out.data[i] = value;
  });
  return out;
}

function runsTile(axis: Axis, length: number, arg: TileValue, sizeOf: SizeOf): TileValue {
  const runs = runsOf(axis, length);
  const out = newValue(arg.axes.map((each) => (each === axis ? runs : each)), sizeOf);
  const step = strideOf(arg, axis);
  const strides = out.axes.map((each) => (each === runs ? step * length : strideOf(arg, each)));
  visit(out.sizes, [strides], ([base], i) => {
    for (let j = 0; j < length; j++) out.data[i] += arg.data[base + j * step];
  });
  return out;
}

function contractTiles(a: TileValue, b: TileValue, axis: Axis, sizeOf: SizeOf): TileValue {
  const out = newValue(withoutAxes(unionAxes(a.axes, b.axes), [axis]), sizeOf);
  const stepA = strideOf(a, axis);
  const stepB = strideOf(b, axis);
  const n = sizeOf(axis);
  visit(out.sizes, [stridesAlong(a, out.axes), stridesAlong(b, out.axes)], ([atA, atB], i) => {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += a.data[atA + j * stepA] * b.data[atB + j * stepB];
    out.data[i] = sum;
  });
  return out;
}

/** Product of two matrices over the tokens of a chunk. */
function composeTiles(a: TileValue, b: TileValue, sizeOf: SizeOf): TileValue {
  const out = newValue([ROW, COL], sizeOf);
  const n = sizeOf(ROW);
  const [aRow, aCol] = stridesAlong(a, [ROW, COL]);
  const [bRow, bCol] = stridesAlong(b, [ROW, COL]);
  for (let r = 0; r < n; r++) {
    for (let m = 0; m < n; m++) {
      const x = a.data[r * aRow + m * aCol];
      for (let c = 0; c < n; c++) out.data[r * n + c] += x * b.data[m * bRow + c * bCol];
    }
  }
  return out;
}

export function swapTile(arg: TileValue, axes?: AxisPair): TileValue {
  return { ...arg, axes: arg.axes.map(swapAxis(axes)) };
}

function identityTile(axes: readonly Axis[], sizeOf: SizeOf): TileValue {
  const out = newValue(axes, sizeOf);
  for (let at = 0; at < out.data.length; at += out.sizes[1] + 1) out.data[at] = 1;
  return out;
}

/** Visits the cells of all axes but one. */
function columns(
  out: TileValue, args: readonly TileValue[], cell: (bases: readonly number[], outBase: number) => void, along: Axis = ROW,
): void {
  const axes = withoutAxes(out.axes, [along]);
  const sizes = axes.map((axis) => out.sizes[out.axes.indexOf(axis)]);
  visit(sizes, [stridesAlong(out, axes), ...args.map((arg) => stridesAlong(arg, axes))], (at) => cell(at.slice(1), at[0]));
}

/** `first` and the numbers after it. */
function countTile(axis: Axis, first: number, sizeOf: SizeOf): TileValue {
  const out = newValue([axis], sizeOf);
  return { ...out, data: out.data.map((_, i) => first + i) };
}

function cumsumTile(
  arg: TileValue, { axis = ROW, exclusive, reverse, decays }: Extract<TileOp, { op: 'cumsum' }>, sizeOf: SizeOf,
): TileValue {
  const out = newValue(arg.axes, sizeOf);
  const n = sizeOf(axis);
  const step = strideOf(arg, axis);
  columns(out, [], (_, base) => {
    let sum = 0;
    for (let j = 0; j < n; j++) {
      const i = reverse ? n - 1 - j : j;
      const given = arg.data[base + i * step];
      const x = decays ? Math.max(given, LEAST_LOG_DECAY) : given;
      out.data[base + i * step] = exclusive ? sum : sum + x;
      sum += x;
    }
  }, axis);
  return out;
}

function shiftTile(arg: TileValue, by: 1 | -1, edge: TileValue | undefined, sizeOf: SizeOf): TileValue {
  const out = newValue(arg.axes, sizeOf);
  const n = sizeOf(ROW);
  const step = strideOf(arg, ROW);
  columns(out, edge === undefined ? [] : [edge], ([edgeAt], base) => {
    for (let i = 0; i < n; i++) {
      const from = i - by;
      const inside = from >= 0 && from < n;
      out.data[base + i * step] = inside ? arg.data[base + from * step] : edge === undefined ? 0 : edge.data[edgeAt];
    }
  });
  return out;
}

function pickTile(arg: TileValue, row: 'first' | 'last', sizeOf: SizeOf): TileValue {
  const out = newValue(withoutAxes(arg.axes, [ROW]), sizeOf);
  const offset = row === 'first' ? 0 : (sizeOf(ROW) - 1) * strideOf(arg, ROW);
  visit(out.sizes, [stridesAlong(arg, out.axes)], ([at], i) => {
    out.data[i] = arg.data[at + offset];
  });
  return out;
}

/** Row `row` becomes `of`. */
function putTile(arg: TileValue, of: TileValue, row: number): TileValue {
  const out: TileValue = { ...arg, data: arg.data.slice() };
  const step = strideOf(arg, ROW);
  columns(out, [of], ([from], base) => {
    out.data[base + row * step] = of.data[from];
  });
  return out;
}

/** Row `row`; zeros if undefined. */
function takeTile(arg: TileValue, row: number | undefined, sizeOf: SizeOf): TileValue {
  const out = newValue(withoutAxes(arg.axes, [ROW]), sizeOf);
  if (row === undefined) return out;
  visit(out.sizes, [stridesAlong(arg, out.axes)], ([at], i) => {
    out.data[i] = arg.data[at + row * strideOf(arg, ROW)];
  });
  return out;
}

function maskTile(arg: TileValue, strict: boolean, sizeOf: SizeOf): TileValue {
  const out = newValue(arg.axes, sizeOf);
  const row = out.axes.map((axis) => (axis === ROW ? 1 : 0));
  const col = out.axes.map((axis) => (axis === COL ? 1 : 0));
  visit(out.sizes, [row, col], ([r, c], i) => {
    if (strict ? c < r : c <= r) out.data[i] = arg.data[i];
  });
  return out;
}

/** Rows from `length` on become 0 whatever they held; the value gets ROW if it has none. */
function keepTile(arg: TileValue, length: number, sizeOf: SizeOf): TileValue {
  const out = newValue(unionAxes([ROW], arg.axes), sizeOf);
  const row = out.axes.map((axis) => (axis === ROW ? 1 : 0));
  visit(out.sizes, [row, stridesAlong(arg, out.axes)], ([r, at], i) => {
    if (r < length) out.data[i] = arg.data[at];
  });
  return out;
}

/** (I - A)^{-1}: row i is e_i + sum over j < i of A[i,j] times row j. */
function inverseTile(arg: TileValue, sizeOf: SizeOf): TileValue {
  const out = newValue([ROW, COL], sizeOf);
  const n = sizeOf(ROW);
  const [stepR, stepC] = stridesAlong(arg, [ROW, COL]);
  for (let i = 0; i < n; i++) {
    out.data[i * n + i] = 1;
    for (let j = 0; j < i; j++) {
      const a = arg.data[i * stepR + j * stepC];
      for (let c = 0; c <= j; c++) out.data[i * n + c] += a * out.data[j * n + c];
    }
  }
  return out;
}

function nextToOne(less: TileValue): TileValue {
  return { ...less, data: less.data.map((x) => 1 + x) };
}

function recurTile(decay: TileValue, write: TileValue, init: TileValue, reverse: boolean, sizeOf: SizeOf): TileValue {
  const out = newValue(unionAxes(decay.axes, write.axes), sizeOf);
  const n = sizeOf(ROW);
  const [stepOut, stepDecay, stepWrite] = [out, decay, write].map((value) => strideOf(value, ROW));
  columns(out, [decay, write, init], ([decayAt, writeAt, initAt], base) => {
    let h = init.data[initAt];
    for (let j = 0; j < n; j++) {
      const i = reverse ? n - 1 - j : j;
      h = decay.data[decayAt + i * stepDecay] * h + write.data[writeAt + i * stepWrite];
      out.data[base + i * stepOut] = h;
    }
  });
  return out;
}

/** Visits the kept pairs of a decay score with e^{Gr[r] - G[c]}, the exponent summed pair by pair: exact for any gate, -inf included. */
function decayedPairs(
  g: TileValue, axis: Axis, before: boolean, strict: boolean, sizeOf: SizeOf,
  pair: (r: number, c: number, channel: number, decay: number) => void,
): void {
  const n = sizeOf(ROW);
  const [stepR, stepK] = stridesAlong(g, [ROW, axis]);
  for (let channel = 0; channel < sizeOf(axis); channel++) {
    for (let c = 0; c < n; c++) {
      let exponent = 0;
      if (!before && !strict) pair(c, c, channel, 1);
      for (let r = c + 1; r < n; r++) {
        const own = g.data[r * stepR + channel * stepK];
        if (before) pair(r, c, channel, Math.exp(exponent));
        exponent += own;
        if (!before) pair(r, c, channel, Math.exp(exponent));
      }
    }
  }
}

interface DecayPairs {
  readonly axis: Axis;
  readonly before: boolean;
  readonly strict: boolean;
}

function dscoreTile(x: TileValue, y: TileValue, g: TileValue, how: DecayPairs, sizeOf: SizeOf): TileValue {
  const out = newValue([ROW, COL], sizeOf);
  const n = sizeOf(ROW);
  const [xr, xk] = stridesAlong(x, [ROW, how.axis]);
  const [yr, yk] = stridesAlong(y, [ROW, how.axis]);
  decayedPairs(g, how.axis, how.before, how.strict, sizeOf, (r, c, channel, decay) => {
    out.data[r * n + c] += x.data[r * xr + channel * xk] * y.data[c * yr + channel * yk] * decay;
  });
  return out;
}

/** `role`: `row` sums over the column tokens into [ROW, axis], `col` over the row tokens into [COL, axis]. */
function dscoreSide(role: 'row' | 'col', a: TileValue, other: TileValue, g: TileValue, how: DecayPairs, sizeOf: SizeOf): TileValue {
  const out = newValue([role === 'row' ? ROW : COL, how.axis], sizeOf);
  const width = sizeOf(how.axis);
  const [ar, ac] = stridesAlong(a, [ROW, COL]);
  const [or, ok] = stridesAlong(other, [ROW, how.axis]);
  decayedPairs(g, how.axis, how.before, how.strict, sizeOf, (r, c, channel, decay) => {
    const [own, from] = role === 'row' ? [r, c] : [c, r];
    out.data[own * width + channel] += a.data[r * ar + c * ac] * other.data[from * or + channel * ok] * decay;
  });
  return out;
}

/** Every token's triples one by one: the lowerings share their sums. */
function dgateTile(a: TileValue, x: TileValue, y: TileValue, decay: TileValue, before: boolean, sizeOf: SizeOf): TileValue {
  const out = newValue(unionAxes(x.axes, y.axes, decay.axes), sizeOf);
  const n = sizeOf(ROW);
  const [stepOut, stepX, stepY, stepDecay] = [out, x, y, decay].map((value) => strideOf(value, ROW));
  const [stepR, stepC] = stridesAlong(a, [ROW, COL]);
  columns(out, [x, y, decay], ([xAt, yAt, decayAt], base) => {
    for (let t = 1; t < n; t++) {
      let sum = 0;
      let toEnd = 1;
      for (let r = before ? t + 1 : t; r < n; r++) {
        if (!before && r > t) toEnd *= decay.data[decayAt + r * stepDecay];
        let fromStart = 1;
        for (let c = t - 1; c >= 0; c--) {
          sum += a.data[r * stepR + c * stepC] * x.data[xAt + r * stepX] * toEnd * y.data[yAt + c * stepY] * fromStart;
          fromStart *= decay.data[decayAt + c * stepDecay];
        }
        if (before) toEnd *= decay.data[decayAt + r * stepDecay];
      }
      out.data[base + t * stepOut] = sum;
    }
  });
  return out;
}
