import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ANY, type Range } from '../../../src/ir/common/range.js';
import { erf, erfc } from '../../../src/math/erf.js';
import { math } from '../../../src/math/index.js';
import type { Argument, MathBuilder, MathFunction } from '../../../src/math/math.js';

const numbers: MathBuilder<number> = { literal: (v) => v, map: (fn, ...args) => math[fn].f64(args[0], args[1] ?? NaN) };
const records = Object.entries(math);

/** Where a function may be asked: away from poles, kinks and the edges of its domain. */
function points(fn: MathFunction): readonly (readonly [number, number])[] {
  const xs = fn.domain.lo > -Infinity
    ? [0.1, 0.4, 1, 1.7, 6].map((x) => fn.domain.lo + x)
    : [-7.1, -2.6, -0.8, -0.013, 0.02, 0.9, 2.4, 7.3];
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
        expect(
          Math.abs((slope ?? 0) - expected), `d/d${i} at ${args.join(', ')}`,
        ).toBeLessThan(1e-8 * Math.max(1, Math.abs(expected), Math.abs(out)));
      });
    }
  });

  it('lies where its record says', () => {
    const hold = ({ lo, hi }: Range, value: number): boolean => value >= lo - 1e-15 && value <= hi + 1e-15;
    const ends = fn.total ? [-3e4, -2.5, -0.5, 0, 0.5, 2.5, 3e4] : [];
    for (const x of [...points(fn).map(([first]) => first), ...ends]) {
      for (const y of fn.arity === 1 ? [NaN] : [-2.3, 0.71, 3.2]) {
        const value = fn.f64(x, y);
        const point = (at: number): Range => ({ lo: at, hi: at });
        const around = (at: number): Range => ({ lo: at - 0.7, hi: at + 0.4 });
        for (const range of [fn.range(ANY, ANY, false), fn.range(point(x), point(y), false), fn.range(around(x), around(y), false)]) {
          expect(Number.isNaN(range.lo) || hold(range, value), `${x}, ${y}: ${value} in ${range.lo}..${range.hi}`).toBe(true);
        }
        if (fn.arity === 1) expect(hold(fn.range(point(x), point(x), true), value)).toBe(true);
        expect(fn.total && !Number.isFinite(value)).toBe(false);
      }
    }
    if (fn.arity === 2 && fn.total) for (const x of ends) expect(hold(
      fn.range({ lo: x - 0.7, hi: x + 0.4 }, { lo: x - 0.7, hi: x + 0.4 }, true), fn.f64(x, x),
    )).toBe(true);
  });

  it('may leave f32 where it does', () => {
    const given = (x: number): Argument => ({ range: { lo: x, hi: x }, overflows: false });
    for (const x of [-200, -1, 0, 1, 200]) {
      for (const y of fn.arity === 1 ? [NaN] : [-1, 0, 1]) {
        const value = fn.f64(x, y);
        if (!Number.isNaN(value) && Math.abs(value) > 3.4e38) expect(fn.overflows(given(x), given(y)), `${x}, ${y}`).toBe(true);
      }
    }
  });

  it('names each operand once or more in both texts', () => {
    const operands = fn.arity === 1 ? ['p'] : ['p', 'w'];
    for (const text of [fn.cuda(...operands), fn.wgsl(...operands)]) {
      for (const operand of operands) expect(text).toMatch(new RegExp(`\\b${operand}\\b`));
    }
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
    const table = [
      [0.1, 0.1124629160182849], [0.5, 0.5204998778130465], [1, 0.8427007929497149], [2, 0.9953222650189527], [2.5, 0.9995930479825550],
      [3, 0.9999779095030014],
    ];
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
    expect(value('normal_cdf', -10) / (0.5 * erfc(10 * Math.SQRT1_2))).toBeCloseTo(1, 14);
    expect(value('silu', -Infinity)).toBe(0);
    expect(value('gelu', -Infinity)).toBe(0);
  });

  it('rounds halves to the even number', () => {
    expect([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4, -2.6].map((x) => value('round', x) + 0)).toEqual([-2, -2, 0, 0, 2, 2, 2, -3]);
    expect([value('floor', -0.5), value('ceil', -1.5), value('sign', -0.1)]).toEqual([-1, -1, -1]);
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
      expect(value('normal_cdf', x) + value('normal_cdf', -x)).toBeCloseTo(1, 14);
      expect(2 * value('normal_cdf', x * Math.SQRT2) - value('erf', x)).toBeCloseTo(1, 14);
    }));
  });
});
