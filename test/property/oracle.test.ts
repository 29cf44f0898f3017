import { describe, expect, it } from 'vitest';
import { gradSpec } from '../../src/interp/spec-gradient.js';
import type { Tensors } from '../../src/interp/spec-machine.js';
import { runSpec } from '../../src/interp/spec.js';
import { finalName } from '../../src/ir/spec/names.js';
import { randomSource } from '../../src/support/random.js';
import { loss, relativeError, slope } from '../unit/interp/numbers.js';
import { randomCase, seeds, type Case } from './case.js';

/** Gradient along a direction, by the oracle and by central differences with two steps. */
function alongDirection({ spec, call, given, cotangents }: Case, gradients: Tensors, name: string, direction: Float64Array) {
  const values = given.get(name) ?? new Float64Array();
  const at = (x: number) => loss(
    runSpec(spec, call, new Map(given).set(name, values.map((value, i) => value + x * direction[i]))), cotangents,
  );
  const expected = slope(at, 0);
  const coarse = slope((x) => at(2 * x), 0) / 2;
  const found = gradients.get(`d_${name}`)?.reduce((sum, gradient, i) => sum + gradient * direction[i], 0) ?? NaN;
  const scale = Math.sqrt(gradients.get(`d_${name}`)?.reduce((sum, gradient) => sum + gradient * gradient, 0) ?? 0) + 1e-6;
  return { error: Math.abs(found - expected) / scale, doubt: Math.abs(coarse - expected) / scale };
}

describe('gradients of random recurrences', () => {
  it('are those of central differences', () => {
    let checked = 0;
    let doubtful = 0;
    for (const seed of seeds(80)) {
      const random = randomCase(seed, { lengths: [4, 2], sizes: [2, 3, 4] });
      const gradients = gradSpec(random.spec, random.call, random.given, random.cotangents);
      for (const [name, values] of random.given) {
        const source = randomSource(seed, name);
        // Steps in proportion to the values leave signs as they are, and so the ranges.
        const { error, doubt } = alongDirection(random, gradients, name, values.map((value) => value * source.normal()));
        checked++;
        // Differences that depend on their step say nothing: a kink of abs or max lies between, or a norm of nearly nothing.
        if (doubt > 1e-7) doubtful++;
        else expect(error, `d_${name} of\n${random.recurrence.source}`).toBeLessThan(1e-7);
      }
    }
    expect(checked).toBeGreaterThan(400);
    expect(doubtful / checked).toBeLessThan(0.02);
  });
});

describe('sequences of random recurrences', () => {
  const part = (
    all: Tensors, per: (name: string) => number | undefined, from: number, to: number,
  ) => new Map([...all].map(([name, values]) => {
    const width = per(name);
    return [name, width === undefined ? values : values.slice(from * width, to * width)] as const;
  }));

  it('do not see each other when packed', () => {
    for (const seed of seeds(60)) {
      const { spec, call, given, recurrence } = randomCase(seed, { lengths: [3, 1, 5] });
      const whole = runSpec(spec, call, given);
      const states = new Set(spec.states.map((state) => state.name));
      const params = new Set(spec.params.map((param) => param.name));
      let start = 0;
      call.lengths.forEach((length, n) => {
        const tokens = part(
          new Map([...given].filter(([name]) => !states.has(name))),
          (name) => (params.has(name) ? undefined : (given.get(name)?.length ?? 0) / 9), start, start + length,
        );
        const initial = part(
          new Map([...given].filter(([name]) => states.has(name))), (name) => (given.get(name)?.length ?? 0) / 3, n, n + 1,
        );
        const alone = runSpec(spec, { ...call, lengths: [length] }, new Map([...tokens, ...initial]));
        for (const { name } of spec.outputs) {
          const width = (whole.get(name)?.length ?? 0) / 9;
          expect(alone.get(name), recurrence.source).toEqual(whole.get(name)?.slice(start * width, (start + length) * width));
        }
        start += length;
      });
    }
  });

  it('may be cut anywhere if the states are passed on', () => {
    let checked = 0;
    for (const seed of seeds(60)) {
      const { spec, call, given, recurrence } = randomCase(seed, { lengths: [6] });
      const whole = runSpec(spec, call, given);
      const fixed = new Set([...spec.states, ...spec.params].map(({ name }) => name));
      const width = (name: string) => (fixed.has(name) ? undefined : (given.get(name)?.length ?? 0) / 6);
      const left = runSpec(spec, { ...call, lengths: [2] }, part(given, width, 0, 2));
      const right = part(given, width, 2, 6);
      for (const { name } of spec.states) right.set(name, left.get(finalName(spec, name)) ?? new Float64Array());
      const end = runSpec(spec, { ...call, lengths: [4] }, right);
      for (const { name } of spec.states) expect(
        end.get(finalName(spec, name)), recurrence.source,
      ).toEqual(whole.get(finalName(spec, name)));
      for (const { name } of spec.outputs) expect(relativeError(
        [...left.get(name) ?? [], ...end.get(name) ?? []], whole.get(name) ?? [],
      )).toBe(0);
      checked++;
    }
    expect(checked).toBeGreaterThan(40);
  });

  it('has the gradients of one call in two, if those of the states are passed back', () => {
    for (const seed of seeds(60)) {
      const { spec, call, given, cotangents, recurrence } = randomCase(seed, { lengths: [6] });
      const whole = gradSpec(spec, call, given, cotangents);
      const fixed = new Set([...spec.states, ...spec.params].map(({ name }) => name));
      const states = new Set(spec.states.map(({ name }) => finalName(spec, name)));
      const width = (name: string) => (fixed.has(name) ? undefined : (given.get(name)?.length ?? 0) / 6);
      const ofToken = (name: string) => (states.has(name.slice(2)) ? undefined : (cotangents.get(name)?.length ?? 0) / 6);
      const first = part(given, width, 0, 2);
      const left = runSpec(spec, { ...call, lengths: [2] }, first);
      const right = part(given, width, 2, 6);
      for (const { name } of spec.states) right.set(name, left.get(finalName(spec, name)) ?? new Float64Array());
      const later = gradSpec(spec, { ...call, lengths: [4] }, right, part(cotangents, ofToken, 2, 6));
      const handed = part(cotangents, ofToken, 0, 2);
      for (const { name } of spec.states) handed.set(`d_${finalName(spec, name)}`, later.get(`d_${name}`) ?? new Float64Array());
      const earlier = gradSpec(spec, { ...call, lengths: [2] }, first, handed);
      for (const { name } of spec.inputs) {
        expect(
          relativeError([...earlier.get(`d_${name}`) ?? [], ...later.get(`d_${name}`) ?? []], whole.get(`d_${name}`) ?? []),
          `${recurrence.source} d_${name}`,
        ).toBeLessThan(1e-12);
      }
      for (const { name } of spec.states) expect(
        relativeError(earlier.get(`d_${name}`) ?? [], whole.get(`d_${name}`) ?? []), recurrence.source,
      ).toBeLessThan(1e-12);
    }
  });
});
