import type { MathName } from '../ir/common/dag.js';
import type { Range } from '../ir/common/range.js';

/** Builds expressions over `V`: nodes of some DAG for the adjoint pass, plain numbers in tests. */
export interface MathBuilder<V> {
  literal(value: number): V;
  map(fn: MathName, ...args: V[]): V;
}

/** What is known of an argument: where it lies, and whether it may leave the numbers that f32 has. */
export interface Argument {
  readonly range: Range;
  readonly overflows: boolean;
}

/** Time on a GPU: an instruction or two; a division or a root; a dozen instructions. */
export type Cost = 'simple' | 'root' | 'series';

/** How PyTorch writes it. */
export type TorchText =
  | { readonly kind: 'infix'; readonly operator: string; readonly level: number }
  | { readonly kind: 'sign' }
  /** A function of tensors; names without a dot are those of templates/torch/_math.py. */
  | { readonly kind: 'call'; readonly name: string };

/** One scalar function: what every part of the compiler needs to know of it. */
export interface MathFunction {
  readonly name: MathName;
  readonly arity: 1 | 2;
  /** May formulas call it by its name? Others are operators, or made by derivatives only. */
  readonly spoken: boolean;
  /** Its value in float64; must not lose digits where a naive formula would (expm1, softplus of large x, ...). */
  f64(x: number, y: number): number;
  /** Partial derivatives, one per argument: d out / d args[i]. `out` is the value itself. `null` = zero everywhere. */
  derivative<V>(b: MathBuilder<V>, args: readonly V[], out: V): readonly (V | null)[];
  /** Where it has a finite value, as far as its first argument decides; any number if nothing is said. */
  readonly domain: Range;
  /** Is it finite wherever its arguments are? */
  readonly total: boolean;
  /** Where its values lie, from where its arguments lie. `same`: both are one value. */
  range(x: Range, y: Range, same: boolean): Range;
  /** May its value leave the numbers that f32 has? */
  overflows(x: Argument, y: Argument): boolean;
  readonly cost: Cost;
  /** CUDA expression text for float operands; may call helpers of templates/cuda/rt. */
  cuda(...args: string[]): string;
  /** WGSL expression text for f32 operands; may call the helpers of templates/wgsl/rt/math.wgsl. */
  wgsl(...args: string[]): string;
  readonly torch: TorchText;
}
