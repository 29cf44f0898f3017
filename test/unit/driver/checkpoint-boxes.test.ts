import { describe, expect, it } from 'vitest';
import { clipped, copyBox, elements, reads, simplified, span, type Box } from '../../../src/driver/checkpoint/box.js';
import { decodeMx, e4m3, numbersOf, roundedTo, widest } from '../../../src/driver/checkpoint/dtypes.js';
import { halfBits } from '../../../src/support/float.js';
import { randomSource } from '../../../src/support/random.js';

/** A box as layouts make them: axes nested in two orders, with gaps on the side of the source. */
function randomBox(random: () => number): Box {
  const whole = (n: number): number => Math.floor(random() * n);
  const rank = 1 + whole(4);
  const sizes = Array.from({ length: rank }, () => 1 + whole(5));
  const order = sizes.map((_, i) => ({ i, key: random() })).sort((a, b) => a.key - b.key).map(({ i }) => i);
  const steps = (along: readonly number[], gaps: boolean): readonly number[] => {
    const found: number[] = [];
    let step = 1 + (gaps ? whole(3) : 0);
    for (const i of [...along].reverse()) {
      found[i] = step;
      step = step * sizes[i] + (gaps ? whole(4) : 0);
    }
    return found;
  };
  const target = steps(sizes.map((_, i) => i), false);
  const source = steps(order, true);
  return { from: whole(5), to: whole(7), axes: sizes.map((size, i) => ({ size, source: source[i], target: target[i] })) };
}

/** Element of the target -> element of the source, one by one. */
function plainly(box: Box): ReadonlyMap<number, number> {
  const pairs = new Map<number, number>();
  const walk = (depth: number, from: number, to: number): void => {
    if (depth === box.axes.length) {
      expect(pairs.has(to)).toBe(false);
      pairs.set(to, from);
      return;
    }
    for (let i = 0; i < box.axes[depth].size; i++) walk(depth + 1, from + i * box.axes[depth].source, to + i * box.axes[depth].target);
  };
  walk(0, box.from, box.to);
  return pairs;
}

const sorted = (pairs: ReadonlyMap<number, number>): readonly (readonly [number, number])[] => [...pairs].sort(([a], [b]) => a - b);

describe('boxes', () => {
  it('are simplified, clipped, split and copied element by element', () => {
    const { uniform: random } = randomSource(5);
    for (let round = 0; round < 400; round++) {
      const box = randomBox(random);
      const all = plainly(box);
      const simple = simplified(box);
      expect(sorted(plainly(simple))).toEqual(sorted(all));
      expect(elements(simple)).toBe(all.size);

      const begin = Math.floor(random() * 20);
      const end = begin + Math.floor(random() * 60);
      const within = clipped(simple, begin, end).flatMap((part) => sorted(plainly(part)));
      expect(within.sort(([a], [b]) => a - b)).toEqual(sorted(all).filter(([to]) => to >= begin && to < end));

      const most = 1 + Math.floor(random() * 30);
      const pieces = reads(simple, most);
      expect(pieces.flatMap((part) => sorted(plainly(part))).sort(([a], [b]) => a - b)).toEqual(sorted(all));
      for (const piece of pieces) expect(span(piece, 'source')).toBeLessThanOrEqual(Math.max(most, 1));

      const source = Uint32Array.from({ length: box.from + span(box, 'source') }, (_, i) => 1000 + i);
      const target = new Uint32Array(box.to + span(box, 'target'));
      for (const piece of pieces) copyBox(piece, source.subarray(piece.from, piece.from + span(piece, 'source')), piece.from, target, 0);
      for (const [to, from] of all) expect(target[to]).toBe(1000 + from);
    }
  });

  it('of a transposition are copied as a whole', () => {
    const [rows, columns] = [70, 45];
    const source = Uint16Array.from({ length: rows * columns }, (_, i) => i);
    const target = new Uint16Array(rows * columns);
    const box = { from: 0, to: 0, axes: [{ size: columns, source: 1, target: rows }, { size: rows, source: columns, target: 1 }] };
    copyBox(box, source, 0, target, 0);
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) expect(target[c * rows + r]).toBe(r * columns + c);
  });
});

describe('element types', () => {
  it('of 8 bits are decoded', () => {
    expect([0x00, 0x01, 0x08, 0x38, 0x3c, 0x7e, 0xb8, 0x80].map(e4m3)).toEqual([0, 2 ** -9, 2 ** -6, 1, 1.5, 448, -1, -0]);
    expect(e4m3(0x7f)).toBeNaN();
    const bits = Uint8Array.of(0x00, 0x01, 0x04, 0x3c, 0x7b, 0x7c, 0xbe);
    expect([...numbersOf('f8_e5m2', bits)]).toEqual([0, 2 ** -16, 2 ** -14, 1, 57344, Infinity, -1.5]);
    expect([...numbersOf('i8', Uint8Array.of(0, 127, 128, 255))]).toEqual([0, 127, -128, -1]);
  });

  it('of 4 bits have a power of two for each block of 32', () => {
    const blocks = Uint8Array.from({ length: 32 }, (_, i) => (i < 16 ? ((2 * i + 1) % 16) * 16 + ((2 * i) % 16) : 0x21));
    const numbers = decodeMx(blocks, Uint8Array.of(128, 126));
    const values = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];
    expect([...numbers.subarray(0, 16)]).toEqual(values.map((value) => value * 2));
    expect([...numbers.subarray(32, 36)]).toEqual([0.25, 0.5, 0.25, 0.5]);
    expect(decodeMx(blocks, Uint8Array.of(255, 127))[1]).toBeNaN();
  });

  it('are rounded to the nearest', () => {
    const { uniform: random } = randomSource(9);
    const numbers = Float64Array.from({ length: 500 }, () => (random() - 0.5) * 10 ** (random() * 80 - 40));
    expect([...roundedTo('bf16', numbers)]).toEqual([...numbers].map((value) => halfBits('bf16', value)));
    expect([...roundedTo('f16', numbers)]).toEqual([...numbers].map((value) => halfBits('f16', value)));
    expect(roundedTo('bf16', Float64Array.of(NaN))[0] & 0x7fff).toBeGreaterThan(0x7f80);
  });

  it('that are mixed become what holds both', () => {
    expect(widest(['f16', 'bf16'])).toBe('f32');
    expect(widest(['bf16', 'f8_e4m3'])).toBe('bf16');
    expect(widest(['u8'])).toBe('bf16');
    expect(widest(['f32', 'bf16'])).toBe('f32');
  });
});
