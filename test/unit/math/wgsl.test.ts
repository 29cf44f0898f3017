import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { math } from '../../../src/math/index.js';

const text = readFileSync(join(import.meta.dirname, '../../../templates/wgsl/rt/math.wgsl'), 'utf8');

/** The helpers are so plain that they are JavaScript but for their headers: this shows what their formulas are worth, rounding apart. */
const helpers: Readonly<Record<string, (x: number, y?: number) => number>> = new Function('exp', 'log', 'abs', 'sign', 'min', 'max', 'fract', 'select', 'm_is_nan', `
  ${text.replace(/fn (\w+)\((.*?)\) -> f32/g, (_, name: string, parameters: string) => `function ${name}(${parameters.replaceAll(': f32', '')})`)}
  return { ${[...text.matchAll(/fn (\w+)/g)].map(([, name]) => name).join(', ')} };
`)(
  (x: number) => {
    if (x > 88.721) throw new Error(`exp(${x}) is infinite in f32`);
    return Math.exp(x);
  },
  Math.log, Math.abs, Math.sign, Math.min, Math.max, (x: number) => x - Math.floor(x), (no: number, yes: number, condition: boolean) => (condition ? yes : no), Number.isNaN,
);

const anywhere = [-120, -30, -9, -3, -1.5, -1, -0.99, -0.51, -0.5, -0.3, -1e-3, -1e-6, 0, 1e-6, 1e-3, 0.2, 0.5, 0.51, 0.9, 1, 1.1, 2.7, 10, 88];
const domain: Readonly<Record<string, readonly number[]>> = {
  m_exp: [...anywhere, 88.7], m_sign: anywhere, m_log: anywhere.filter((x) => x > 0), m_log1p: anywhere.filter((x) => x > -1), m_expm1: anywhere, m_sigmoid: [...anywhere, 200, -200], m_softplus: [...anywhere, 200, -200],
  m_log_sigmoid: [...anywhere, 200, -200], m_tanh: [...anywhere, 200, -200], m_silu: [...anywhere, 200, -200], m_relu: anywhere, m_sin: [...anywhere, 1000.3, -54321.1], m_cos: [...anywhere, 1000.3, -54321.1], m_erf: [...anywhere, 200, -200], m_gelu: [...anywhere, 200, -200],
};

describe('helpers of templates/wgsl/rt/math.wgsl', () => {
  it.each(Object.entries(domain))('%s', (name, xs) => {
    const record = Object.values(math).find((fn) => fn.name === name.slice(2));
    for (const x of xs) {
      const [found, expected] = [helpers[name](x), record?.f64(x, NaN) ?? NaN];
      // gelu takes 1 + erf(x), which cancels to the absolute accuracy of erf.
      const floor = name === 'm_gelu' ? 2e-7 * Math.abs(x) : 1e-37;
      expect(Math.abs(found - expected), `${name}(${x})`).toBeLessThanOrEqual(3e-7 * Math.abs(expected) + floor);
    }
  });

  it('m_pow', () => {
    for (const [x, y] of [[2, -5], [0.3, 2.5], [-2, 3], [-2, 4], [-1.5, -1], [7, 0], [0, 3], [0, 0], [1, 40]]) expect(helpers['m_pow'](x, y)).toBeCloseTo(x ** y, 6);
  });

  it('of two numbers', () => {
    for (const name of ['m_max', 'm_min', 'm_chain'] as const) {
      for (const [x, y] of [[1, 2], [-3, 0], [0, 5], [NaN, 0], [0, NaN], [3e38, 0]]) expect(helpers[name](x, y) + 0, `${name}(${x}, ${y})`).toBe(math[name === 'm_max' ? 'max' : name === 'm_min' ? 'min' : 'chain'].f64(x, y) + 0);
    }
    expect([helpers['m_floor'](-90, -80), helpers['m_floor'](-1, -80), helpers['m_floor'](NaN, -80)]).toEqual([-80, -1, NaN]);
  });

  it('end at the largest numbers instead of infinity', () => {
    for (const x of [88.8, 1e4, 3e38]) expect(helpers['m_exp'](x)).toBeGreaterThan(3.3e38);
    expect(helpers['m_expm1'](1e4)).toBeLessThan(3.4028235e38);
  });

  it('keep NaN', () => {
    for (const name of Object.keys(helpers)) expect(helpers[name](NaN, 1), name).toBe(NaN);
  });

  it('has none that is not tested', () => expect(Object.keys(helpers).sort()).toEqual([...Object.keys(domain), 'm_pow', 'm_quarters', 'm_max', 'm_min', 'm_chain', 'm_floor'].sort()));
});
