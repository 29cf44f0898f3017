import { describe, expect, it } from 'vitest';
import { fillDraws, keyOf, philox, type Draw } from '../../../../src/support/noise.js';

const hex = (words: readonly number[]): string => words.map((word) => word.toString(16).padStart(8, '0')).join(' ');

describe('draws', () => {
  it('Philox 4x32 with ten rounds gives the published words', () => {
    expect(hex(philox([0, 0, 0, 0], [0, 0]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    const ones = 0xffffffff;
    expect(hex(philox([ones, ones, ones, ones], [ones, ones]))).toBe('408f276d 41c83b0e a20bc7c6 6d5451fd');
    expect(hex(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0]))).toBe('d16cfe09 94fdcceb 5001e420 24126ea1');
  });

  const some = (draw: Draw, path: string, count: number): Float64Array => {
    const out = new Float64Array(count);
    fillDraws(draw, keyOf(7, path), [3, 2, 0], out, 0, count);
    return out;
  };

  it('an element depends on its number and its path, not on how many there are', () => {
    expect(some('normal', 'a', 13).slice(0, 9)).toEqual(some('normal', 'a', 9));
    expect(some('uniform', 'a', 9)).not.toEqual(some('uniform', 'b', 9));
    expect(some('uniform', 'ab', 9)).not.toEqual(some('uniform', 'ba', 9));
  });

  it('have the moments of their laws', () => {
    const moment = (values: Float64Array, power: number): number => values.reduce((sum, x) => sum + x ** power, 0) / values.length;
    const normal = some('normal', 'a', 40000);
    const uniform = some('uniform', 'a', 40000).map((x) => x - 0.5);
    // Five standard deviations of the mean of each power.
    expect(Math.abs(moment(normal, 1))).toBeLessThan(5 / 200);
    expect(Math.abs(moment(normal, 2) - 1)).toBeLessThan(5 * Math.sqrt(2) / 200);
    expect(Math.abs(moment(normal, 4) - 3)).toBeLessThan(5 * Math.sqrt(96) / 200);
    expect(Math.abs(moment(uniform, 1))).toBeLessThan(5 * Math.sqrt(1 / 12) / 200);
    expect(Math.abs(moment(uniform, 2) - 1 / 12)).toBeLessThan(5 * Math.sqrt(1 / 180) / 200);
  });
});
