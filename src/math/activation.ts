import type { Range } from '../ir/common/range.js';
import { erf, erfc } from './erf.js';
import { rising } from './intervals.js';
import type { MathBuilder } from './math.js';
import { unary } from './record.js';

const sigmoidOf = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
const softplusOf = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const normalCdf = (x: number): number => 0.5 * erfc(-x * Math.SQRT1_2);

/** e^(-x²/2) / sqrt(2 pi). */
const density = <V>(b: MathBuilder<V>, x: V): V =>
  b.map('mul', b.literal(1 / Math.sqrt(2 * Math.PI)), b.map('exp', b.map('mul', b.literal(-0.5), b.map('mul', x, x))));

/** x times a part of 1: a little below 0 at most. */
const gated = (x: Range): Range => ({ lo: x.lo >= 0 ? 0 : -0.3, hi: Math.max(x.hi, 0) });

export const activation = {
  /** 1 / (1 + e^-x). Its slope is written with sigmoid(-x), since 1 - out has no digits where out is near 1. */
  sigmoid: unary('sigmoid', {
    f64: sigmoidOf, slope: (b, x, out) => b.map('mul', out, b.map('sigmoid', b.map('neg', x))), range: rising(sigmoidOf),
    cuda: 'm_sigmoid', wgsl: 'm_sigmoid', torch: 'torch.sigmoid',
  }),

  log_sigmoid: unary('log_sigmoid', {
    f64: (x) => -softplusOf(-x), slope: (b, x) => b.map('sigmoid', b.map('neg', x)), range: rising((x) => -softplusOf(-x)),
    cuda: 'm_log_sigmoid', wgsl: 'm_log_sigmoid', torch: 'torch.nn.functional.logsigmoid',
  }),

  /** log(1 + e^x). */
  softplus: unary('softplus', {
    f64: softplusOf, slope: (b, x) => b.map('sigmoid', x), range: rising(softplusOf),
    cuda: 'm_softplus', wgsl: 'm_softplus', torch: 'softplus',
  }),

  /** Its slope is 4 sigmoid(2x) sigmoid(-2x), since 1 - out^2 has no digits where out is near 1. */
  tanh: unary('tanh', {
    f64: Math.tanh, range: rising(Math.tanh),
    slope(b, x) {
      const double = b.map('mul', b.literal(2), x);
      return b.map('mul', b.literal(4), b.map('mul', b.map('sigmoid', double), b.map('sigmoid', b.map('neg', double))));
    },
    cuda: 'tanhf', wgsl: 'm_tanh', torch: 'torch.tanh',
  }),

  /** x sigmoid(x). */
  silu: unary('silu', {
    f64: (x) => (x === -Infinity ? 0 : x * sigmoidOf(x)), range: gated,
    slope: (b, x) => b.map('mul', b.map('sigmoid', x), b.map('add', b.literal(1), b.map('chain', x, b.map('sigmoid', b.map('neg', x))))),
    cuda: 'm_silu', wgsl: 'm_silu', torch: 'silu',
  }),

  relu: unary('relu', {
    cost: 'simple', f64: (x) => Math.max(x, 0), slope: (b, x) => b.map('less', b.literal(0), x), range: rising((x) => Math.max(x, 0)),
    cuda: 'm_relu', wgsl: 'm_relu', torch: 'torch.relu',
  }),

  /** x normal_cdf(x), the exact form, not the one with tanh. */
  gelu: unary('gelu', {
    f64: (x) => (x === -Infinity ? 0 : x * normalCdf(x)), range: gated,
    slope: (b, x) => b.map('add', b.map('normal_cdf', x), b.map('chain', x, density(b, x))),
    cuda: 'm_gelu', wgsl: 'm_gelu', torch: 'gelu',
  }),

  erf: unary('erf', {
    f64: erf, range: rising(erf),
    slope: (b, x) => b.map('mul', b.literal(2 / Math.sqrt(Math.PI)), b.map('exp', b.map('neg', b.map('mul', x, x)))),
    cuda: 'erff', wgsl: 'm_erf', torch: 'torch.erf',
  }),

  /** How much of a normal distribution lies below x, with all its digits where that is little. */
  normal_cdf: unary(
    'normal_cdf',
    { f64: normalCdf, slope: density, range: rising(normalCdf), cuda: 'm_normal_cdf', wgsl: 'm_normal_cdf', torch: 'torch.special.ndtr' },
  ),
};
