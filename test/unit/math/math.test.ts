import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { erf, erfc } from '../../../src/math/erf.js';
import { math } from '../../../src/math/index.js';
import type { MathBuilder, MathFunction } from '../../../src/math/math.js';

const numbers: MathBuilder<number> = { literal: (v) => v, map: (fn, ...args) => math[fn].f64(args[0], args[1] ?? NaN) };
const records = Object.entries(math);
const positive = ['log', 'sqrt', 'pow'];

/** Where a function may be asked: away from poles, kinks and the edges of its domain. */
function points(fn: MathFunction): readonly (readonly [number, number])[] {
  const xs = positive.includes(fn.name) ? [0.03, 0.4, 1, 1.7, 6] : fn.name === 'log1p' ? [-0.9, -1e-3, 1e-3, 0.7, 5] : [-7.1, -2.6, -0.8, -0.013, 0.02, 0.9, 2.4, 7.3];
  const ys = fn.arity === 1 ? [NaN] : [-2.3, 0.71, 3.2];
  return xs.flatMap((x) => ys.map((y) => [x, y] as const));
}

/** Fourth-order central difference. */
function difference(f: (x: number) => number, at: number): number {
  const h = 1e-3 * Math.max(Math.abs(at), 0.02);
  return (8 * (f(at + h) - f(at - h)) - (f(at + 2 * h) - f(at - 2 * h))) / (12 * h);
}

describe.each(records)('%s', (name, fn) => {
  it('is filed under its name', () => expect(fn.name).toBe(name));

  it('has the slopes that differences show', () => {
    for (const [x, y] of points(fn)) {
      const out = fn.f64(x, y);
      const args = fn.arity === 1 ? [x] : [x, y];
      const slopes = fn.derivative(numbers, args, out);
      expect(slopes).toHaveLength(fn.arity);
      slopes.forEach((slope, i) => {
        const expected = difference((v) => (i === 0 ? fn.f64(v, y) : fn.f64(x, v)), args[i]);
        expect(Math.abs((slope ?? 0) - expected), `d/d${i} at ${args.join(', ')}`).toBeLessThan(1e-8 * Math.max(1, Math.abs(expected), Math.abs(out)));
      });
    }
  });

  it('names each operand once or more in both texts', () => {
    const operands = fn.arity === 1 ? ['p'] : ['p', 'w'];
    for (const text of [fn.cuda(...operands), fn.wgsl(...operands)]) for (const operand of operands) expect(text).toMatch(new RegExp(`\\b${operand}\\b`));
  });

  it('calls helpers that exist', () => {
    const root = join(import.meta.dirname, '../../../templates');
    const cuda = readFileSync(join(root, 'cuda/rt/math.cuh'), 'utf8');
    const wgsl = readFileSync(join(root, 'wgsl/rt/math.wgsl'), 'utf8');
    for (const [, helper] of fn.cuda('p', 'w').matchAll(/\b(m_\w+)/g)) expect(cuda).toContain(`float ${helper}(`);
    for (const [, helper] of fn.wgsl('p', 'w').matchAll(/\b(m_\w+)/g)) expect(wgsl).toContain(`fn ${helper}(`);
  });
});

describe('values in float64', () => {
  const value = (name: keyof typeof math, x: number, y = NaN): number => math[name].f64(x, y);

  it('erf against published digits', () => {
    // DLMF 7.23 / Abramowitz and Stegun table 7.1
    const table = [[0.1, 0.1124629160182849], [0.5, 0.5204998778130465], [1, 0.8427007929497149], [2, 0.9953222650189527], [2.5, 0.9995930479825550], [3, 0.9999779095030014]];
    for (const [x, y] of table) {
      expect(Math.abs(erf(x) - y)).toBeLessThan(4e-16);
      expect(erf(-x)).toBe(-erf(x));
    }
    expect(Math.abs(erfc(5) / 1.5374597944280349e-12 - 1)).toBeLessThan(1e-13);
    expect([erf(0), erf(Infinity), erf(-Infinity), erf(NaN)]).toEqual([0, 1, -1, NaN]);
  });

  it('is smooth where erf changes method', () => expect(Math.abs(erf(2.5 - 1e-9) - erf(2.5 + 1e-9))).toBeLessThan(1e-11));

  it('keeps digits in the tails', () => {
    expect(value('softplus', 800)).toBe(800);
    expect(value('softplus', -800)).toBe(0);
    expect(value('softplus', -40)).toBeCloseTo(Math.exp(-40), 30);
    expect(value('log_sigmoid', -800)).toBe(-800);
    expect(value('log_sigmoid', 40)).toBeCloseTo(-Math.exp(-40), 30);
    expect(value('sigmoid', -800)).toBe(0);
    expect(value('sigmoid', -700) / Math.exp(-700)).toBeCloseTo(1, 14);
    expect(value('sigmoid', 800)).toBe(1);
    expect(value('expm1', 1e-12) / 1e-12).toBeCloseTo(1, 11);
    expect(value('log1p', 1e-14) / 1e-14).toBeCloseTo(1, 12);
    expect(value('gelu', -10) / (-5 * erfc(10 * Math.SQRT1_2))).toBeCloseTo(1, 14);
    expect(value('silu', -Infinity)).toBe(0);
    expect(value('gelu', -Infinity)).toBe(0);
  });

  it('has no slope twice at a tie', () => {
    for (const name of ['min', 'max'] as const) {
      const [a, b] = math[name].derivative(numbers, [1.5, 1.5], 1.5);
      expect((a ?? 0) + (b ?? 0)).toBe(1);
    }
  });

  it('relates functions as mathematics does', () => {
    fc.assert(fc.property(fc.double({ min: -30, max: 30, noNaN: true }), (x) => {
      expect(value('sigmoid', x) + value('sigmoid', -x)).toBeCloseTo(1, 14);
      expect(value('softplus', x) - value('softplus', -x)).toBeCloseTo(x, 12);
      expect(Math.exp(value('log_sigmoid', x)) / value('sigmoid', x)).toBeCloseTo(1, 12);
      expect(value('gelu', x) - value('gelu', -x)).toBeCloseTo(x, 12);
    }));
  });
});
