import type { Axis } from '../../ir/graph/types.js';
import type { Context } from './context.js';
import type { Kept } from './state.js';
import { pairFrame, pastBegins, type Tokens } from './tokens.js';
import {
  elementMap, gatherInto, makeValue, presence, sizeOf, spread, strides, union, without, type Into, type Mask, type Value,
} from './value.js';

/** Rows of a value with, before those of each sequence, what a state keeps of it. */
interface Extended {
  readonly data: Float64Array;
  /** First row of each sequence in `data`; its own come after the kept ones. */
  readonly begins: Int32Array;
  /** Row of `data` for each row of the tokens. */
  readonly at: Int32Array;
}

function extend(tokens: Tokens, data: Float64Array, cell: number, kept: (sequence: number) => Float64Array): Extended {
  const before = Array.from({ length: tokens.sequences }, (_, n) => kept(n));
  const begins = new Int32Array(tokens.sequences + 1);
  before.forEach((rows, n) => {
    begins[n + 1] = begins[n] + rows.length / Math.max(1, cell) + tokens.starts[n + 1] - tokens.starts[n];
  });
  const all = new Float64Array(begins[tokens.sequences] * cell);
  const at = new Int32Array(tokens.rows);
  before.forEach((rows, n) => {
    all.set(rows, begins[n] * cell);
    all.set(data.subarray(tokens.starts[n] * cell, tokens.starts[n + 1] * cell), begins[n] * cell + rows.length);
    const first = begins[n] + rows.length / Math.max(1, cell);
    for (let row = tokens.starts[n]; row < tokens.starts[n + 1]; row++) at[row] = first + row - tokens.starts[n];
  });
  return { data: all, begins, at };
}

/** For each element, the row that had it present before; undefined: the row before. What is kept counts as present. */
function chains(tokens: Tokens, { begins, at, data }: Extended, cell: number, present: Float64Array | undefined): Int32Array | undefined {
  if (present === undefined) return undefined;
  const previous = new Int32Array(data.length);
  const last = new Int32Array(cell);
  for (let n = 0; n < tokens.sequences; n++) {
    const first = tokens.starts[n] < tokens.starts[n + 1] ? at[tokens.starts[n]] : begins[n + 1];
    for (let row = begins[n]; row < first; row++) for (let i = 0; i < cell; i++) previous[row * cell + i] = Math.max(begins[n], row - 1);
    last.fill(Math.max(begins[n], first - 1));
    for (let row = tokens.starts[n]; row < tokens.starts[n + 1]; row++) {
      for (let i = 0; i < cell; i++) {
        previous[at[row] * cell + i] = last[i];
        if (present[row * cell + i] !== 0) last[i] = at[row];
      }
    }
  }
  return previous;
}

/** The latest `depth` present rows of each sequence, element by element. */
function latest(
  tokens: Tokens, { data, begins, at }: Extended, cell: number, depth: number, present: Float64Array | undefined,
  previous: Int32Array | undefined,
): Kept {
  const rows = Array.from({ length: tokens.sequences }, (_, n) => {
    const out = new Float64Array(depth * cell);
    const end = begins[n + 1] - 1;
    for (let i = 0; i < cell; i++) {
      const row = tokens.starts[n + 1] - 1;
      const absent = row >= tokens.starts[n] && present !== undefined && present[row * cell + i] === 0;
      let from = absent && previous !== undefined ? previous[at[row] * cell + i] : end;
      for (let d = depth - 1; d >= 0; d--) {
        out[d * cell + i] = data[from * cell + i];
        from = previous === undefined ? from - 1 : previous[from * cell + i];
      }
    }
    return out;
  });
  return { rows, present: undefined };
}

export interface Shifted {
  readonly value: Value;
  readonly kept: Kept;
}

/** `x[t-1]`: along the tokens at which x is present; 0 at the first of a sequence. */
export function beforeValue(context: Context, arg: Value, kept: Kept | undefined): Shifted {
  const one: Axis = { name: '%before', size: 2, past: false };
  const weight = makeValue(context.tokens.one, [one], Float64Array.of(1, 0));
  return convValue(context, arg, weight, one, kept);
}

/**
 * Sum over j of weight[j] x[t - (taps - 1) + j], along the tokens at which x is present; what was before a sequence is 0. A pick of
 * nothing is 0 as any other.
 */
export function convValue(context: Context, arg: Value, weight: Value, taps: Axis, kept: Kept | undefined): Shifted {
  const { tokens, tape } = context;
  const axes = union(arg.axes, without(weight.axes, [taps]));
  const cell = sizeOf(axes);
  const depth = taps.size - 1;
  const present = presence(tokens, arg.masks, tokens.byToken, axes, false);
  const extended = extend(tokens, spread(tokens, arg, tokens.byToken, axes), cell, (n) => kept?.rows[n] ?? new Float64Array(depth * cell));
  const previous = chains(tokens, extended, cell, present);
  const perToken = weight.frame.level !== 'one';
  const weightAxes = [taps, ...axes.filter((axis) => weight.axes.some(({ name }) => name === axis.name))];
  const weightFrame = perToken ? tokens.byToken : tokens.one;
  const factors = spread(tokens, weight, weightFrame, weightAxes);
  const [tapStep] = strides([taps], weightAxes);
  const rowStep = perToken ? sizeOf(weightAxes) : 0;
  const cells = elementMap(axes, weightAxes.slice(1));
  /** Visits (result element, source element, factor element) of every product. */
  const each = (visit: (out: number, from: number, factor: number) => void): void => {
    for (let row = 0; row < tokens.rows; row++) {
      for (let i = 0; i < cell; i++) {
        const out = row * cell + i;
        if (present !== undefined && present[out] === 0) continue;
        let from = extended.at[row];
        for (let j = depth; j >= 0; j--) {
          visit(out, from * cell + i, row * rowStep + j * tapStep + cells[i]);
          from = previous === undefined ? from - 1 : previous[from * cell + i];
        }
      }
    }
  };
  const data = new Float64Array(tokens.rows * cell);
  each((out, from, factor) => {
    data[out] += factors[factor] * extended.data[from];
  });
  const varies = tape !== undefined && (arg.varies || weight.varies);
  const value = makeValue(tokens.byToken, axes, data, { masks: arg.masks.filter(({ picked }) => !picked), varies });
  if (tape !== undefined && varies) {
    tape.push(value, (cotangent, into) => {
      const [dRows, dFactors] = [new Float64Array(extended.data.length), new Float64Array(factors.length)];
      each((out, from, factor) => {
        dRows[from] += cotangent[out] * factors[factor];
        dFactors[factor] += cotangent[out] * extended.data[from];
      });
      if (arg.varies) gatherInto(tokens, arg, tokens.byToken, axes, own(tokens, extended, dRows, cell), into);
      if (weight.varies) gatherInto(tokens, weight, weightFrame, weightAxes, dFactors, into);
    });
  }
  return { value, kept: latest(tokens, extended, cell, depth, present, previous) };
}

/** The rows of the tokens themselves. */
function own(tokens: Tokens, { at }: Extended, data: Float64Array, cell: number): Float64Array {
  const rows = new Float64Array(tokens.rows * cell);
  at.forEach((from, row) => rows.set(data.subarray(from * cell, (from + 1) * cell), row * cell));
  return rows;
}

/** `x[past]`: x at the tokens of its sequence up to this one. What stands before the bracket is kept for the tokens to come. */
export function pastValue(context: Context, arg: Value, axis: Axis, kept: Kept | undefined): Shifted {
  const { tokens, tape } = context;
  const { cell } = arg;
  const frame = pairFrame(tokens, [axis]);
  const rows = spread(tokens, arg, tokens.byToken, arg.axes);
  const wanted = pastBegins(tokens, axis);
  const keptOf = (n: number): number => (wanted[n + 1] - wanted[n] - (tokens.starts[n + 1] - tokens.starts[n])) * cell;
  const extended = extend(tokens, rows, cell, (n) => tail(kept?.rows[n], keptOf(n)));
  const there = presence(tokens, arg.masks, tokens.byToken, arg.axes, false);
  const restricted = there !== undefined || kept?.present !== undefined;
  const present = restricted ? extend(tokens, there ?? new Float64Array(rows.length).fill(1), cell, (n) => {
    return tail(kept?.present?.[n] ?? new Float64Array(keptOf(n)).fill(1), keptOf(n));
  }) : undefined;
  const [source] = frame.source;
  const masks: Mask[] = present === undefined ? [] : [{ of: makeValue(frame, arg.axes, present.data, { rows: source }), picked: false }];
  const varies = tape !== undefined && arg.varies;
  const held = makeValue(tokens.byToken, arg.axes, extended.data, { varies });
  if (tape !== undefined && varies) {
    tape.push(held, (cotangent: Float64Array, into: Into) => {
      gatherInto(tokens, arg, tokens.byToken, arg.axes, own(tokens, extended, cotangent, cell), into);
    });
  }
  const root = varies ? { value: held, at: 0 } : undefined;
  const value = makeValue(frame, arg.axes, extended.data, { rows: source, masks, varies, root });
  const keep = ({ data, begins }: Extended): Float64Array[] => Array.from({ length: tokens.sequences }, (_, n) => {
    const all = data.subarray(begins[n] * cell, begins[n + 1] * cell);
    return Float64Array.from(tail(all, Math.min(all.length, (axis.size - 1) * cell)));
  });
  return { value, kept: { rows: keep(extended), present: present && keep(present) } };
}

/** The last `length` numbers. */
function tail(data: Float64Array | undefined, length: number): Float64Array {
  if (length === 0) return new Float64Array(0);
  if (data === undefined || data.length < length) throw new Error('the state keeps fewer rows than it has seen');
  return data.subarray(data.length - length);
}
