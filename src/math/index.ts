import type { MathName } from '../ir/common/dag.js';
import { erf, gelu, logSigmoid, relu, sigmoid, silu, softplus, tanh } from './activation.js';
import { add, chain, div, mul, neg, pow, sub } from './arithmetic.js';
import { abs, less, max, min, sign } from './choice.js';
import { cos, sin } from './circular.js';
import { exp, expm1, log, log1p, sqrt } from './exponential.js';
import type { MathFunction } from './math.js';

/** Every scalar function by its name. */
export const math: Readonly<Record<MathName, MathFunction>> = {
  neg, add, sub, mul, div, pow,
  exp, log, sigmoid, log_sigmoid: logSigmoid, softplus, tanh, silu, relu, gelu, sqrt, abs, min, max, expm1, log1p, sin, cos,
  sign, less, erf, chain,
};
