import { ROW, withoutAxes, type Axis } from '../ir/common/axes.js';
import { strideOf, stridesAlong, visit, type TileValue } from './tile-value.js';

/** `to` is the last axis of the result. */
export function packTile(along: readonly Axis[], arg: TileValue, held: TileValue, out: TileValue): TileValue {
  const columns = out.axes.slice(0, -1);
  const seats = out.sizes[columns.length];
  const sizes = along.map((axis) => held.sizes[held.axes.indexOf(axis)]);
  visit(out.sizes.slice(0, -1), [arg, held].map((one) => stridesAlong(one, columns)), ([from, where], column) => {
    let seat = 0;
    visit(sizes, [arg, held].map((one) => stridesAlong(one, along)), ([a, h]) => {
      if (held.data[where + h] === 0) return;
      if (seat === seats) throw new Error(`more than ${seats} are packed`);
      out.data[column * seats + seat++] = arg.data[from + a];
    });
  });
  return out;
}

/** `along` are the last axes of the result. */
export function unpackTile(from: Axis, arg: TileValue, number: TileValue, along: readonly Axis[], out: TileValue): TileValue {
  const columns = out.axes.slice(0, out.axes.length - along.length);
  const elements = out.sizes.slice(columns.length).reduce((n, size) => n * size, 1);
  const [own, step] = [arg, number].map((one) => strideOf(one, from));
  visit(out.sizes.slice(0, columns.length), [arg, number].map((one) => stridesAlong(one, columns)), ([a, n], column) => {
    for (let seat = 0; seat < number.sizes[number.axes.indexOf(from)]; seat++) {
      const to = number.data[n + seat * step];
      if (to > 0) out.data[column * elements + to - 1] = arg.data[a + seat * own];
    }
  });
  return out;
}

export function tallyTile(arg: TileValue, out: TileValue): TileValue {
  for (const number of arg.data) if (number > 0) out.data[number - 1]++;
  return out;
}

export function queueTile(arg: TileValue, first: TileValue, along: readonly Axis[], out: TileValue): TileValue {
  const next: number[] = [];
  visit(along.map((axis) => first.sizes[first.axes.indexOf(axis)]), [stridesAlong(first, along)], ([at]) => void next.push(first.data[at]));
  const columns = withoutAxes(out.axes, [ROW]);
  const step = strideOf(arg, ROW);
  for (let row = 0; row < arg.sizes[arg.axes.indexOf(ROW)]; row++) {
    visit(columns.map((axis) => arg.sizes[arg.axes.indexOf(axis)]), [stridesAlong(arg, columns)], ([column]) => {
      const number = arg.data[column + row * step];
      out.data[column + row * step] = number > 0 ? next[number - 1]++ : -1;
    });
  }
  return out;
}
