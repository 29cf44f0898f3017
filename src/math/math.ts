import type { MathName } from '../ir/common/dag.js';

/** Builds expressions over `V`: nodes of some DAG for the adjoint pass, plain numbers in tests. */
export interface MathBuilder<V> {
  literal(value: number): V;
  map(fn: MathName, ...args: V[]): V;
}

/** One scalar function: what every part of the compiler needs to know of it. */
export interface MathFunction {
  readonly name: MathName;
  readonly arity: 1 | 2;
  /** Its value in float64; must not lose digits where a naive formula would (expm1, softplus of large x, ...). */
  f64(x: number, y: number): number;
  /** Partial derivatives, one per argument: d out / d args[i]. `out` is the value itself. `null` = zero everywhere. */
  derivative<V>(b: MathBuilder<V>, args: readonly V[], out: V): readonly (V | null)[];
  /** CUDA expression text for float operands; may call helpers of templates/cuda/rt. */
  cuda(...args: string[]): string;
  /** WGSL expression text for f32 operands; may call the helpers of templates/wgsl/rt/math.wgsl. */
  wgsl(...args: string[]): string;
}
