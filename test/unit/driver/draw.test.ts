import { describe, expect, it } from 'vitest';
import { drawTensors, type Extents } from '../../../src/driver/run/draw.js';
import { validate } from '../../../src/driver/run/validate.js';
import type { Range } from '../../../src/ir/common/range.js';
import type { Spec } from '../../../src/ir/spec/spec.js';
import { makeSpec } from '../interp/make-spec.js';

const plain = makeSpec('ranges', {
  axes: ['K', 'V'], inputs: { k: ['K'], v: ['V'], g: ['K'], lower: [], beta: [], up: [] }, groupInputs: ['k'], params: { p: ['V'] },
  states: { S: ['K', 'V'] }, outputs: { o: ['V'] },
}, (w) => {
  const S = w.add(w.mul(w.map('exp', w.add(w.get('g'), w.get('lower'))), w.get('S')), w.mul(w.get('k'), w.get('beta'), w.get('v')));
  return { S, o: w.add(w.dot('K', w.get('k'), S), w.mul(w.get('p'), w.get('up'))) };
});
const ranges: Readonly<Record<string, Range>> = { g: { lo: -Infinity, hi: 0 }, lower: { lo: -5, hi: 0 }, beta: { lo: 0.1, hi: 0.3 }, up: { lo: 2, hi: Infinity } };
const spec: Spec = { ...plain, inputs: plain.inputs.map((input) => ({ ...input, range: ranges[input.name] ?? input.range })) };
const extents: Extents = { B: 2, T: 200, H: 4, G: 2, N: 2 };
const sizes = new Map([['K', 8], ['V', 6]]);
const drawn = drawTensors(spec, extents, sizes, { seed: 3 });
const values = (name: string, from = drawn) => from.get(name)?.data ?? new Float32Array();
const rms = (data: ArrayLike<number>) => Math.sqrt(Array.from(data).reduce((sum, x) => sum + x * x, 0) / data.length);

describe('random tensors', () => {
  it('are all that a scan takes, in the right shapes', () => {
    const result = validate(spec, drawn);
    if ('problems' in result) throw new Error(JSON.stringify(result.problems));
    expect(result.warnings).toEqual([]);
    expect(result.call).toMatchObject({ batch: 2, tokens: 200, heads: 4, groups: 2 });
    expect([...drawn.keys()]).toEqual(['k', 'v', 'g', 'lower', 'beta', 'up', 'p', 'S', 'd_o', 'd_S']);
  });

  it('keep to their ranges, and fill them', () => {
    const within = (name: string, lo: number, hi: number) => {
      const data = values(name);
      expect(Math.min(...data), name).toBeGreaterThanOrEqual(lo);
      expect(Math.max(...data), name).toBeLessThanOrEqual(hi);
    };
    within('g', -Infinity, 0);
    within('lower', -5, 0);
    within('beta', Math.fround(0.1), Math.fround(0.3));
    within('up', 2, Infinity);
    expect(Math.min(...values('beta'))).toBeLessThan(0.102);
    expect(Math.max(...values('beta'))).toBeGreaterThan(0.298);
    for (const name of ['v', 'p', 'S', 'd_o']) expect(rms(values(name)), name).toBeGreaterThan(0.6);
  });

  it('have gates that remember and gates that forget', () => {
    const g = values('g');
    const mean = (odd: number) => g.filter((_, i) => i % 2 === odd).reduce((sum, x) => sum + x, 0) / (g.length / 2);
    expect(mean(0)).toBeGreaterThan(-0.01);
    expect(mean(1)).toBeLessThan(-0.5);
  });

  it('have keys of length 1, pointing the same way if asked to', () => {
    const dots = (k: Float32Array) => {
      const [same, before]: number[][] = [[], []];
      // [B, T, G, K]: the key of the same group one token before lies 2 * 8 elements back.
      for (let at = 16; at < k.length; at += 8) {
        same.push(Math.hypot(...k.subarray(at, at + 8)));
        before.push(k.subarray(at, at + 8).reduce((sum, x, i) => sum + x * k[at - 16 + i], 0));
      }
      return [Math.max(...same.map((x) => Math.abs(x - 1))), before.reduce((sum, x) => sum + x, 0) / before.length];
    };
    const [length, apart] = dots(values('k'));
    expect(length).toBeLessThan(1e-6);
    expect(Math.abs(apart)).toBeLessThan(0.1);
    const [stillOne, together] = dots(values('k', drawTensors(spec, extents, sizes, { seed: 3, correlated: true })));
    expect(stillOne).toBeLessThan(1e-6);
    expect(together).toBeGreaterThan(0.6);
  });

  it('depend on the seed', () => {
    expect(drawTensors(spec, extents, sizes, { seed: 3 })).toEqual(drawn);
    expect(values('v', drawTensors(spec, extents, sizes, { seed: 4 }))).not.toEqual(values('v'));
    expect(values('v').subarray(0, 400)).not.toEqual(values('d_o').subarray(0, 400));
  });
});
