import { describe, expect, it } from 'vitest';
import { normalize } from '../../../src/passes/normalize/normalize.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { compareTiles } from '../../property/tiles.js';
import { addEnds, FACTOR_SCANS } from './factor-scans.js';
import { draw, specOf } from './scans.js';

describe('gradients of decays given as factors are exact, at 0 too', () => {
  it.each(Object.entries(FACTOR_SCANS))('%s', (_, text) => {
    const spec = specOf(text);
    const sizes = new Map([['K', 4], ['V', 3]]);
    const drawn = draw(spec, sizes, [5, 20, 0, 1], 3);
    addEnds(drawn);
    for (const options of [
      { chunk: 4 }, { chunk: 16, exactGates: true }, { chunk: 8, fits: () => false, longest: 1, halfOperands: true },
    ]) {
      const { errors } = compareTiles(spec, drawn.call, drawn.given, drawn.cotangents, options);
      expect([...errors].filter(([, error]) => !(error < 1e-10))).toEqual([]);
    }
  });

  it('and made in blocks of the gate\'s axis where nothing folds it', () => {
    const splitOf = (text: string) => lowerScan(
      specOf(text), new Map([['K', 128], ['V', 128]]),
    ).module.kernels.find(({ name }) => name.endsWith('gradient_factor'))?.split;
    expect(Object.entries(FACTOR_SCANS).map(([name, text]) => [name, splitOf(text)])).toEqual([
      ['per key channel', 'K'], ['per value channel', 'V'], ['per token', undefined], ['of two kinds, read before and after', undefined],
      ['per key channel, with an erase', 'K'], ['per token, with an erase of what was before', undefined],
    ]);
    const erasing = 'scan f(q, k: [K], v: [V], a: [K] in 0..1) -> o: [V] { '
      + 'state S: [K, V]  let P = a * S[t-1]  S = P + outer(k, v - k @ P)  o = q @ S }';
    expect(splitOf(erasing)).toBe('K');
  });
});

describe('a gate is differentiated by its logarithm', () => {
  const factor = (decay: string) => {
    const [stage] = normalize(specOf(`scan f(q, k: [K], v: [V], g: [] in -inf..0, z: [], a: [] in 0..1) -> o: [V] {
      state S: [K, V]  S = ${decay} * S[t-1] + outer(k, v)  o = (q + 0 * g + 0 * z + 0 * a) @ S }`)).stages;
    return stage.kind === 'matrix' && stage.gate.kind !== 'none' ? stage.gate.factor : undefined;
  };
  it.each([
    '0.9', 'exp(g)', 'sigmoid(z)', '(1 - sigmoid(z))', 'exp(g) * sigmoid(z)', 'sigmoid(z)^1.5', '(1 - 2^(-3 - head))',
    '(1 / (1 + exp(z)))', '(exp(z) / (exp(z) + exp(g)))', '(0.1 + 0.8 * sigmoid(z))',
  ])(
    '%s', (decay) => expect(factor(decay)).toBeUndefined(),
  );
  it.each(['a', 'a * exp(g)', '(1 - a)', '(a / (1 + a))', 'max(a, 0.1)', '(exp(z) / (a + exp(z)))', 'a^1.5'])(
    'but not %s', (decay) => expect(factor(decay)).toBeDefined(),
  );
});
