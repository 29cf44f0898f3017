import { binary, calls, same, unary } from './record.js';

export const neg = unary('neg', (x) => -x, (b) => b.literal(-1), same((x) => `(-${x})`));

export const add = binary('add', (x, y) => x + y, (b) => [b.literal(1), b.literal(1)], same((x, y) => `(${x} + ${y})`));

export const sub = binary('sub', (x, y) => x - y, (b) => [b.literal(1), b.literal(-1)], same((x, y) => `(${x} - ${y})`));

export const mul = binary('mul', (x, y) => x * y, (_, x, y) => [y, x], same((x, y) => `(${x} * ${y})`));

/** x y, but 0 where one of them is, however large the other: a cotangent times a slope that may be beyond all numbers, in the limit. */
export const chain = binary('chain', (x, y) => {
  const product = x * y;
  return Number.isNaN(product) && !Number.isNaN(x) && !Number.isNaN(y) ? 0 : product;
}, (_, x, y) => [y, x], calls('m_chain', 'm_chain'));

export const div = binary('div', (x, y) => x / y,
  (b, _, y, out) => [b.map('div', b.literal(1), y), b.map('neg', b.map('div', out, y))],
  same((x, y) => `(${x} / ${y})`));

/** x^y. The slope in y is for positive x; small whole exponents never get here, `resolve` writes them out as products. */
export const pow = binary('pow', (x, y) => x ** y,
  (b, x, y, out) => [b.map('mul', y, b.map('pow', x, b.map('sub', y, b.literal(1)))), b.map('mul', out, b.map('log', x))],
  calls('powf', 'm_pow'));
