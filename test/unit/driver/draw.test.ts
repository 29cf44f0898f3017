import { describe, expect, it } from 'vitest';
import { drawTensors, type Extents } from '../../../src/driver/scan/run/draw.js';
import { validate } from '../../../src/driver/run/validate.js';
import type { Range } from '../../../src/ir/common/range.js';
import { runSpec } from '../../../src/interp/spec.js';
import { signatureOf } from '../../../src/ir/spec/signature.js';
import type { Spec } from '../../../src/ir/spec/spec.js';
import { makeSpec } from '../interp/make-spec.js';
import { specOf } from '../passes/scans.js';

const plain = makeSpec('ranges', {
  axes: ['K', 'V'], inputs: { k: ['K'], v: ['V'], g: ['K'], lower: [], beta: [], up: [] }, groupInputs: ['k'], params: { p: ['V'] },
  states: { S: ['K', 'V'] }, outputs: { o: ['V'] },
}, (w) => {
  const S = w.add(w.mul(w.map('exp', w.add(w.get('g'), w.get('lower'))), w.get('S')), w.mul(w.get('k'), w.get('beta'), w.get('v')));
  return { S, o: w.add(w.dot('K', w.get('k'), S), w.mul(w.get('p'), w.get('up'))) };
});
const ranges: Readonly<Record<string, Range>> = {
  g: { lo: -Infinity, hi: 0 }, lower: { lo: -5, hi: 0 }, beta: { lo: 0.1, hi: 0.3 }, up: { lo: 2, hi: Infinity },
};
const spec: Spec = { ...plain, inputs: plain.inputs.map((input) => ({ ...input, range: ranges[input.name] ?? input.range })) };
const extents: Extents = { B: 2, T: 200, H: 4, G: 2, N: 2 };
const sizes = new Map([['K', 8], ['V', 6]]);
const drawn = drawTensors(spec, extents, sizes, { seed: 3 });
const values = (name: string, from = drawn) => from.get(name)?.data ?? new Float32Array();
const rms = (data: ArrayLike<number>) => Math.sqrt(Array.from(data).reduce((sum, x) => sum + x * x, 0) / data.length);

describe('random tensors', () => {
  it('are all that a scan takes, in the right shapes', () => {
    const result = validate(signatureOf(spec), drawn);
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

  it('begin at zero, or within what is declared of a state, unless states are asked for', () => {
    const ranged: Spec = { ...spec, states: spec.states.map((state) => ({ ...state, range: { lo: 1, hi: 2 } })) };
    const declared = { seed: 3, states: 'declared' } as const;
    expect(values('S', drawTensors(spec, extents, sizes, declared)).every((x) => x === 0)).toBe(true);
    for (const options of [declared, { seed: 3 }]) {
      const S = values('S', drawTensors(ranged, extents, sizes, options));
      expect([Math.min(...S) >= 1, Math.max(...S) <= 2, Math.min(...S) < 1.1, Math.max(...S) > 1.9]).toEqual([true, true, true, true]);
    }
    expect(values('v', drawTensors(spec, extents, sizes, declared))).toEqual(values('v'));
  });

  it('are warned of where a given state lies elsewhere', () => {
    const ranged: Spec = { ...spec, states: spec.states.map((state) => ({ ...state, range: { lo: 0, hi: Infinity } })) };
    expect(validate(signatureOf(ranged), drawn)).toMatchObject({
      warnings : [expect.stringMatching(/values of `S` lie outside of its range 0\.\.inf/)]
    });
  });

  it('depend on the seed', () => {
    expect(drawTensors(spec, extents, sizes, { seed: 3 })).toEqual(drawn);
    expect(values('v', drawTensors(spec, extents, sizes, { seed: 4 }))).not.toEqual(values('v'));
    expect(values('v').subarray(0, 400)).not.toEqual(values('d_o').subarray(0, 400));
  });
});

/** A scan that reads its state along `a` and writes what it finds along `b`. */
const erasing = (inputs: string, write: string) => specOf(`scan s(${inputs}, v: [V]) -> o: [V] { `
  + `state S: [K, V]  S = ${write}  o = q @ S }`);
const call = (T: number, G = 1): Extents => ({ B: 1, T, H: 2, G, N: 1 });

describe('vectors that write what others erase', () => {
  const general = erasing('q, a, b: [K]', 'S[t-1] + outer(b, a @ S[t-1]) + outer(a, v)');
  const tensors = drawTensors(general, call(1000), sizes, { seed: 1 });
  const lastState = (b: Float32Array) => {
    const given = new Map([...tensors].filter(([name]) => !name.startsWith('d_')).map(([name, { data }]) => [
      name, Float64Array.from(name === 'b' ? b : data),
    ]));
    return rms(runSpec(general, { sizes, heads: 2, groups: 1, lengths: [1000] }, given).get('S') ?? []);
  };

  it('are those, against them and weaker channel by channel', () => {
    const [a, b] = [values('a', tensors), values('b', tensors)];
    const ratios = Array.from(b, (x, i) => -x / a[i]);
    expect(Math.min(...ratios)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...ratios)).toBeLessThanOrEqual(1);
    expect(rms(ratios)).toBeCloseTo(Math.sqrt(1 / 3), 1);
  });

  it('keep a state bounded that independent ones let grow', () => {
    expect(lastState(values('b', tensors))).toBeLessThan(10);
    expect(lastState(values('q', tensors))).toBeGreaterThan(1e6);
  });

  it('point the other way where the scan takes away what it reads', () => {
    const taking = erasing('q, k, p: [K], beta: [] in 0..1', 'S[t-1] + outer(k, beta * (v - p @ S[t-1]))');
    const drawnHere = drawTensors(taking, call(50), sizes, { seed: 1 });
    expect(Math.min(...values('k', drawnHere).map((x, i) => x * values('p', drawnHere)[i]))).toBeGreaterThanOrEqual(0);
  });

  it.each([
    ['made of others', 'q, a, b: [K]', 'S[t-1] + outer(b * sigmoid(q), a @ S[t-1]) + outer(a, v)'],
    ['bounded', 'q, a: [K], b: [K] in 0..1', 'S[t-1] + outer(b, a @ S[t-1]) + outer(a, v)'],
    ['of another scope', 'q, a: [K], b: [K] per group', 'S[t-1] + outer(b, a @ S[t-1]) + outer(a, v)'],
  ])('are drawn like all others where they are %s', (_, inputs, write) => {
    const found = drawTensors(erasing(inputs, write), call(50, 2), sizes, { seed: 1 });
    const products = values('b', found).map((x, i) => x * values('a', found)[i]);
    expect(Math.max(...products)).toBeGreaterThan(0);
    expect(Math.min(...products)).toBeLessThan(0);
  });
});
