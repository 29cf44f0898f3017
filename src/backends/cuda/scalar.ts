import type { MathName } from '../../ir/common/dag.js';

/** A scalar function as C text; the `m_` helpers are in templates/cuda/rt/math.cuh. */
export function scalarText(fn: MathName, args: readonly string[]): string {
  const [a, b] = args;
  switch (fn) {
    case 'neg': return `(-${a})`;
    case 'add': return `(${a} + ${b})`;
    case 'sub': return `(${a} - ${b})`;
    case 'mul': return `(${a} * ${b})`;
    case 'div': return `(${a} / ${b})`;
    case 'pow': return `powf(${a}, ${b})`;
    case 'min': return `fminf(${a}, ${b})`;
    case 'max': return `fmaxf(${a}, ${b})`;
    case 'less': return `(${a} < ${b} ? 1.f : 0.f)`;
    case 'sqrt': return `sqrtf(${a})`;
    case 'abs': return `fabsf(${a})`;
    case 'tanh': return `tanhf(${a})`;
    case 'erf': return `erff(${a})`;
    case 'expm1': return `expm1f(${a})`;
    case 'log1p': return `log1pf(${a})`;
    case 'exp': case 'log': case 'sigmoid': case 'log_sigmoid': case 'softplus': case 'silu': case 'relu': case 'gelu': case 'sign':
      return `m_${fn}(${a})`;
  }
  fn satisfies never;
}
