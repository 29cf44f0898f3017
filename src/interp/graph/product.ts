import type { Axis } from '../../ir/graph/types.js';
import type { Context } from './context.js';
import { contractInto, type Dim } from './contract.js';
import { foldValue, withoutAxes } from './fold.js';
import { mapValues } from './map.js';
import { joinFrames, type Frame, type Tokens } from './tokens.js';
import { hasAxis, joinMasks, makeValue, rowsIn, sizeOf, strides, union, without, type Mask, type Value } from './value.js';

/** Sums the product over `axes`; other shared axes and copies go side by side. One of the axes may be over the past. */
export function contractValues(context: Context, left: Value, right: Value, axes: readonly Axis[]): Value {
  const { tokens, tape } = context;
  const joined = joinFrames(tokens, left.frame, right.frame);
  const past = axes.filter((axis) => axis.past);
  const frame = past.length > 0 ? tokens.byToken : joined;
  const plain = axes.filter((axis) => !axis.past);
  const overPast = (mask: Mask): boolean => past.length > 0 && mask.of.frame.level === 'pair';
  const folded = (mask: Mask): boolean => !mask.picked && (mask.of.axes.some((axis) => hasAxis(axes, axis)) || overPast(mask));
  const masks = joinMasks(left.masks, right.masks);
  if (joined.past.length > 1 || masks.some(folded)) return foldValue(context, 'sum', mapValues(context, 'mul', [left, right]), axes, []);

  const both = union(left.axes, right.axes);
  const outAxes = without(both, plain);
  const data = new Float64Array(frame.copies * sizeOf(outAxes));
  const varies = tape !== undefined && (left.varies || right.varies);
  const out = makeValue(frame, outAxes, data, { masks: masks.map((mask) => withoutAxes(tokens, mask, axes)), varies });
  const [a, b, c] = [left, right, out].map((value) => strides(both, value.axes));
  const dims = both.map(({ size }, i): Dim => ({ size, a: a[i], b: b[i], c: c[i] }));
  const runs = runsOf(tokens, left, right, out, joined);
  for (const { copies, a0, b0, c0 } of runs) contractInto([...copies, ...dims], left.data, a0, right.data, b0, data, c0);
  if (tape !== undefined && varies) {
    tape.push(out, (cotangent, into) => {
      const [toLeft, toRight] = [left, right].map((value) => (value.varies ? into(value) : undefined));
      for (const { copies, a0, b0, c0 } of runs) {
        const all = [...copies, ...dims];
        if (toLeft !== undefined) contractInto(all.map(forLeft), cotangent, c0, right.data, b0, toLeft, a0);
        if (toRight !== undefined) contractInto(all.map(forRight), left.data, a0, cotangent, c0, toRight, b0);
      }
    });
  }
  return out;
}

/** The cotangent takes the place of a factor, whose own cotangents are the result. */
const forLeft = ({ size, a, b, c }: Dim): Dim => ({ size, a: c, b, c: a });
const forRight = ({ size, a, b, c }: Dim): Dim => ({ size, a, b: c, c: b });

/** Copies whose rows lie at even distances in both factors and in the result, as one more dim, and where they begin. */
interface Run {
  readonly copies: readonly Dim[];
  readonly a0: number;
  readonly b0: number;
  readonly c0: number;
}

/**
 * Copies of one level, or all of one factor against one row of the other, are one run; tokens of sequences and tokens of a past are a run
 * each.
 */
function runsOf(tokens: Tokens, left: Value, right: Value, out: Value, joined: Frame): Run[] {
  const even = (value: Value): number | undefined => {
    if (value.frame.level === 'one') return 0;
    return value.frame === joined && value.rows === undefined ? value.cell : undefined;
  };
  const [a, b] = [even(left), even(right)];
  if (a !== undefined && b !== undefined && out.frame === joined) {
    return [{ copies: [{ size: joined.copies, a, b, c: out.cell }], a0: 0, b0: 0, c0: 0 }];
  }
  const rowOf = (value: Value): ((copy: number) => number) => {
    const map = rowsIn(tokens, value, joined);
    return map === undefined ? (copy) => copy : (copy) => map[copy];
  };
  const [l, r] = [rowOf(left), rowOf(right)];
  const target = out.frame === joined ? (copy: number) => copy : (copy: number) => joined.row[copy];
  const places = [l, r, target];
  const runs: Run[] = [];
  for (let first = 0, end: number; first < joined.copies; first = end) {
    const stepTo = (next: number): number[] => places.map((place) => place(next) - place(next - 1));
    end = first + 1;
    const step = end < joined.copies ? stepTo(end) : [0, 0, 0];
    while (end < joined.copies && stepTo(end).every((distance, i) => distance === step[i])) end++;
    runs.push({
      copies: [{ size: end - first, a: step[0] * left.cell, b: step[1] * right.cell, c: step[2] * out.cell }],
      a0: l(first) * left.cell, b0: r(first) * right.cell, c0: target(first) * out.cell,
    });
  }
  return runs;
}
