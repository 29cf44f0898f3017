import { describe, expect, it } from 'vitest';
import { randomCase, seeds, type Case } from './case.js';
import { compareTiles, type CompareOptions } from './tiles.js';
import { within } from '../../src/backends/cuda/live.js';

const EXACT = 1e-10;
/** An axis of one entry makes norms constant and their gradients noise: leave those out. */
const SIZES = [2, 3, 4, 5];

function check(c: Case, options: CompareOptions): void {
  const { errors } = compareTiles(c.spec, c.call, c.given, c.cotangents, options);
  const wrong = [...errors].filter(([, error]) => !(error < EXACT));
  expect(wrong, `${JSON.stringify(options)}\n${c.recurrence.source}`).toEqual([]);
}

describe('chunk programs of random recurrences', () => {
  // Every length that sits at an edge of some chunk, alone, packed, and with sequences that have no token.
  const shapes: readonly { readonly lengths: readonly number[]; readonly options: CompareOptions }[] = [
    { lengths: [1], options: { chunk: 4 } },
    { lengths: [3, 0], options: { chunk: 16, fits: () => false, exactGates: true } },
    { lengths: [16], options: { chunk: 4, longest: 1, halfOperands: true } },
    { lengths: [17, 1], options: { chunk: 16, segments: false, inlineScores: 'all', slides: true } },
    { lengths: [0, 63], options: { chunk: 16, longest: 2, fits: within(40_000), exactGates: true } },
    { lengths: [64], options: { chunk: 64, halfOperands: true } },
    { lengths: [100], options: { chunk: 16, longest: 3, inlineScores: 'diagonal', fits: () => false, slides: true } },
    { lengths: [5, 0, 100, 3], options: { chunk: 64, longest: 1 } },
  ];
  shapes.forEach(({ lengths, options }, i) => {
    it(`sequences of ${lengths.join(', ')} tokens, ${JSON.stringify(options)}`, () => {
      for (const seed of seeds(12, 1 + 12 * i)) check(randomCase(seed, { lengths, sizes: SIZES }), options);
    }, 60_000);
  });

  it('agree with their meaning for many seeds', () => {
    for (const seed of seeds(100, 1000)) check(randomCase(seed, { lengths: [9, 0, 1, 4], sizes: SIZES }), {
      chunk: 4, longest: 1 + (seed % 2), exactGates: seed % 5 < 2, halfOperands: seed % 2 === 0, fits: within(seed % 3 === 0 ? 0 : 40_000),
    });
  }, 60_000);

  it('agree with their meaning where gates are at and near their ends', () => {
    for (const seed of seeds(120, 3000)) check(
      randomCase(seed, { lengths: [9, 1, 20], sizes: SIZES, ends: true }),
      { chunk: seed % 2 === 0 ? 4 : 16, longest: 1 + (seed % 2), exactGates: seed % 5 < 2, fits: within(seed % 3 === 0 ? 0 : 40_000) },
    );
  }, 60_000);

  it('step by step where the scan is marked so', () => {
    for (const seed of seeds(60, 2000)) {
      const c = randomCase(seed, { lengths: [4, 0, 1], sizes: SIZES });
      check({ ...c, spec: { ...c.spec, mode: 'sequential' } }, { chunk: 4 });
    }
  }, 60_000);
});
