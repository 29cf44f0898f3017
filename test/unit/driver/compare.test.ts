import { describe, expect, it } from 'vitest';
import { compare } from '../../../src/driver/run/compare.js';
import { tolerance } from '../../../src/driver/tolerance.js';

const against = (
  found: readonly number[] | undefined, expected: readonly number[],
) => compare('o', 'output', 'output', 'f32', found, expected);

describe('error against the oracle', () => {
  it('is the ratio of root mean squares', () => {
    expect(against([3, 4.005], [3, 4]).error).toBeCloseTo(0.001, 12);
    expect(against([3, 4.005], [3, 4]).passed).toBe(false);
    expect(against([3, 4.0004], [3, 4]).passed).toBe(true);
    expect(against([3, 4], [3, 4]).error).toBe(0);
  });

  it('fails on what is not finite, on a missing tensor and on another size', () => {
    expect(against([NaN, 1], [1, 1])).toMatchObject({ passed: false, error: Infinity });
    expect(against([Infinity, 1], [1, 1])).toMatchObject({ passed: false, error: Infinity });
    expect(against(undefined, [1])).toMatchObject({ passed: false, error: Infinity });
    expect(against([1], [1, 1])).toMatchObject({ passed: false, error: Infinity });
  });

  it('measures against zero by the difference alone', () => {
    expect(against([1e-7], [0]).passed).toBe(true);
    expect(against([1e-3], [0])).toMatchObject({ passed: false, error: Infinity });
    expect(compare('o', 'output', 'output', 'f64', [1e-7], [0]).passed).toBe(false);
  });

  it('lets equal infinities be equal', () => {
    expect(against([-Infinity, 1], [-Infinity, 1]).passed).toBe(true);
    expect(against([Infinity, 1], [-Infinity, 1])).toMatchObject({ passed: false, meaningless: 0 });
  });

  it('fails where the meaning is no number, and says that it is the meaning', () => {
    expect(against([1, NaN], [1, NaN])).toMatchObject({ passed: false, meaningless: 1 });
    expect(against([1, 2], [1, NaN])).toMatchObject({ passed: false, meaningless: 1, error: 0 });
    expect(against([3, 2], [1, NaN])).toMatchObject({ passed: false, meaningless: 1, error: 2 });
    expect(against([NaN, 1], [1, 1])).not.toHaveProperty('meaningless');
  });

  it('says that it is the meaning where f32 cannot hold it, and what comes of that before', () => {
    expect(against([Infinity, 1], [1e39, 1])).toMatchObject({ passed: true, error: 0 });
    expect(against([NaN, 1], [1e39, 1])).toMatchObject({ passed: false, meaningless: 0 });
    expect(against([1, Infinity, NaN], [1, 1e38, 1e39])).toMatchObject({ passed: false, meaningless: 2 });
    expect(compare('o', 'output', 'output', 'f64', [1e39], [1e39]).passed).toBe(true);
  });

  it('holds f32 to 1e-4 and the oracle to 1e-10', () => {
    expect([tolerance('f32', 'gate-gradient'), tolerance('f64', 'output')]).toEqual([1e-4, 1e-10]);
    expect(tolerance('bf16', 'output')).toBeLessThanOrEqual(0.006);
  });
});
