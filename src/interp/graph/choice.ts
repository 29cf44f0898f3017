import type { Span } from '../../ir/common/span.js';
import { MOST_ROUNDS, type Comparison } from '../../ir/graph/graph.js';
import type { Axis, Silent } from '../../ir/graph/types.js';
import type { Context } from './context.js';
import { GraphFault } from './fault.js';
import { eachElement, groupsOf } from './fold.js';
import { joinFrames, type Frame, type Tokens } from './tokens.js';
import { alias, gatherInto, joinMasks, makeValue, presence, sizeOf, spread, union, type Mask, type Value } from './value.js';

/**
 * 1 at the `count` largest along axes and silent axes; of equals, those that come first: tokens in their order, then axes row by row. What
 * is absent is not there to be chosen.
 */
export function topValue(
  context: Context, arg: Value, axes: readonly Axis[], silent: readonly Silent[], count: Value, origin: Span,
): Value {
  const { tokens } = context;
  const frame = silent.length > 0 ? arg.frame : joinFrames(tokens, arg.frame, count.frame);
  const all = frame === arg.frame ? arg : makeValue(frame, arg.axes, spread(tokens, arg, frame, arg.axes), { masks: arg.masks });
  const groups = groupsOf(context, all, axes, silent);
  const counts = spread(tokens, count, groups.outFrame, groups.outAxes);
  const members: number[][] = Array.from({ length: groups.count }, () => []);
  eachElement(groups, (group, i) => {
    if (Number.isNaN(groups.data[i])) throw notANumber(context, all, groups.frame === all.frame ? i : undefined, origin);
    members[group].push(i);
  });
  const chosen = new Float64Array(groups.data.length);
  const { data } = groups;
  members.forEach((found, group) => {
    if (Number.isNaN(counts[group])) throw new GraphFault('not a number', 'how many are chosen is not a number', origin);
    const wanted = Math.min(found.length, Math.max(0, Math.floor(counts[group])));
    if (wanted < found.length) found.sort((a, b) => data[b] - data[a] || a - b);
    for (let i = 0; i < wanted; i++) chosen[found[i]] = 1;
  });
  return makeValue(groups.frame, groups.axes, chosen);
}

function notANumber({ tokens }: Context, value: Value, index: number | undefined, origin: Span): GraphFault {
  const { frame, axes, cell } = value;
  if (index === undefined) return new GraphFault('not a number', 'a score that something is chosen by is not a number', origin);
  const copy = Math.floor(index / cell);
  const row = frame.level === 'pair' ? frame.row[copy] : copy;
  const where = frame.level === 'token' || frame.level === 'pair' ? ` of ${tokenName(tokens, row)}` : '';
  let rest = index % cell;
  const place = [...axes].reverse().map((axis) => {
    const at = rest % axis.size;
    rest = Math.floor(rest / axis.size);
    return `${axis.name} = ${at}`;
  }).reverse().join(', ');
  const at = place === '' ? '' : ` at ${place}`;
  return new GraphFault('not a number', `the score${where}${at}, by which something is chosen, is not a number`, origin);
}

function tokenName({ keys }: Tokens, row: number): string {
  return `token ${keys.position[row]} of sequence ${keys.sequence[row]}`;
}

export function compareValues({ tokens }: Context, op: Comparison, left: Value, right: Value): Value {
  const frame = joinFrames(tokens, left.frame, right.frame);
  const axes = union(left.axes, right.axes);
  const [a, b] = [left, right].map((value) => spread(tokens, value, frame, axes));
  const holds = comparison(op);
  return makeValue(frame, axes, a.map((x, i) => (holds(x, b[i]) ? 1 : 0)), { masks: joinMasks(left.masks, right.masks) });
}

export function comparison(op: Comparison): (x: number, y: number) => boolean {
  switch (op) {
    case '<': return (x, y) => x < y;
    case '<=': return (x, y) => x <= y;
    case '>': return (x, y) => x > y;
    case '>=': return (x, y) => x >= y;
    case '==': return (x, y) => x === y;
    case '!=': return (x, y) => x !== y;
  }
}

/** `and` and `or` read what is absent as false; `not` of it is absent. */
export function logicValue(context: Context, op: 'and' | 'or' | 'not', args: readonly Value[]): Value {
  if (op === 'not') {
    const [arg] = args;
    return makeValue(arg.frame, arg.axes, arg.data.map((x) => 1 - x), { masks: arg.masks, rows: arg.rows });
  }
  const { tokens } = context;
  const frame = args.map((arg) => arg.frame).reduce((a, b) => joinFrames(tokens, a, b));
  const axes = union(...args.map((arg) => arg.axes));
  const [first, ...rest] = args.map((arg) => spread(tokens, maskValue(context, arg), frame, axes));
  const out = first.slice();
  const join = op === 'and' ? Math.min : Math.max;
  for (const other of rest) for (let i = 0; i < out.length; i++) out[i] = join(out[i], other[i]);
  return makeValue(frame, axes, out);
}

/** 1 where the choice holds, 0 where it does not or is absent. */
export function maskValue({ tokens }: Context, choice: Value): Value {
  const there = presence(tokens, choice.masks, choice.frame, choice.axes, false);
  const picked = choice.masks.filter((mask) => mask.picked);
  if (there === undefined) return alias(choice, { masks: picked, varies: false, root: undefined });
  const holds = spread(tokens, choice, choice.frame, choice.axes).map((x, i) => x * there[i]);
  return makeValue(choice.frame, choice.axes, holds, { masks: picked });
}

/** What a value has to be restricted to a choice. */
export function restrictionOf(context: Context, choice: Value): Mask {
  return { of: maskValue(context, choice), picked: false };
}

/** `x[c]`: absent where c does not hold or is absent; zeros are stored there. */
export function restrictValue(context: Context, arg: Value, choice: Value): Value {
  const frame = joinFrames(context.tokens, arg.frame, choice.frame);
  const axes = union(arg.axes, choice.axes);
  const masks = joinMasks(arg.masks, [restrictionOf(context, choice)]);
  return keepWhere(context, arg, frame, axes, masks, masks);
}

/** `sum[](x)`: 0 where it is absent, and no longer restricted. */
export function liftValue(context: Context, arg: Value): Value {
  return keepWhere(context, arg, arg.frame, arg.axes, arg.masks, arg.masks.filter(({ picked }) => picked));
}

function keepWhere(
  { tokens, tape }: Context, arg: Value, frame: Frame, axes: readonly Axis[], where: readonly Mask[], masks: readonly Mask[],
): Value {
  const varies = tape !== undefined && arg.varies;
  const there = presence(tokens, where, frame, axes, false);
  const keep = (data: Float64Array): Float64Array => (there === undefined ? data : data.map((x, i) => (there[i] === 0 ? 0 : x)));
  const out = makeValue(frame, axes, keep(spread(tokens, arg, frame, axes)), { masks, varies });
  if (tape !== undefined && varies) tape.push(out, (cotangent, into) => gatherInto(tokens, arg, frame, axes, keep(cotangent), into));
  return out;
}

/**
 * exp(z) with its rows (tokens) and columns (an axis) scaled in turn until the rows sum to 1 / tokens and the columns nearly to 1 / size:
 * until the mean change of the columns' factors is below `tolerance`. The largest of a row is taken off its exponents, which changes the
 * factor of the row only.
 */
export function sinkhornValue({ tokens }: Context, arg: Value, axis: Axis, tolerance: number, origin: Span): Value {
  const axes = [...arg.axes.filter(({ name }) => name !== axis.name), axis];
  const z = spread(tokens, arg, tokens.byToken, axes);
  const there = presence(tokens, arg.masks, tokens.byToken, axes, false);
  const lanes = sizeOf(axes) / axis.size;
  const plan = new Float64Array(z.length);
  for (let lane = 0; lane < lanes; lane++) {
    const at = (row: number, i: number): number => (row * lanes + lane) * axis.size + i;
    const cost = new Float64Array(tokens.rows * axis.size);
    for (let row = 0; row < tokens.rows; row++) {
      let most = -Infinity;
      const columns = Array.from({ length: axis.size }, (_, i) => i).filter((i) => there === undefined || there[at(row, i)] !== 0);
      for (const i of columns) most = Math.max(most, z[at(row, i)]);
      if (Number.isNaN(most)) throw new GraphFault('not a number', `a score of ${tokenName(tokens, row)} is not a number`, origin);
      for (const i of columns) cost[row * axis.size + i] = Math.exp(z[at(row, i)] - most);
    }
    const scaled = balanced(cost, tokens.rows, axis.size, tolerance, origin);
    for (let row = 0; row < tokens.rows; row++) for (let i = 0; i < axis.size; i++) plan[at(row, i)] = scaled[row * axis.size + i];
  }
  return makeValue(tokens.byToken, axes, plan, { masks: arg.masks });
}

function balanced(cost: Float64Array, rows: number, columns: number, tolerance: number, origin: Span): Float64Array {
  const right = new Float64Array(columns).fill(1);
  const left = new Float64Array(rows);
  for (let round = 0; round < MOST_ROUNDS && rows > 0; round++) {
    const sums = new Float64Array(columns);
    for (let t = 0; t < rows; t++) {
      let sum = 0;
      for (let i = 0; i < columns; i++) sum += right[i] * cost[t * columns + i];
      left[t] = sum === 0 ? 0 : 1 / (rows * sum);
      for (let i = 0; i < columns; i++) sums[i] += left[t] * cost[t * columns + i];
    }
    let change = 0;
    for (let i = 0; i < columns; i++) {
      const next = sums[i] === 0 ? 0 : 1 / (columns * sums[i]);
      change += Math.abs(next - right[i]) / columns;
      right[i] = next;
    }
    if (change < tolerance) return cost.map((x, at) => x * left[Math.floor(at / columns)] * right[at % columns]);
  }
  if (rows === 0) return cost;
  throw new GraphFault('no plan', `after ${MOST_ROUNDS} rounds the factors of sinkhorn still change by more than ${tolerance}`, origin);
}
