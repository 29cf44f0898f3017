import { ANY, type Range } from '../ir/common/range.js';
import { hull, product, squared } from './intervals.js';
import type { TorchText } from './math.js';
import { binary, unary } from './record.js';

/** How tight an expression of PyTorch holds together: what stands in a looser place goes without brackets. */
export const LEVEL = { sum: 1, product: 2, sign: 3, power: 4, atom: 5 } as const;

const infix = (operator: string, level: number): TorchText => ({ kind: 'infix', operator, level });

/** The same text for CUDA and WGSL. */
const texts = (text: (...args: string[]) => string) => ({ cuda: text, wgsl: text });

const excludesZero = ({ lo, hi }: Range): boolean => lo > 0 || hi < 0;

export const arithmetic = {
  neg: unary('neg', {
    spoken: false, cost: 'simple', f64: (x) => -x, slope: (b) => b.literal(-1),
    range: (x) => ({ lo: -x.hi, hi: -x.lo }),
    ...texts((x) => `(-${x})`), torch: { kind: 'sign' },
  }),

  add: binary('add', {
    spoken: false, cost: 'simple', f64: (x, y) => x + y, slopes: (b) => [b.literal(1), b.literal(1)],
    range: (x, y) => ({ lo: x.lo + y.lo, hi: x.hi + y.hi }),
    ...texts((x, y) => `(${x} + ${y})`), torch: infix('+', LEVEL.sum),
  }),

  sub: binary('sub', {
    spoken: false, cost: 'simple', f64: (x, y) => x - y, slopes: (b) => [b.literal(1), b.literal(-1)],
    range: (x, y) => ({ lo: x.lo - y.hi, hi: x.hi - y.lo }),
    ...texts((x, y) => `(${x} - ${y})`), torch: infix('-', LEVEL.sum),
  }),

  mul: binary('mul', {
    spoken: false, cost: 'simple', f64: (x, y) => x * y, slopes: (_, x, y) => [y, x],
    range: (x, y, same) => (same ? squared(x) : product(x, y)),
    ...texts((x, y) => `(${x} * ${y})`), torch: infix('*', LEVEL.product),
  }),

  /** x y, but 0 where one of them is, however large the other: a cotangent times a slope that may be beyond all numbers, in the limit. */
  chain: binary('chain', {
    spoken: false, cost: 'simple', slopes: (_, x, y) => [y, x], range: product,
    f64: (x, y) => (Number.isNaN(x * y) && !Number.isNaN(x) && !Number.isNaN(y) ? 0 : x * y),
    cuda: 'm_chain', wgsl: 'm_chain', torch: 'chain',
  }),

  div: binary('div', {
    spoken: false, cost: 'root', total: false, f64: (x, y) => x / y,
    slopes: (b, _, y, out) => [b.map('div', b.literal(1), y), b.map('neg', b.map('div', out, y))],
    range(x, y) {
      if (excludesZero(y)) return hull(x, y, (a, c) => (a === 0 ? 0 : Math.abs(c) === Infinity ? 0 : a / c));
      return x.lo >= 0 && y.lo >= 0 ? { lo: 0, hi: Infinity } : ANY;
    },
    overflows: (x, y) => !excludesZero(y.range) || x.overflows,
    cuda: 'm_div', wgsl: (x, y) => `(${x} / ${y})`, torch: infix('/', LEVEL.product),
  }),

  /** x^y. The slope in y is for positive x; small whole exponents never get here, `resolve` writes them out as products. */
  pow: binary('pow', {
    spoken: false, domain: { lo: 0, hi: Infinity }, f64: (x, y) => x ** y,
    // x^y log x goes to 0 with x, and x^0 is the same for all x.
    slopes: (b, x, y, out) => [
      b.map('chain', y, b.map('pow', x, b.map('sub', y, b.literal(1)))), b.map('chain', out, b.map('log', x)),
    ],
    range: (x, y) => (x.lo > 0 || (x.lo >= 0 && y.lo >= 0) ? hull(x, y, (a, c) => a ** c) : x.lo >= 0 ? { lo: 0, hi: Infinity } : ANY),
    overflows: () => true,
    cuda: 'powf', wgsl: 'm_pow', torch: infix('**', LEVEL.power),
  }),
};
