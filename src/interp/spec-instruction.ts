import type { Axis, AxisSizes } from '../ir/common/axes.js';
import { elements } from '../ir/common/axes.js';
import type { MathName } from '../ir/common/dag.js';
import { math } from '../math/index.js';

const chained = math.chain.f64;

/** A value in the machine's memory: its first cell and, for every cell of the box that an instruction visits, how far from there. */
export interface Operand {
  readonly at: number;
  readonly index: Int32Array;
}

/** One vector instruction over a flat memory of float64 cells. `count` is the number of cells of the box it visits in row-major order. */
export type Instruction =
  /** to[i] = fn(x[i], y[i]); y is x where fn takes one argument. */
  | { readonly kind: 'map'; readonly fn: MathName; readonly to: number; readonly count: number; readonly x: Operand; readonly y: Operand }
  /** to[i] = fold of x[i + j * stride] over j < size. */
  | {
    readonly kind: 'reduce'; readonly op: 'sum' | 'max' | 'min';
    readonly to: number; readonly count: number; readonly x: Operand; readonly size: number; readonly stride: number;
  }
  /** to[i] += cotangent[i] * factor[i], 0 where one of them is: the chain rule, summed over the axes that `to` does not have. */
  | { readonly kind: 'chain'; readonly to: Operand; readonly count: number; readonly cotangent: number; readonly factor: Operand }
  /** to[i + j * stride] += cotangent[i]: a sum, backwards. */
  | {
    readonly kind: 'spread';
    readonly to: Operand; readonly count: number; readonly cotangent: number; readonly size: number; readonly stride: number;
  }
  /** The same for those j whose value x[i + j * stride] is the extremum out[i]. */
  | {
    readonly kind: 'choose';
    readonly to: Operand; readonly count: number; readonly cotangent: number; readonly size: number; readonly stride: number;
    readonly x: Operand; readonly out: number;
  };

/** Runs a straight line of instructions. The element loops are written out: a closure per element would cost more than its arithmetic. */
export function execute(instructions: readonly Instruction[], m: Float64Array): void {
  for (const instruction of instructions) {
    switch (instruction.kind) {
      case 'map':
        executeMap(instruction.fn, m, instruction.to, instruction.count, instruction.x, instruction.y);
        break;
      case 'reduce': {
        const { op, to, count, x, size, stride } = instruction;
        if (op === 'sum') executeSum(m, to, count, x, size, stride);
        else executeExtremum(m, op === 'max' ? 1 : -1, to, count, x, size, stride);
        break;
      }
      case 'chain': {
        const { to, count, cotangent, factor } = instruction;
        const [a, ai, f, fi] = [to.at, to.index, factor.at, factor.index];
        for (let i = 0; i < count; i++) {
          const product = m[cotangent + i] * m[f + fi[i]];
          m[a + ai[i]] += product === product ? product : chained(m[cotangent + i], m[f + fi[i]]);
        }
        break;
      }
      case 'spread': {
        const { to, count, cotangent, size, stride } = instruction;
        for (let i = 0; i < count; i++) {
          const value = m[cotangent + i];
          for (let j = 0, at = to.at + to.index[i]; j < size; j++, at += stride) m[at] += value;
        }
        break;
      }
      case 'choose': {
        const { to, count, cotangent, size, stride, x, out } = instruction;
        for (let i = 0; i < count; i++) {
          for (let j = 0; j < size; j++) {
            if (m[x.at + x.index[i] + j * stride] === m[out + i]) m[to.at + to.index[i] + j * stride] += m[cotangent + i];
          }
        }
        break;
      }
      default:
        instruction satisfies never;
    }
  }
}

function executeMap(
  fn: MathName, m: Float64Array, to: number, count: number, { at: a, index: x }: Operand, { at: b, index: y }: Operand,
): void {
  switch (fn) {
    case 'add':
      for (let i = 0; i < count; i++) m[to + i] = m[a + x[i]] + m[b + y[i]];
      return;
    case 'sub':
      for (let i = 0; i < count; i++) m[to + i] = m[a + x[i]] - m[b + y[i]];
      return;
    case 'mul':
      for (let i = 0; i < count; i++) m[to + i] = m[a + x[i]] * m[b + y[i]];
      return;
    default: {
      const { f64 } = math[fn];
      for (let i = 0; i < count; i++) m[to + i] = f64(m[a + x[i]], m[b + y[i]]);
    }
  }
}

function executeSum(m: Float64Array, to: number, count: number, x: Operand, size: number, stride: number): void {
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (let j = 0, at = x.at + x.index[i]; j < size; j++, at += stride) sum += m[at];
    m[to + i] = sum;
  }
}

function executeExtremum(m: Float64Array, sign: 1 | -1, to: number, count: number, x: Operand, size: number, stride: number): void {
  for (let i = 0; i < count; i++) {
    let best = -Infinity;
    for (let j = 0, at = x.at + x.index[i]; j < size; j++, at += stride) best = Math.max(best, sign * m[at]);
    m[to + i] = sign * best;
  }
}

/** Distance between neighbours along an axis of a row-major value; 0 if it does not have that axis (a broadcast). */
export function strideAlong(axes: readonly Axis[], axis: Axis, sizes: AxisSizes): number {
  const at = axes.indexOf(axis);
  return at < 0 ? 0 : elements(axes.slice(at + 1), sizes);
}

/** For every cell of a row-major box, the offset of the cell it names in a row-major value over `axes`. */
export function offsets(box: readonly Axis[], axes: readonly Axis[], sizes: AxisSizes): Int32Array {
  const extents = box.map((axis) => elements([axis], sizes));
  const strides = box.map((axis) => strideAlong(axes, axis, sizes));
  const result = new Int32Array(elements(box, sizes));
  const position = box.map(() => 0);
  for (let i = 0, offset = 0; i < result.length; i++) {
    result[i] = offset;
    for (let d = box.length - 1; d >= 0; d--) {
      position[d]++;
      offset += strides[d];
      if (position[d] < extents[d]) break;
      offset -= strides[d] * extents[d];
      position[d] = 0;
    }
  }
  return result;
}
