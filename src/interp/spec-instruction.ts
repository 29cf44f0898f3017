import type { MathName } from '../ir/common/dag.js';
import { math } from '../math/index.js';
import type { Operand, Runs } from './spec-box.js';

const chained = math.chain.f64;

/**
 * One vector instruction over a flat memory of float64 cells. It visits the cells of a box in row-major order; what it names by a number
 * alone lies in that order, one cell behind the other.
 */
export type Instruction =
  /** to[i] = fn(x[i], y[i]); y is x where fn takes one argument. */
  | { readonly kind: 'map'; readonly fn: MathName; readonly to: number; readonly runs: Runs; readonly x: Operand; readonly y: Operand }
  /** to[i] = fold of x[i + j * stride] over j < size. */
  | {
    readonly kind: 'reduce'; readonly op: 'sum' | 'max' | 'min';
    readonly to: number; readonly runs: Runs; readonly x: Operand; readonly size: number; readonly stride: number;
  }
  /** to[i] += cotangent[i] * factor[i], 0 where one of them is: the chain rule, summed over the axes that `to` does not have. */
  | { readonly kind: 'chain'; readonly to: Operand; readonly runs: Runs; readonly cotangent: number; readonly factor: Operand }
  /** to[i + j * stride] += cotangent[i]: a sum, backwards. */
  | {
    readonly kind: 'spread';
    readonly to: Operand; readonly runs: Runs; readonly cotangent: number; readonly size: number; readonly stride: number;
  }
  /** The same for those j whose value x[i + j * stride] is the extremum out[i]. */
  | {
    readonly kind: 'choose';
    readonly to: Operand; readonly runs: Runs; readonly cotangent: number; readonly size: number; readonly stride: number;
    readonly x: Operand; readonly out: number;
  };

/** Runs a straight line of instructions. The element loops are written out: a closure per element would cost more than its arithmetic. */
export function execute(instructions: readonly Instruction[], m: Float64Array): void {
  for (const instruction of instructions) {
    switch (instruction.kind) {
      case 'map':
        executeMap(instruction.fn, m, instruction.to, instruction.runs, instruction.x, instruction.y);
        break;
      case 'reduce': {
        const { op, to, runs, x, size, stride } = instruction;
        if (op === 'sum') executeSum(m, to, runs, x, size, stride);
        else executeExtremum(m, op === 'max' ? 1 : -1, to, runs, x, size, stride);
        break;
      }
      case 'chain':
        executeChain(m, instruction.to, instruction.runs, instruction.cotangent, instruction.factor);
        break;
      case 'spread':
        executeSpread(m, instruction.to, instruction.runs, instruction.cotangent, instruction.size, instruction.stride);
        break;
      case 'choose': {
        const { to, runs, cotangent, size, stride, x, out } = instruction;
        for (let r = 0, i = 0; r < runs.count; r++) {
          for (let n = 0, a = to.at + to.starts[r], b = x.at + x.starts[r]; n < runs.length; n++, i++, a += to.step, b += x.step) {
            for (let j = 0; j < size; j++) if (m[b + j * stride] === m[out + i]) m[a + j * stride] += m[cotangent + i];
          }
        }
        break;
      }
      default:
        instruction satisfies never;
    }
  }
}

function executeMap(fn: MathName, m: Float64Array, to: number, { count, length }: Runs, x: Operand, y: Operand): void {
  const { f64 } = math[fn];
  for (let r = 0, z = to; r < count; r++) {
    const end = z + length;
    let a = x.at + x.starts[r];
    let b = y.at + y.starts[r];
    switch (fn) {
      case 'add':
        for (; z < end; z++, a += x.step, b += y.step) m[z] = m[a] + m[b];
        break;
      case 'sub':
        for (; z < end; z++, a += x.step, b += y.step) m[z] = m[a] - m[b];
        break;
      case 'mul':
        for (; z < end; z++, a += x.step, b += y.step) m[z] = m[a] * m[b];
        break;
      default:
        for (; z < end; z++, a += x.step, b += y.step) m[z] = f64(m[a], m[b]);
    }
  }
}

function executeSum(m: Float64Array, to: number, { count, length }: Runs, x: Operand, size: number, stride: number): void {
  for (let r = 0, z = to; r < count; r++) {
    for (let n = 0, a = x.at + x.starts[r]; n < length; n++, z++, a += x.step) {
      let sum = 0;
      for (let j = 0, at = a; j < size; j++, at += stride) sum += m[at];
      m[z] = sum;
    }
  }
}

function executeExtremum(
  m: Float64Array, sign: 1 | -1, to: number, { count, length }: Runs, x: Operand, size: number, stride: number,
): void {
  for (let r = 0, z = to; r < count; r++) {
    for (let n = 0, a = x.at + x.starts[r]; n < length; n++, z++, a += x.step) {
      let best = -Infinity;
      for (let j = 0, at = a; j < size; j++, at += stride) best = Math.max(best, sign * m[at]);
      m[z] = sign * best;
    }
  }
}

function executeChain(m: Float64Array, to: Operand, { count, length }: Runs, cotangent: number, factor: Operand): void {
  const [da, df] = [to.step, factor.step];
  for (let r = 0, c = cotangent; r < count; r++) {
    const end = c + length;
    let a = to.at + to.starts[r];
    let f = factor.at + factor.starts[r];
    if (da === 0) {
      // A sum over the run: through memory, every term would wait for the one before it to be stored.
      let sum = m[a];
      for (; c < end; c++, f += df) {
        const product = m[c] * m[f];
        sum += product === product ? product : chained(m[c], m[f]);
      }
      m[a] = sum;
    } else {
      for (; c < end; c++, a += da, f += df) {
        const product = m[c] * m[f];
        m[a] += product === product ? product : chained(m[c], m[f]);
      }
    }
  }
}

function executeSpread(m: Float64Array, to: Operand, { count, length }: Runs, cotangent: number, size: number, stride: number): void {
  for (let r = 0, c = cotangent; r < count; r++) {
    for (let n = 0, a = to.at + to.starts[r]; n < length; n++, c++, a += to.step) {
      const value = m[c];
      for (let j = 0, at = a; j < size; j++, at += stride) m[at] += value;
    }
  }
}
