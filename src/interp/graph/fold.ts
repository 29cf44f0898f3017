import type { FoldOp } from '../../ir/graph/graph.js';
import type { Axis, Silent } from '../../ir/graph/types.js';
import type { Context } from './context.js';
import { copyMap, joinFrames, pairFrame, type Frame, type Tokens } from './tokens.js';
import {
  elementMap, gatherInto, hasAxis, makeValue, presence, sizeOf, spread, without, type Into, type Mask, type Value,
} from './value.js';

/**
 * The elements of a value and, for each, the group in which it is folded: element (copy, i) belongs to `copies[copy] * width + cells[i]`.
 */
export interface Groups {
  readonly frame: Frame;
  readonly axes: readonly Axis[];
  /** Elements [copies, ...axes], and 1 where they are there to be folded; undefined: everywhere. */
  readonly data: Float64Array;
  readonly present: Float64Array | undefined;
  readonly copies: Int32Array;
  readonly cells: Int32Array;
  readonly outFrame: Frame;
  readonly outAxes: readonly Axis[];
  readonly width: number;
  readonly count: number;
  /** Restrictions that the fold does not end. */
  readonly kept: readonly Mask[];
}

const RANKS = ['one', 'sequence', 'token', 'pair'];

/** The copies that are left when silent axes and axes over the past are folded. */
function framesOf(tokens: Tokens, frame: Frame, axes: readonly Axis[], silent: readonly Silent[]): [Frame, Frame] {
  const rest = frame.past.filter((axis) => !hasAxis(axes, axis));
  const past = rest.length === 0 ? tokens.byToken : pairFrame(tokens, rest);
  const after = frame.level === 'pair' ? past : frame;
  const time = silent.includes('tokens') || silent.includes('time');
  const batch = silent.includes('tokens') || silent.includes('batch');
  if (!time && !batch) return [frame, after];
  if (rest.length > 0) throw new Error('tokens are folded where the past of each is left');
  const from = joinFrames(tokens, frame, time ? tokens.byToken : tokens.bySequence);
  return [from, batch ? tokens.one : tokens.bySequence];
}

export function groupsOf({ tokens }: Context, arg: Value, axes: readonly Axis[], silent: readonly Silent[]): Groups {
  const [frame, outFrame] = framesOf(tokens, arg.frame, axes, silent);
  const outAxes = without(arg.axes, axes);
  const tokenwise = silent.some((name) => name === 'tokens' || name === 'time');
  const width = sizeOf(outAxes);
  const finer = (of: Value): boolean => RANKS.indexOf(of.frame.level) > RANKS.indexOf(outFrame.level);
  const ends = ({ of, picked }: Mask): boolean => finer(of) || (!picked && of.axes.some((axis) => hasAxis(axes, axis)));
  return {
    frame, axes: arg.axes, data: spread(tokens, arg, frame, arg.axes), present: presence(tokens, arg.masks, frame, arg.axes, tokenwise),
    copies: copyMap(tokens, outFrame, frame) ?? Int32Array.from({ length: frame.copies }, (_, i) => i),
    cells: elementMap(arg.axes, outAxes),
    outFrame, outAxes, width, count: outFrame.copies * width,
    kept: arg.masks.filter((mask) => !ends(mask)).map((mask) => withoutAxes(tokens, mask, axes)),
  };
}

/** A pick stays one when axes are folded: its token is left out if one of its elements picked nothing. */
export function withoutAxes(tokens: Tokens, mask: Mask, axes: readonly Axis[]): Mask {
  const { of, picked } = mask;
  if (!of.axes.some((axis) => hasAxis(axes, axis))) return mask;
  const rest = without(of.axes, axes);
  const [cells, width] = [elementMap(of.axes, rest), sizeOf(rest)];
  const there = new Float64Array(of.frame.copies * width).fill(1);
  spread(tokens, of, of.frame, of.axes).forEach((x, i) => {
    if (x === 0) there[Math.floor(i / of.cell) * width + cells[i % of.cell]] = 0;
  });
  return { of: makeValue(of.frame, rest, there), picked };
}

/** Visits every element that is there with the number of its group. */
export function eachElement({ data, present, copies, cells, width }: Groups, visit: (group: number, index: number) => void): void {
  const cell = cells.length;
  for (let copy = 0, i = 0; copy < copies.length; copy++) {
    const base = copies[copy] * width;
    for (let e = 0; e < cell; e++, i++) if (present === undefined || present[i] !== 0) visit(base + cells[e], i);
  }
  if (data.length !== copies.length * cell) throw new Error('groups do not cover their elements');
}

/** How many elements each group has. */
export function countsOf(groups: Groups): Float64Array {
  const counts = new Float64Array(groups.count);
  eachElement(groups, (group) => {
    counts[group]++;
  });
  return counts;
}

/** Folds named and silent axes. The sum and the mean of nothing are 0, its product is 1; other folds of nothing are absent. */
export function foldValue(context: Context, op: FoldOp, arg: Value, axes: readonly Axis[], silent: readonly Silent[]): Value {
  const groups = groupsOf(context, arg, axes, silent);
  const [data, slope] = folded(op, groups);
  return finishFold(context, arg, groups, data, slope, op === 'max' || op === 'min' || op === 'logsumexp');
}

type Slope = (add: (index: number, value: number) => void, cotangent: Float64Array) => void;

function finishFold({ tokens, tape }: Context, arg: Value, groups: Groups, data: Float64Array, slope: Slope, marks: boolean): Value {
  const { frame, outFrame, outAxes } = groups;
  const masks = [...groups.kept];
  if (marks) {
    const some = countsOf(groups).map((count) => (count > 0 ? 1 : 0));
    if (some.includes(0)) masks.push({ of: makeValue(outFrame, outAxes, some), picked: false });
  }
  const varies = tape !== undefined && arg.varies;
  const out = makeValue(outFrame, outAxes, data, { masks, varies });
  if (tape !== undefined && varies) {
    tape.push(out, (cotangent: Float64Array, into: Into) => {
      const whole = new Float64Array(groups.data.length);
      slope((index, value) => {
        whole[index] += value;
      }, cotangent);
      gatherInto(tokens, arg, frame, arg.axes, whole, into);
    });
  }
  return out;
}

/** The values of the groups, and how a cotangent goes back to the elements. */
function folded(op: FoldOp, groups: Groups): [Float64Array, Slope] {
  const { data } = groups;
  const out = new Float64Array(groups.count);
  switch (op) {
    case 'sum':
      eachElement(groups, (group, i) => {
        out[group] += data[i];
      });
      return [out, (add, cotangent) => eachElement(groups, (group, i) => add(i, cotangent[group]))];
    case 'mean': {
      const counts = countsOf(groups);
      eachElement(groups, (group, i) => {
        out[group] += data[i] / counts[group];
      });
      return [out, (add, cotangent) => eachElement(groups, (group, i) => add(i, cotangent[group] / counts[group]))];
    }
    case 'max': case 'min': {
      const at = extremes(groups, op === 'max' ? 1 : -1);
      at.forEach((i, group) => {
        out[group] = i < 0 ? 0 : data[i];
      });
      return [out, (add, cotangent) => at.forEach((i, group) => {
        if (i >= 0) add(i, cotangent[group]);
      })];
    }
    case 'logsumexp': {
      const at = extremes(groups, 1);
      const shift = out.map((_, group) => (at[group] < 0 || !Number.isFinite(data[at[group]]) ? 0 : data[at[group]]));
      eachElement(groups, (group, i) => {
        out[group] += Math.exp(data[i] - shift[group]);
      });
      for (let group = 0; group < out.length; group++) out[group] = at[group] < 0 ? 0 : shift[group] + Math.log(out[group]);
      return [out, (add, cotangent) => eachElement(groups, (group, i) => {
        if (cotangent[group] !== 0) add(i, cotangent[group] * Math.exp(data[i] - out[group]));
      })];
    }
    case 'prod': return product(groups);
  }
}

/** The first of the largest of each group, times `sign`; -1 for none. What is no number wins. */
function extremes(groups: Groups, sign: 1 | -1): Int32Array {
  const { data } = groups;
  const at = new Int32Array(groups.count).fill(-1);
  eachElement(groups, (group, i) => {
    const best = at[group];
    if (best < 0 || sign * data[i] > sign * data[best] || (data[i] !== data[i] && data[best] === data[best])) at[group] = i;
  });
  return at;
}

/** The slope is the product of the others, which a quotient does not give where there are zeros. */
function product(groups: Groups): [Float64Array, Slope] {
  const { data } = groups;
  const others = new Float64Array(groups.count).fill(1);
  const zeros = new Float64Array(groups.count);
  eachElement(groups, (group, i) => {
    if (data[i] === 0) zeros[group]++;
    else others[group] *= data[i];
  });
  const slope: Slope = (add, cotangent) => eachElement(groups, (group, i) => {
    if (zeros[group] === 0) add(i, cotangent[group] * others[group] / data[i]);
    else if (zeros[group] === 1 && data[i] === 0) add(i, cotangent[group] * others[group]);
  });
  return [others.map((value, group) => (zeros[group] > 0 ? 0 : value)), slope];
}

/** exp(x) over its sum along the axes; the exponential of the sink is in the sum as well. Absent where x is. */
export function softmaxValue(context: Context, arg: Value, axes: readonly Axis[], sink: Value | undefined): Value {
  const { tokens, tape } = context;
  const groups = groupsOf(context, arg, axes, []);
  const { data, frame, outFrame, outAxes } = groups;
  const sinks = sink && spread(tokens, sink, outFrame, outAxes);
  const at = extremes(groups, 1);
  const shift = Float64Array.from(at, (i, group) => Math.max(i < 0 ? -Infinity : data[i], sinks === undefined ? -Infinity : sinks[group]));
  for (let group = 0; group < shift.length; group++) if (shift[group] === -Infinity || shift[group] === Infinity) shift[group] = 0;
  const totals = sinks === undefined ? new Float64Array(groups.count) : sinks.map((value, group) => Math.exp(value - shift[group]));
  const shares = totals.slice();
  const result = new Float64Array(data.length);
  eachElement(groups, (group, i) => {
    totals[group] += result[i] = Math.exp(data[i] - shift[group]);
  });
  eachElement(groups, (group, i) => {
    result[i] /= totals[group];
  });
  const varies = tape !== undefined && (arg.varies || sink?.varies === true);
  const out = makeValue(frame, arg.axes, result, { masks: arg.masks, varies });
  if (tape !== undefined && varies) {
    tape.push(out, (cotangent, into) => {
      const means = new Float64Array(groups.count);
      eachElement(groups, (group, i) => {
        means[group] += cotangent[i] * result[i];
      });
      if (arg.varies) {
        const whole = new Float64Array(data.length);
        eachElement(groups, (group, i) => {
          whole[i] = result[i] * (cotangent[i] - means[group]);
        });
        gatherInto(tokens, arg, frame, arg.axes, whole, into);
      }
      if (sink !== undefined && sink.varies) {
        gatherInto(tokens, sink, outFrame, outAxes, means.map((mean, group) => -mean * shares[group] / totals[group]), into);
      }
    });
  }
  return out;
}
