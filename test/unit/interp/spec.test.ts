import { describe, expect, it } from 'vitest';
import { gradSpec } from '../../../src/interp/spec-gradient.js';
import type { SpecCall, Tensors } from '../../../src/interp/spec-machine.js';
import { runSpec } from '../../../src/interp/spec.js';
import { finalName } from '../../../src/ir/spec/names.js';
import { makeSpec } from './make-spec.js';
import { loss, relativeError, slope, someCotangents, someTensors } from './numbers.js';

/** S = e^g S[t-1] + k (x) beta (v - k S), keys shared by groups; a params' skip, the head's index and the number of heads in the read. */
const erasing = makeSpec('erasing', {
  axes: ['K', 'V'], inputs: {
    q: ['K'], k: ['K'], v: ['V'], g: ['K'], beta: [],
  }, groupInputs: ['q', 'k'], params: { skip: ['V'], bias: [] },
  states: { S: ['K', 'V'] }, outputs: { o: ['V'] },
}, (w) => {
  const [q, k, v] = ['q', 'k', 'v'].map(w.get);
  const P = w.mul(w.map('exp', w.map('neg', w.map('softplus', w.add(w.get('g'), w.get('bias'))))), w.get('S'));
  const wrong = w.map('sub', v, w.dot('K', k, P));
  const S = w.add(P, w.mul(k, w.mul(w.map('sigmoid', w.get('beta')), wrong)));
  const scale = w.map('div', w.add(w.head(), w.num(1)), w.map('sqrt', w.mul(w.size('K'), w.heads())));
  return { S, o: w.add(w.mul(w.dot('K', q, S), scale), w.mul(w.get('skip'), v)) };
});

/** Two chained states with softmax between them, and an axis order in the output that differs from the node's. */
const chained = makeSpec('chained', {
  axes: ['K', 'M', 'V'], inputs: {
    q: ['K'], k: ['K'], v: ['V'], f: ['M'],
  }, states: { A: ['K', 'M'], B: ['M', 'V'] }, outputs: { o: ['V'], pv: ['V', 'M'] },
}, (w) => {
  const decay = w.map('sigmoid', w.get('f'));
  const write = w.map('sub', w.num(1), decay);
  const A = w.add(w.mul(decay, w.get('A')), w.mul(w.get('k'), write));
  const B = w.add(w.mul(decay, w.get('B')), w.mul(write, w.get('v')));
  const logits = w.dot('K', w.get('q'), A);
  const e = w.map('exp', w.map('sub', logits, w.reduce('max', 'M', logits)));
  const p = w.map('div', e, w.reduce('sum', 'M', e));
  return { A, B, o: w.dot('M', p, B), pv: w.mul(p, w.get('v')) };
});

/** An elementwise state that is the output too, and a hidden one that remembers the input before. */
const elementwise = makeSpec('elementwise', {
  axes: ['D'], inputs: { x: ['D'], r: ['D'] }, params: { rate: ['D'] }, states: { h: ['D'], x_before: ['D'] },
  hidden: ['x_before'], outputs: { h: ['D'], low: [] },
}, (w) => {
  const decay = w.map('exp', w.mul(w.map('sigmoid', w.get('r')), w.map('log_sigmoid', w.get('rate'))));
  const h = w.add(w.mul(decay, w.get('h')), w.map('tanh', w.add(w.get('x'), w.mul(w.num(0.5), w.get('x_before')))));
  return { h, x_before: w.get('x'), low: w.reduce('min', 'D', w.map('max', w.get('h'), w.map('abs', h))) };
});

const sizes = new Map([['K', 3], ['V', 4], ['M', 2], ['D', 5]]);
const call: SpecCall = { sizes, heads: 4, groups: 2, lengths: [5, 1, 3] };
/** With a seed whose values lie away from the kinks of min, max and abs: central differences step over them. */
const specs = [[erasing, 4], [chained, 4], [elementwise, 1]] as const;


describe('the meaning of a spec', () => {
  it('agrees with loops written out', () => {
    const tensors = someTensors(erasing, call, 1);
    const get = (name: string) => tensors.get(name) ?? new Float64Array();
    const [K, V, H, G] = [3, 4, 4, 2];
    const o: number[] = [];
    const last: number[] = [];
    let start = 0;
    call.lengths.forEach((length, n) => {
      const finals: number[][] = [];
      const outputs = Array.from({ length }, (): number[][] => []);
      for (let h = 0; h < H; h++) {
        const S = [...get('S').slice((n * H + h) * K * V, (n * H + h + 1) * K * V)];
        const group = h < 2 ? 0 : 1;
        for (let t = start; t < start + length; t++) {
          const q = (i: number) => get('q')[(t * G + group) * K + i];
          const k = (i: number) => get('k')[(t * G + group) * K + i];
          const v = (j: number) => get('v')[(t * H + h) * V + j];
          const beta = 1 / (1 + Math.exp(-get('beta')[t * H + h]));
          for (let i = 0; i < K; i++) {
            const decay = 1 / (1 + Math.exp(get('g')[(t * H + h) * K + i] + get('bias')[h]));
            for (let j = 0; j < V; j++) S[i * V + j] *= decay;
          }
          outputs[t - start][h] = [];
          for (let j = 0; j < V; j++) {
            let read = 0;
            for (let i = 0; i < K; i++) read += k(i) * S[i * V + j];
            const wrong = v(j) - read;
            let out = 0;
            for (let i = 0; i < K; i++) {
              S[i * V + j] += k(i) * beta * wrong;
              out += q(i) * S[i * V + j];
            }
            outputs[t - start][h][j] = out * (h + 1) / Math.sqrt(K * H) + get('skip')[h * V + j] * v(j);
          }
        }
        finals[h] = S;
      }
      start += length;
      o.push(...outputs.flat(2));
      last.push(...finals.flat());
    });
    const results = runSpec(erasing, call, tensors);
    expect(relativeError(results.get('o') ?? [], o)).toBeLessThan(1e-14);
    expect(relativeError(results.get('S') ?? [], last)).toBeLessThan(1e-14);
  });

  it('names a state like the output it is `final.NAME`', () => {
    const results = runSpec(elementwise, call, someTensors(elementwise, call, 2));
    expect([...results.keys()]).toEqual(['h', 'low', 'final.h', 'x_before']);
    expect(results.get('final.h')?.slice(2 * 20)).toEqual(results.get('h')?.slice(8 * 20));
  });

  it('takes missing initial states as zero', () => {
    const tensors = someTensors(chained, call, 3);
    const zeros = new Map(tensors).set('A', new Float64Array(3 * 4 * 6)).set('B', new Float64Array(3 * 4 * 8));
    tensors.delete('A');
    tensors.delete('B');
    expect(runSpec(chained, call, tensors)).toEqual(runSpec(chained, call, zeros));
  });

  it('refuses a call whose tensors do not fit', () => {
    const tensors = someTensors(chained, call, 3);
    expect(() => runSpec(chained, call, new Map(tensors).set('q', new Float64Array(3)))).toThrow('tensor q has 3 elements');
    tensors.delete('v');
    expect(() => runSpec(chained, call, tensors)).toThrow('tensor v is missing');
  });
});

describe('gradients', () => {
  it.each(specs.map(([spec, seed]) => [spec.name, spec, seed] as const))('of %s are those of central differences', (_, spec, seed) => {
    const tensors = someTensors(spec, call, seed);
    const cotangents = someCotangents(spec, call, seed + 1);
    const gradients = gradSpec(spec, call, tensors, cotangents);
    for (const [name, values] of tensors) {
      const expected = values.map((x, i) => slope(
        (changed) => loss(runSpec(spec, call, new Map(tensors).set(name, values.with(i, changed))), cotangents), x,
      ));
      expect(relativeError(gradients.get(`d_${name}`) ?? [], expected), name).toBeLessThan(1e-9);
    }
  });

  it('come with the results', () => {
    const tensors = someTensors(erasing, call, 4);
    const results = runSpec(erasing, call, tensors);
    const both = gradSpec(erasing, call, tensors, new Map());
    for (const [name, values] of results) expect(both.get(name)).toEqual(values);
    expect([...both.keys()].filter((name) => !results.has(name))).toEqual([
      'd_q', 'd_k', 'd_v', 'd_g', 'd_beta', 'd_skip', 'd_bias', 'd_S',
    ]);
    expect(both.get('d_q')?.every((value) => value === 0)).toBe(true);
  });

  it('do not depend on how many states are kept', () => {
    const long: SpecCall = { ...call, lengths: [11, 0, 1, 16] };
    for (const [spec] of specs) {
      const [tensors, cotangents] = [someTensors(spec, long, 10), someCotangents(spec, long, 11)];
      const all = gradSpec(spec, long, tensors, cotangents);
      // Segments of 4, then of 5 tokens.
      expect(gradSpec(spec, long, tensors, cotangents, 0)).toEqual(all);
      expect(gradSpec(spec, long, tensors, cotangents, 5 * 14)).toEqual(all);
    }
  });

  it('of packed sequences are those of separate runs', () => {
    const packed = someTensors(erasing, call, 6);
    const cotangents = someCotangents(erasing, call, 7);
    const whole = gradSpec(erasing, call, packed, cotangents);
    let start = 0;
    const params = new Map([['d_skip', new Float64Array(4 * 4)], ['d_bias', new Float64Array(4)]]);
    call.lengths.forEach((length, n) => {
      const cut = (values: Float64Array, name: string): Float64Array => {
        const of = name.replace('d_', '');
        if (params.has(`d_${of}`)) return values;
        if (of === 'S') return values.slice(n * 48, (n + 1) * 48);
        const width = values.length / 9;
        return values.slice(start * width, (start + length) * width);
      };
      const pick = (all: Tensors) => new Map([...all].map(([name, values]) => [name, cut(values, name)]));
      const alone = gradSpec(erasing, { ...call, lengths: [length] }, pick(packed), pick(cotangents));
      for (const [name, values] of alone) {
        const sum = params.get(name);
        if (sum === undefined) expect(values, name).toEqual(cut(whole.get(name) ?? new Float64Array(), name));
        else values.forEach((value, i) => { sum[i] += value; });
      }
      start += length;
    });
    for (const [name, sum] of params) expect(relativeError(whole.get(name) ?? [], sum)).toBeLessThan(1e-14);
  });

  it('stay the same when a sequence is cut and the state passed on', () => {
    for (const spec of [erasing, chained]) {
      const one: SpecCall = { ...call, lengths: [7] };
      const tensors = someTensors(spec, one, 8);
      const cotangents = someCotangents(spec, one, 9);
      const whole = gradSpec(spec, one, tensors, cotangents);
      const state = spec.states.map((s) => s.name);
      const isState = (name: string) => state.includes(name.replace('d_', ''));
      const part = (all: Tensors, from: number, to: number) => new Map([...all].map(([name, values]) => {
        const width = values.length / 7;
        return [name, isState(name) || spec.params.some((p) => p.name === name) ? values : values.slice(from * width, to * width)] as const;
      }));
      const before: SpecCall = { ...one, lengths: [3] };
      const after: SpecCall = { ...one, lengths: [4] };
      const left = runSpec(spec, before, part(tensors, 0, 3));
      const middle = new Map(part(tensors, 3, 7));
      for (const name of state) middle.set(name, left.get(finalName(spec, name)) ?? new Float64Array());
      const right = gradSpec(spec, after, middle, part(cotangents, 3, 7));
      const back = new Map(part(cotangents, 0, 3));
      for (const name of state) back.set(`d_${finalName(spec, name)}`, right.get(`d_${name}`) ?? new Float64Array());
      const first = gradSpec(spec, before, part(tensors, 0, 3), back);
      for (const name of state) {
        expect(right.get(finalName(spec, name))).toEqual(whole.get(finalName(spec, name)));
        expect(first.get(`d_${name}`)).toEqual(whole.get(`d_${name}`));
      }
      for (const { name } of spec.inputs) {
        expect([...first.get(`d_${name}`) ?? [], ...right.get(`d_${name}`) ?? []]).toEqual([...whole.get(`d_${name}`) ?? []]);
      }
    }
  });
});
