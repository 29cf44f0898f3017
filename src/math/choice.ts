import { rising } from './intervals.js';
import type { MathBuilder } from './math.js';
import { binary, unary } from './record.js';

const not = <V>(b: MathBuilder<V>, x: V): V => b.map('sub', b.literal(1), x);

/** Of two whole numbers that are as near, the even one. */
function roundEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

export const choice = {
  abs: unary('abs', {
    cost: 'simple', f64: Math.abs, slope: (b, x) => b.map('sign', x),
    range: (x) => ({ lo: x.lo > 0 ? x.lo : x.hi < 0 ? -x.hi : 0, hi: Math.max(Math.abs(x.lo), Math.abs(x.hi)) }),
    cuda: 'fabsf', wgsl: 'abs', torch: 'torch.abs',
  }),

  /** -1, 0 or 1. */
  sign: unary(
    'sign', { cost: 'simple', f64: Math.sign, slope: null, range: rising(Math.sign), cuda: 'm_sign', wgsl: 'm_sign', torch: 'sign' },
  ),

  floor: unary(
    'floor',
    { cost: 'simple', f64: Math.floor, slope: null, range: rising(Math.floor), cuda: 'floorf', wgsl: 'm_floor', torch: 'torch.floor' },
  ),

  ceil: unary(
    'ceil', { cost: 'simple', f64: Math.ceil, slope: null, range: rising(Math.ceil), cuda: 'ceilf', wgsl: 'm_ceil', torch: 'torch.ceil' },
  ),

  /** To the nearest whole number, halves to the even one. */
  round: unary(
    'round',
    { cost: 'simple', f64: roundEven, slope: null, range: rising(roundEven), cuda: 'rintf', wgsl: 'm_round', torch: 'torch.round' },
  ),

  /** The second argument has the slope where it is strictly the smaller one, so that a tie counts once. */
  min: binary('min', {
    cost: 'simple', f64: Math.min,
    slopes: (b, x, y) => [not(b, b.map('less', y, x)), b.map('less', y, x)],
    range: (x, y) => ({ lo: Math.min(x.lo, y.lo), hi: Math.min(x.hi, y.hi) }),
    cuda: 'min_nan', wgsl: 'm_min', torch: 'torch.minimum',
  }),

  max: binary('max', {
    cost: 'simple', f64: Math.max,
    slopes: (b, x, y) => [not(b, b.map('less', x, y)), b.map('less', x, y)],
    range: (x, y) => ({ lo: Math.max(x.lo, y.lo), hi: Math.max(x.hi, y.hi) }),
    cuda: 'max_nan', wgsl: 'm_max', torch: 'torch.maximum',
  }),

  /** 1 where x is no number, else 0. */
  nan: unary('nan', {
    spoken: false, cost: 'simple', f64: (x) => (Number.isNaN(x) ? 1 : 0), slope: null, range: () => ({ lo: 0, hi: 1 }),
    overflows: () => false, cuda: 'm_nan', wgsl: 'm_nan', torch: 'torch.isnan',
  }),

  /** 1 where x < y, else 0. */
  less: binary('less', {
    spoken: false, cost: 'simple', f64: (x, y) => (x < y ? 1 : 0), slopes: () => [null, null],
    range: (x, y) => ({ lo: x.hi < y.lo ? 1 : 0, hi: x.lo < y.hi ? 1 : 0 }),
    cuda: (x, y) => `(${x} < ${y} ? 1.f : 0.f)`, wgsl: (x, y) => `select(0.0, 1.0, ${x} < ${y})`, torch: 'less',
  }),
};
