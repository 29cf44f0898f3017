import { erf as erfOf, erfc } from './erf.js';
import { calls, unary } from './record.js';

const sigmoidOf = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
const softplusOf = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** 1 / (1 + e^-x). Its slope is written with sigmoid(-x), since 1 - out has no digits where out is near 1. */
export const sigmoid = unary('sigmoid', sigmoidOf, (b, x, out) => b.map('mul', out, b.map('sigmoid', b.map('neg', x))), calls('m_sigmoid', 'm_sigmoid'));

export const logSigmoid = unary('log_sigmoid', (x) => -softplusOf(-x), (b, x) => b.map('sigmoid', b.map('neg', x)), calls('m_log_sigmoid', 'm_log_sigmoid'));

/** log(1 + e^x). */
export const softplus = unary('softplus', softplusOf, (b, x) => b.map('sigmoid', x), calls('m_softplus', 'm_softplus'));

/** Its slope is 4 sigmoid(2x) sigmoid(-2x), since 1 - out^2 has no digits where out is near 1. */
export const tanh = unary('tanh', Math.tanh, (b, x) => {
  const double = b.map('mul', b.literal(2), x);
  return b.map('mul', b.literal(4), b.map('mul', b.map('sigmoid', double), b.map('sigmoid', b.map('neg', double))));
}, calls('tanhf', 'm_tanh'));

/** x sigmoid(x). */
export const silu = unary('silu', (x) => (x === -Infinity ? 0 : x * sigmoidOf(x)),
  (b, x) => b.map('mul', b.map('sigmoid', x), b.map('add', b.literal(1), b.map('chain', x, b.map('sigmoid', b.map('neg', x))))),
  calls('m_silu', 'm_silu'));

export const relu = unary('relu', (x) => Math.max(x, 0), (b, x) => b.map('less', b.literal(0), x), calls('m_relu', 'm_relu'));

/** x Phi(x), the exact form with erf, not the one with tanh. */
export const gelu = unary('gelu', (x) => (x === -Infinity ? 0 : 0.5 * x * erfc(-x * Math.SQRT1_2)), (b, x) => {
  const cdf = b.map('mul', b.literal(0.5), b.map('add', b.literal(1), b.map('erf', b.map('mul', x, b.literal(Math.SQRT1_2)))));
  const density = b.map('mul', b.literal(1 / Math.sqrt(2 * Math.PI)), b.map('exp', b.map('mul', b.literal(-0.5), b.map('mul', x, x))));
  return b.map('add', cdf, b.map('chain', x, density));
}, calls('m_gelu', 'm_gelu'));

export const erf = unary('erf', erfOf, (b, x) => b.map('mul', b.literal(2 / Math.sqrt(Math.PI)), b.map('exp', b.map('neg', b.map('mul', x, x)))), calls('erff', 'm_erf'));
