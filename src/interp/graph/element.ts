import type { Span } from '../../ir/common/span.js';
import type { Axis } from '../../ir/graph/types.js';
import type { Context } from './context.js';
import { GraphFault } from './fault.js';
import { fillDraws, keyWith, type Draw, type NoiseKey } from '../../support/noise.js';
import { joinFrames, type Frame, type Tokens } from './tokens.js';
import {
  gatherInto, hasAxis, joinMasks, makeValue, offsets, rowsIn, sizeOf, spread, strides, union, without, type Mask, type Value,
} from './value.js';

/** Counts `axes` row by row, and the tokens of a sequence or of the call. */
export function indexValue({ tokens }: Context, axes: readonly Axis[], over: 'time' | 'tokens' | 'position' | undefined): Value {
  const cell = sizeOf(axes);
  if (over === undefined) return makeValue(tokens.one, axes, Float64Array.from({ length: cell }, (_, i) => i));
  const number = (row: number): number => (over === 'tokens' ? row : over === 'time' ? tokens.time[row] : tokens.position[row]);
  const count = (_: unknown, i: number): number => number(Math.floor(i / cell)) * cell + (i % cell);
  return makeValue(tokens.byToken, axes, Float64Array.from({ length: tokens.rows * cell }, count));
}

/** `x[i]`: the axis goes. A negative index picks 0, without a gradient, and is left out where tokens are folded. */
export function pickValue(context: Context, arg: Value, axis: Axis, index: Value, origin: Span): Value {
  const { tokens, tape } = context;
  const frame = joinFrames(tokens, arg.frame, index.frame);
  const axes = union(without(arg.axes, [axis]), index.axes);
  const [step] = strides([axis], arg.axes);
  const cell = sizeOf(axes);
  const indices = spread(tokens, index, frame, axes);
  const cells = offsets(axes, strides(axes, arg.axes).map((distance, i) => (axes[i].name === axis.name ? 0 : distance)));
  const rows = rowsIn(tokens, arg, frame);
  const from = new Int32Array(indices.length);
  indices.forEach((i, at) => {
    checkIndex(i, axis, origin);
    const copy = Math.floor(at / cell);
    from[at] = (rows === undefined ? copy : rows[copy]) * arg.cell + cells[at % cell] + i * step;
    if (i < 0) from[at] = -1;
  });
  const data = new Float64Array(frame.copies * cell);
  from.forEach((at, i) => {
    if (at >= 0) data[i] = arg.data[at];
  });
  const masks = arg.masks.map((mask): Mask => {
    return hasAxis(mask.of.axes, axis) ? { of: pickValue(context, mask.of, axis, index, origin), picked: mask.picked } : mask;
  });
  const some = index.data.map((i) => (i < 0 ? 0 : 1));
  if (some.includes(0)) masks.push({ of: makeValue(index.frame, index.axes, some, { rows: index.rows }), picked: true });
  const varies = tape !== undefined && arg.varies;
  const out = makeValue(frame, axes, data, { masks: joinMasks(masks, index.masks), varies });
  if (tape !== undefined && varies) {
    tape.push(out, (cotangent, into) => {
      const to = into(arg);
      from.forEach((at, i) => {
        if (at >= 0) to[at] += cotangent[i];
      });
    });
  }
  return out;
}

/** Throws for what is no whole number below the size of the axis. */
export function checkIndex(index: number, axis: Axis, origin: Span): void {
  if (index < axis.size && Number.isInteger(index)) return;
  throw new GraphFault('index', `${index} is no index of ${axis.name}, which has ${axis.size}`, origin);
}

/** Turns pairs of an axis by the angle position * frequency[i]; what is beyond the pairs stays. */
export function ropeValue(context: Context, arg: Value, axis: Axis, frequency: Value, turn: Axis, pairs: 'halves' | 'adjacent'): Value {
  const { tokens, tape } = context;
  const frame = joinFrames(tokens, arg.frame, tokens.byToken);
  const axes = [...without(arg.axes, [axis]), axis];
  const around = without(arg.axes, [axis]);
  const x = spread(tokens, arg, frame, axes);
  const f = spread(tokens, frequency, frame, [...around, turn]);
  const [cell, width, half] = [sizeOf(axes), axis.size, turn.size];
  const lanes = cell / width;
  const out = x.slice();
  /** Visits (first and second element of a pair, its frequency, the position). */
  const each = (visit: (first: number, second: number, turn: number, position: number) => void): void => {
    for (let copy = 0; copy < frame.copies; copy++) {
      const position = tokens.position[frame.level === 'pair' ? frame.row[copy] : copy];
      for (let lane = 0; lane < lanes; lane++) {
        const base = copy * cell + lane * width;
        for (let i = 0; i < half; i++) {
          const first = base + (pairs === 'halves' ? i : 2 * i);
          visit(first, pairs === 'halves' ? first + half : first + 1, (copy * lanes + lane) * half + i, position);
        }
      }
    }
  };
  each((p, q, at, position) => {
    const [cos, sin] = [Math.cos(position * f[at]), Math.sin(position * f[at])];
    out[p] = x[p] * cos - x[q] * sin;
    out[q] = x[p] * sin + x[q] * cos;
  });
  const varies = tape !== undefined && (arg.varies || frequency.varies);
  const masks = arg.masks.map((mask) => (hasAxis(mask.of.axes, axis) ? pairedMask(tokens, mask, axis, half, pairs) : mask));
  const value = makeValue(frame, axes, out, { masks: joinMasks(masks, frequency.masks), varies });
  if (tape !== undefined && varies) {
    tape.push(value, (cotangent, into) => {
      const [dx, df] = [cotangent.slice(), new Float64Array(f.length)];
      each((p, q, at, position) => {
        const [cos, sin] = [Math.cos(position * f[at]), Math.sin(position * f[at])];
        dx[p] = cotangent[p] * cos + cotangent[q] * sin;
        dx[q] = cotangent[q] * cos - cotangent[p] * sin;
        df[at] += position * (cotangent[q] * out[p] - cotangent[p] * out[q]);
      });
      if (arg.varies) gatherInto(tokens, arg, frame, axes, dx, into);
      if (frequency.varies) gatherInto(tokens, frequency, frame, [...around, turn], df, into);
    });
  }
  return value;
}

/** Of an axis that is turned: both of a pair are present, or neither is. */
function pairedMask(tokens: Tokens, { of, picked }: Mask, axis: Axis, half: number, pairs: 'halves' | 'adjacent'): Mask {
  const axes = [...without(of.axes, [axis]), axis];
  const there = spread(tokens, of, of.frame, axes);
  const partner = (i: number): number => (i >= 2 * half ? i : pairs === 'adjacent' ? i ^ 1 : i < half ? i + half : i - half);
  const both = there.map((x, i) => x * there[i - (i % axis.size) + partner(i % axis.size)]);
  return { of: makeValue(of.frame, axes, both), picked };
}

/** One draw for each copy of the frame and element of `axes`. */
function draws({ tokens }: Context, draw: Draw, key: NoiseKey, frame: Frame, axes: readonly Axis[]): Float64Array {
  const cell = sizeOf(axes);
  const out = new Float64Array(frame.copies * cell);
  const { sequence, position, lane } = tokens.keys;
  for (let copy = 0; copy < frame.copies; copy++) {
    const row = frame.level === 'pair' ? frame.row[copy] : copy;
    // Of a pair: how far back it lies, which does not depend on what a state keeps.
    const own = frame.level === 'pair' ? keyWith(key, frame.first[row + 1] - 1 - copy) : key;
    fillDraws(draw, own, [position[row], sequence[row], lane[row]], out, copy * cell, cell);
  }
  return out;
}

export function drawValue(context: Context, draw: Draw, key: NoiseKey, axes: readonly Axis[]): Value {
  const { byToken } = context.tokens;
  return makeValue(byToken, axes, draws(context, draw, key, byToken, axes));
}

export function uniformValue(context: Context, key: NoiseKey, axes: readonly Axis[], lo: number, hi: number): Value {
  const { frame, data } = drawValue(context, 'uniform', key, axes);
  return makeValue(frame, axes, data.map((x) => lo + (hi - lo) * x));
}

/** 0 with probability `rate`, else x / (1 - rate). `order`: that of the axes for the numbers of the draws. */
export function dropoutValue(context: Context, arg: Value, key: NoiseKey, order: readonly Axis[], rate: number): Value {
  if (rate <= 0) return arg;
  const { tokens, tape } = context;
  const frame = joinFrames(tokens, arg.frame, tokens.byToken);
  const axes = order.filter((axis) => !axis.past);
  const factors = draws(context, 'uniform', key, frame, axes).map((x) => (x < rate ? 0 : 1 / (1 - rate)));
  const times = (data: Float64Array): Float64Array => data.map((x, i) => (factors[i] === 0 ? 0 : x * factors[i]));
  const varies = tape !== undefined && arg.varies;
  const out = makeValue(frame, axes, times(spread(tokens, arg, frame, axes)), { masks: arg.masks, varies });
  if (tape !== undefined && varies) tape.push(out, (cotangent, into) => gatherInto(tokens, arg, frame, axes, times(cotangent), into));
  return out;
}
