import type { MathName } from '../ir/common/dag.js';
import type { MathBuilder, MathFunction } from './math.js';

interface Texts {
  readonly cuda: MathFunction['cuda'];
  readonly wgsl: MathFunction['wgsl'];
}

/** `slope` is d out / dx; undefined where it is zero. */
export function unary(name: MathName, f64: (x: number) => number, slope: (<V>(b: MathBuilder<V>, x: V, out: V) => V) | undefined, texts: Texts): MathFunction {
  return { name, arity: 1, f64, derivative: (b, [x], out) => [slope ? slope(b, x, out) : null], ...texts };
}

export function binary(name: MathName, f64: (x: number, y: number) => number, slopes: <V>(b: MathBuilder<V>, x: V, y: V, out: V) => readonly (V | null)[], texts: Texts): MathFunction {
  return { name, arity: 2, f64, derivative: (b, [x, y], out) => slopes(b, x, y, out), ...texts };
}

/** The same text for both targets. */
export function same(text: (...args: string[]) => string): Texts {
  return { cuda: text, wgsl: text };
}

/** A call of a function that each target names in its own way. */
export function calls(cuda: string, wgsl: string): Texts {
  return { cuda: (...args) => `${cuda}(${args.join(', ')})`, wgsl: (...args) => `${wgsl}(${args.join(', ')})` };
}
