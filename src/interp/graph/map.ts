import type { MathName } from '../../ir/common/dag.js';
import type { Axis } from '../../ir/graph/types.js';
import { math } from '../../math/index.js';
import type { MathBuilder } from '../../math/math.js';
import type { Context } from './context.js';
import { joinFrames, type Frame } from './tokens.js';
import { gatherInto, joinMasks, makeValue, presence, sizeOf, spread, union, type Value } from './value.js';

/** Numbers of one shape, or one number for all. */
type Vector = Float64Array | number;

/** A function of one or two numbers. `%` has the sign of the second. */
export type MapName = MathName | '%';

const chained = math.chain.f64;

export function scalarFunction(fn: MapName): (x: number, y: number) => number {
  return fn === '%' ? (x, y) => x - y * Math.floor(x / y) : math[fn].f64;
}

/** Elementwise over all copies and axes of the arguments; absent where one of them is. */
export function mapValues({ tokens, tape }: Context, fn: MapName, args: readonly Value[]): Value {
  const frame = args.map((arg) => arg.frame).reduce((a, b) => joinFrames(tokens, a, b));
  const axes = union(...args.map((arg) => arg.axes));
  const vectors = args.map((arg) => vectorOf({ tokens, tape }, arg, frame, axes));
  const count = frame.copies * sizeOf(axes);
  const data = filled(applied(fn, vectors, count), count);
  const varies = tape !== undefined && args.some((arg) => arg.varies);
  const masks = joinMasks(...args.map((arg) => arg.masks));
  if (masks.length > 0) quiet(data, presence(tokens, masks, frame, axes, false));
  const out = makeValue(frame, axes, data, { masks, varies });
  if (tape !== undefined && varies) {
    tape.push(out, (cotangent, into) => {
      slopes(fn, vectors, data, count).forEach((slope, i) => {
        if (slope === null || !args[i].varies) return;
        gatherInto(tokens, args[i], frame, axes, chain(cotangent, slope), into);
      });
    });
  }
  return out;
}

/** What is absent may be 0 / 0, and its cotangent is 0: their product should not be NaN. */
function quiet(data: Float64Array, present: Float64Array | undefined): void {
  if (present === undefined) return;
  for (let i = 0; i < data.length; i++) if (present[i] === 0 && !Number.isFinite(data[i])) data[i] = 0;
}

function vectorOf({ tokens }: Context, value: Value, frame: Frame, axes: readonly Axis[]): Vector {
  return value.frame.level === 'one' && value.cell === 1 ? value.data[0] : spread(tokens, value, frame, axes);
}

function filled(vector: Vector, count: number): Float64Array {
  return typeof vector === 'number' ? new Float64Array(count).fill(vector) : vector;
}

function applied(fn: MapName, [x, y]: readonly Vector[], count: number): Vector {
  const f = scalarFunction(fn);
  if (typeof x === 'number' && (typeof y === 'number' || y === undefined)) return f(x, y ?? x);
  const out = new Float64Array(count);
  if (y === undefined) {
    const a = filled(x, count);
    for (let i = 0; i < count; i++) out[i] = f(a[i], a[i]);
  } else if (typeof y === 'number') {
    const a = filled(x, count);
    for (let i = 0; i < count; i++) out[i] = f(a[i], y);
  } else if (typeof x === 'number') {
    for (let i = 0; i < count; i++) out[i] = f(x, y[i]);
  } else {
    applyPairs(fn, f, x, y, out);
  }
  return out;
}

/** The loops of arithmetic are written out: a call per element would cost more than it computes. */
function applyPairs(fn: MapName, f: (x: number, y: number) => number, x: Float64Array, y: Float64Array, out: Float64Array): void {
  const count = out.length;
  if (fn === 'add') for (let i = 0; i < count; i++) out[i] = x[i] + y[i];
  else if (fn === 'sub') for (let i = 0; i < count; i++) out[i] = x[i] - y[i];
  else if (fn === 'mul') for (let i = 0; i < count; i++) out[i] = x[i] * y[i];
  else for (let i = 0; i < count; i++) out[i] = f(x[i], y[i]);
}

function slopes(fn: MapName, args: readonly Vector[], out: Float64Array, count: number): readonly (Vector | null)[] {
  if (fn === '%') return [1, applied('neg', [applied('floor', [applied('div', args, count)], count)], count)];
  return math[fn].derivative(vectors(count), args, out);
}

function vectors(count: number): MathBuilder<Vector> {
  return { literal: (value) => value, map: (fn, ...args) => applied(fn, args, count) };
}

/** Cotangent times slope, 0 where one of them is. */
function chain(cotangent: Float64Array, slope: Vector): Float64Array {
  if (slope === 1) return cotangent;
  const out = new Float64Array(cotangent.length);
  for (let i = 0; i < out.length; i++) {
    const factor = typeof slope === 'number' ? slope : slope[i];
    const product = cotangent[i] * factor;
    out[i] = product === product ? product : chained(cotangent[i], factor);
  }
  return out;
}
