import { ANY, type Range } from '../ir/common/range.js';
import { rising } from './intervals.js';
import type { Argument } from './math.js';
import { unary } from './record.js';

/** Ends at the largest number: infinity times 0 would be NaN where a formula goes to 0. */
const ending = (value: number): number => Math.min(value, Number.MAX_VALUE);

/** Exponents above it leave f32. */
const LARGEST_EXPONENT = 88;
/** Values of a function that grows beyond all numbers, and ends at the largest. */
const ended = (f: (x: number) => number) => ({ lo, hi }: Range): Range => ({ lo: ending(f(lo)), hi: f(hi) });
const grows = ({ range }: Argument): boolean => range.hi > LARGEST_EXPONENT;

export const exponential = {
  exp: unary('exp', {
    f64: (x) => ending(Math.exp(x)), slope: (_b, _x, out) => out, range: ended(Math.exp), overflows: grows,
    cuda: 'm_exp', wgsl: 'm_exp', torch: 'torch.exp',
  }),

  log: unary('log', {
    domain: { lo: 0, hi: Infinity }, f64: Math.log, slope: (b, x) => b.map('div', b.literal(1), x),
    range: (x) => (x.lo >= 0 ? rising(Math.log)(x) : ANY), overflows: () => true,
    cuda: 'm_log', wgsl: 'm_log', torch: 'torch.log',
  }),

  sqrt: unary('sqrt', {
    cost: 'root', domain: { lo: 0, hi: Infinity }, f64: Math.sqrt, slope: (b, _x, out) => b.map('div', b.literal(0.5), out),
    range: rising((x) => Math.sqrt(Math.max(x, 0))),
    cuda: 'sqrtf', wgsl: 'sqrt', torch: 'torch.sqrt',
  }),

  /** e^x - 1, with all its digits near 0. */
  expm1: unary('expm1', {
    f64: (x) => ending(Math.expm1(x)), slope: (b, x) => b.map('exp', x), range: ended(Math.expm1), overflows: grows,
    cuda: 'm_expm1', wgsl: 'm_expm1', torch: 'torch.expm1',
  }),

  /** log(1 + x), with all its digits near 0. */
  log1p: unary('log1p', {
    domain: { lo: -1, hi: Infinity }, f64: Math.log1p, slope: (b, x) => b.map('div', b.literal(1), b.map('add', b.literal(1), x)),
    range: (x) => (x.lo >= -1 ? rising(Math.log1p)(x) : ANY), overflows: () => true,
    cuda: 'log1pf', wgsl: 'm_log1p', torch: 'torch.log1p',
  }),
};
