import type { Axis } from '../../ir/graph/types.js';
import type { Context } from './context.js';
import { contractInto, type Dim } from './contract.js';
import { foldValue } from './fold.js';
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
  const folded = (mask: Mask): boolean => !mask.picked && (mask.of.axes.some((axis) => hasAxis(axes, axis)) || (past.length > 0 && mask.of.frame.level === 'pair'));
  const masks = joinMasks(left.masks, right.masks);
  if (joined.past.length > 1 || masks.some(folded)) return foldValue(context, 'sum', mapValues(context, 'mul', [left, right]), axes, []);

  const both = union(left.axes, right.axes);
  const outAxes = without(both, plain);
  const data = new Float64Array(frame.copies * sizeOf(outAxes));
  const varies = tape !== undefined && (left.varies || right.varies);
  const out = makeValue(frame, outAxes, data, { masks, varies });
  const [a, b, c] = [left, right, out].map((value) => strides(both, value.axes));
  const dims = both.map(({ size }, i): Dim => ({ size, a: a[i], b: b[i], c: c[i] }));
  const runs = runsOf(tokens, left, right, out, joined);
  for (const { copies, a0, b0, c0 } of runs) contractInto([...copies, ...dims], left.data, a0, right.data, b0, data, c0);
  if (tape !== undefined && varies) {
    tape.push(out, (cotangent, into) => {
      if (left.varies) {
        const to = into(left);
        const turned = dims.map((dim) => ({ size: dim.size, a: dim.c, b: dim.b, c: dim.a }));
        for (const { copies, a0, b0, c0 } of runs) {
          contractInto([...copies.map((dim) => ({ size: dim.size, a: dim.c, b: dim.b, c: dim.a })), ...turned], cotangent, c0, right.data, b0, to, a0);
        }
      }
      if (right.varies) {
        const to = into(right);
        const turned = dims.map((dim) => ({ size: dim.size, a: dim.a, b: dim.c, c: dim.b }));
        for (const { copies, a0, b0, c0 } of runs) {
          contractInto([...copies.map((dim) => ({ size: dim.size, a: dim.a, b: dim.c, c: dim.b })), ...turned], left.data, a0, cotangent, c0, to, b0);
        }
      }
    });
  }
  return out;
}

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
  if (a !== undefined && b !== undefined && out.frame === joined) return [{ copies: [{ size: joined.copies, a, b, c: out.cell }], a0: 0, b0: 0, c0: 0 }];
  const rowOf = (value: Value): ((copy: number) => number) => {
    const map = rowsIn(tokens, value, joined);
    return map === undefined ? (copy) => copy : (copy) => map[copy];
  };
  const [l, r] = [rowOf(left), rowOf(right)];
  const target = out.frame === joined ? (copy: number) => copy : (copy: number) => joined.row[copy];
  const runs: Run[] = [];
  for (let first = 0; first < joined.copies;) {
    const steps = (next: number): [number, number, number] => [l(next) - l(next - 1), r(next) - r(next - 1), target(next) - target(next - 1)];
    let end = first + 1;
    const same = (next: number, [x, y, z]: readonly number[]): boolean => {
      const [p, q, s] = steps(next);
      return p === x && q === y && s === z;
    };
    const step = end < joined.copies ? steps(end) : [0, 0, 0];
    while (end < joined.copies && same(end, step)) end++;
    const [x, y, z] = step;
    runs.push({ copies: [{ size: end - first, a: x * left.cell, b: y * right.cell, c: z * out.cell }], a0: l(first) * left.cell, b0: r(first) * right.cell, c0: target(first) * out.cell });
    first = end;
  }
  return runs;
}
