import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ANY } from '../../../src/ir/common/range.js';
import { erfc } from '../../../src/math/erf.js';
import { math } from '../../../src/math/index.js';
import type { MathFunction } from '../../../src/math/math.js';

const text = readFileSync(join(import.meta.dirname, '../../../templates/wgsl/rt/math.wgsl'), 'utf8');

/** The helpers are so plain that they are JavaScript but for their headers: this shows what their formulas are worth, rounding apart. */
const helpers: Readonly<Record<string, (...args: number[]) => number>> =
  new Function('exp', 'log', 'abs', 'sign', 'min', 'max', 'fract', 'floor', 'ceil', 'round', 'select', 'm_is_nan', 'm_no_number', `
  ${text.replace(/fn (\w+)\((.*?)\) -> f32/g,
    (_, name: string, parameters: string) => `function ${name}(${parameters.replaceAll(': f32', '')})`)}
  return { ${[...text.matchAll(/fn (\w+)/g)].map(([, name]) => name).join(', ')} };
`)(
  (x: number) => {
    if (x > 88.721) throw new Error(`exp(${x}) is infinite in f32`);
    return Math.exp(x);
  },
  Math.log, Math.abs, Math.sign, Math.min, Math.max, (x: number) => x - Math.floor(x),
  Math.floor, Math.ceil, (x: number) => math.round.f64(x, NaN), (
    no: number, yes: number, condition: boolean,
  ) => (condition ? yes : no), Number.isNaN, () => NaN,
);

const anywhere = [
  -120, -30, -9, -3, -1.5, -1, -0.99, -0.51, -0.5, -0.3, -1e-3, -1e-6, 0, 1e-6, 1e-3, 0.2, 0.5, 0.51, 0.9, 1, 1.1, 2.7, 10, 88,
];
/** Helpers that stand for a function of one value, and where they are asked. */
const named = Object.values(math).filter(({ name, arity }) => arity === 1 && text.includes(`fn m_${name}(`));
const points = ({ name, domain, overflows }: MathFunction): readonly number[] => {
  const inside = anywhere.filter((x) => domain.lo === -Infinity || x > domain.lo);
  if (name === 'sin' || name === 'cos') return [...inside, 1000.3, -54321.1];
  const saturates = domain.lo === -Infinity && !overflows(
    { range: { lo: 200, hi: 200 }, overflows: false }, { range: ANY, overflows: false },
  );
  return saturates ? [...inside, 200, -200, 2.5, -1.5] : inside;
};

describe('helpers of templates/wgsl/rt/math.wgsl', () => {
  it.each(named.map((fn) => [`m_${fn.name}`, fn] as const))('%s', (name, fn) => {
    for (const x of points(fn)) {
      const [found, expected] = [helpers[name](x), fn.f64(x, NaN)];
      expect(Math.abs(found - expected), `${name}(${x})`).toBeLessThanOrEqual(3e-7 * Math.abs(expected) + 1e-37);
    }
  });

  it('m_erfc', () => {
    for (const x of anywhere) expect(Math.abs(helpers['m_erfc'](x) - erfc(x)), `erfc(${x})`).toBeLessThanOrEqual(6e-8 * erfc(x) + 1e-37);
  });

  it('m_pow', () => {
    for (const [x, y] of [[2, -5], [0.3, 2.5], [-2, 3], [-2, 4], [-1.5, -1], [7, 0], [0, 3], [0, 0], [1, 40]]) {
      expect(helpers['m_pow'](x, y)).toBeCloseTo(x ** y, 6);
    }
  });

  it('are no numbers where their functions are none', () => {
    const none = [['log', -1.5], ['log', NaN], ['log1p', -2], ['pow', -2, 0.5]] as const;
    for (const [name, ...args] of none) expect([name, ...args, helpers[`m_${name}`](...args)]).toEqual([name, ...args, NaN]);
  });

  it('of two numbers', () => {
    for (const name of ['m_max', 'm_min', 'm_chain'] as const) {
      for (const [x, y] of [[1, 2], [-3, 0], [0, 5], [NaN, 0], [0, NaN], [3e38, 0]]) expect(
        helpers[name](x, y) + 0, `${name}(${x}, ${y})`,
      ).toBe(math[name === 'm_max' ? 'max' : name === 'm_min' ? 'min' : 'chain'].f64(x, y) + 0);
    }
    expect([helpers['m_at_least'](-90, -80), helpers['m_at_least'](-1, -80), helpers['m_at_least'](NaN, -80)]).toEqual([-80, -1, NaN]);
  });

  it('m_decayed, next to 1 and elsewhere', () => {
    for (const [h, a, x] of [[3, 0.25, 1], [3, 1 - 1e-9, 0.5], [-2, 1.5, 1], [5, -0.3, 2], [7, 0, 1]]) {
      expect(helpers['m_decayed'](h, a, a - 1, x)).toBeCloseTo(a * h + x, 12);
    }
    // Where the decay is 1 to its last digit, what it takes away still counts.
    expect(helpers['m_decayed'](1, 1, -1e-9, 0)).toBe(1 - 1e-9);
  });

  it('end at the largest numbers instead of infinity', () => {
    for (const x of [88.8, 1e4, 3e38]) expect(helpers['m_exp'](x)).toBeGreaterThan(3.3e38);
    expect(helpers['m_expm1'](1e4)).toBeLessThan(3.4028235e38);
  });

  it('keep NaN', () => {
    for (const name of Object.keys(helpers)) expect(helpers[name](NaN, 1), name).toBe(name === 'm_nan' ? 1 : NaN);
  });

  it('has none that is not tested', () => {
    const others = ['m_decayed', 'm_erfc', 'm_log_far', 'm_pow', 'm_quarters', 'm_max', 'm_min', 'm_chain', 'm_at_least'];
    expect(Object.keys(helpers).sort()).toEqual([...named.map(({ name }) => `m_${name}`), ...others].sort());
  });
});
