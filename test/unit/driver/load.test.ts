import { describe, expect, it } from 'vitest';
import { loadOf } from '../../../src/driver/graph/explain/load.js';
import { randomSource } from '../../../src/support/random.js';

describe('how evenly groups are chosen by lot', () => {
  it('is known where there is no lot', () => {
    expect(loadOf(10, 4, 4, 16)).toEqual({ mean: 10, fullest: 10, filled: 10 / 16 });
    expect(loadOf(1, 2, 1, 16)).toMatchObject({ mean: 0.5, fullest: 0.75 });
  });

  it('is what drawing many calls gives', () => {
    const [tokens, groups, chunk] = [200, 8, 16];
    const random = randomSource(3, 'load');
    let [fullest, tiles] = [0, 0];
    const calls = 2000;
    for (let call = 0; call < calls; call++) {
      const counts = Array.from({ length: groups }, () => 0);
      // Each group by itself, as the law has it.
      for (let group = 0; group < groups; group++) for (let t = 0; t < tokens; t++) if (random.uniform() < 2 / groups) counts[group]++;
      fullest += Math.max(...counts) / calls;
      tiles += counts.reduce((sum, n) => sum + Math.ceil(n / chunk), 0) / calls;
    }
    const load = loadOf(tokens, groups, 2, chunk);
    expect(load.mean).toBe(50);
    // The mean of 2000 draws with a deviation of 4 is known to 0.1.
    expect(Math.abs(load.fullest - fullest)).toBeLessThan(0.5);
    expect(Math.abs(load.filled - groups * 50 / (tiles * chunk))).toBeLessThan(0.02);
  });

  it('is near the mean where there are many rows, and far from it where there are few', () => {
    expect(loadOf(1_000_000, 8, 2, 64).fullest / 250_000).toBeLessThan(1.01);
    expect(loadOf(64, 512, 10, 64).fullest / 1.25).toBeGreaterThan(3);
  });
});
