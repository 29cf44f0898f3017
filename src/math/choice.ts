import type { MathBuilder } from './math.js';
import { binary, calls, unary } from './record.js';

const not = <V>(b: MathBuilder<V>, x: V): V => b.map('sub', b.literal(1), x);

/** The second argument has the slope where it is strictly the smaller one, so that a tie counts once. */
export const min = binary('min', (x, y) => Math.min(x, y), (b, x, y) => {
  const second = b.map('less', y, x);
  return [not(b, second), second];
}, calls('min_nan', 'm_min'));

export const max = binary('max', (x, y) => Math.max(x, y), (b, x, y) => {
  const second = b.map('less', x, y);
  return [not(b, second), second];
}, calls('max_nan', 'm_max'));

export const abs = unary('abs', Math.abs, (b, x) => b.map('sign', x), calls('fabsf', 'abs'));

/** -1, 0 or 1. */
export const sign = unary('sign', (x) => Math.sign(x), undefined, calls('m_sign', 'm_sign'));

/** 1 where x < y, else 0. */
export const less = binary('less', (x, y) => (x < y ? 1 : 0), () => [null, null], {
  cuda: (x, y) => `(${x} < ${y} ? 1.f : 0.f)`,
  wgsl: (x, y) => `select(0.0, 1.0, ${x} < ${y})`,
});
