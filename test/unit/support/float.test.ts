import { describe, expect, it } from 'vitest';
import { fromHalves, halfBits, halfValue, toHalves, type Half } from '../../../src/support/float.js';

const KINDS: readonly Half[] = ['f16', 'bf16'];

describe('16-bit numbers', () => {
  it.each(KINDS)('%s: every pattern of bits comes back', (kind) => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = halfValue(kind, bits);
      if (Number.isNaN(value)) expect(Number.isNaN(halfValue(kind, halfBits(kind, value)))).toBe(true);
      else if (halfBits(kind, value) !== bits) throw new Error(`${bits} became ${halfBits(kind, value)}`);
    }
  });

  it.each(KINDS)('%s: what lies between goes to the nearest, halves to the even one', (kind) => {
    const infinity = kind === 'f16' ? 0x7c00 : 0x7f80;
    for (let bits = 0; bits + 1 < infinity; bits++) {
      const [below, above] = [halfValue(kind, bits), halfValue(kind, bits + 1)];
      const [step, even] = [above - below, bits % 2 === 0 ? bits : bits + 1];
      // The smallest bf16 numbers have no neighbours in f32 to round from.
      const cases = [[below + step / 2, even]];
      if (kind === 'f16' || bits > 0x0400) cases.push([below + step * 0.4375, bits], [below + step * 0.5625, bits + 1]);
      for (const [x, expected] of cases) {
        if (
          halfBits(kind, x) !== expected || halfBits(kind, -x) !== (expected | 0x8000)
        ) throw new Error(`${x} became ${halfBits(kind, x)}, not ${expected}`);
      }
    }
  });

  it('known values', () => {
    expect([
      1, -2, 65504, 65519, 65520, Infinity, -Infinity, 2 ** -24, 2 ** -25, 1.5 * 2 ** -25, -0,
    ].map((x) => halfBits('f16', x))).toEqual(
      [0x3c00, 0xc000, 0x7bff, 0x7bff, 0x7c00, 0x7c00, 0xfc00, 1, 0, 1, 0x8000]);
    expect([
      1, -2, 3.3895313892515355e38, 3.4e38, Infinity, 1.00390625, 1.01171875,
    ].map((x) => halfBits('bf16', x))).toEqual([0x3f80, 0xc000, 0x7f7f, 0x7f80, 0x7f80, 0x3f80, 0x3f82]);
  });

  it('arrays', () => {
    expect(toHalves('bf16', [1, 0.1])).toEqual(Uint16Array.of(0x3f80, 0x3dcd));
    expect(fromHalves('f16', Uint16Array.of(0x3c00, 0x2e66))).toEqual(Float32Array.of(1, 0.0999755859375));
  });
});
