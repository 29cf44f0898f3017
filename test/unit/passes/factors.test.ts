import { describe, expect, it } from 'vitest';
import { normalize } from '../../../src/passes/normalize/normalize.js';
import { compareTiles } from '../../property/tiles.js';
import { addEnds, FACTOR_SCANS } from './factor-scans.js';
import { draw, specOf } from './scans.js';

describe('gradients of decays given as factors are exact, at 0 too', () => {
  it.each(Object.entries(FACTOR_SCANS))('%s', (_, text) => {
    const spec = specOf(text);
    const sizes = new Map([['K', 4], ['V', 3]]);
    const drawn = draw(spec, sizes, [5, 20, 0, 1], 3);
    addEnds(drawn);
    for (const options of [{ chunk: 4 }, { chunk: 16, exactGates: true }, { chunk: 8, sharedBytes: 0, longest: 1, halfOperands: true }]) {
      const { errors } = compareTiles(spec, drawn.call, drawn.given, drawn.cotangents, options);
      expect([...errors].filter(([, error]) => !(error < 1e-10))).toEqual([]);
    }
  });
});

describe('a gate is differentiated by its logarithm', () => {
  const factor = (decay: string) => {
    const [stage] = normalize(specOf(`scan f(q, k: [K], v: [V], g: [] in -inf..0, z: [], a: [] in 0..1) -> o: [V] {
      state S: [K, V]  S = ${decay} * S[t-1] + outer(k, v)  o = (q + 0 * g + 0 * z + 0 * a) @ S }`)).stages;
    return stage.kind === 'matrix' && stage.gate.kind !== 'none' ? stage.gate.factor : undefined;
  };
  it.each(['0.9', 'exp(g)', 'sigmoid(z)', '(1 - sigmoid(z))', 'exp(g) * sigmoid(z)', 'sigmoid(z)^1.5', '(1 - 2^(-3 - head))'])('%s', (decay) => expect(factor(decay)).toBeUndefined());
  it.each(['a', 'a * exp(g)', '(1 - a)', '(a / (1 + a))', 'max(a, 0.1)', '(1 / (1 + exp(z)))', 'a^1.5'])('but not %s', (decay) => expect(factor(decay)).toBeDefined());
});
