import { describe, expect, it } from 'vitest';
import { createPrograms } from '../../../src/runtime/programs.js';
import { plan } from '../emit/sample.js';

function counted() {
  const dropped: number[] = [];
  let made = 0;
  const programs = createPrograms(plan, true, () => made++, (which) => dropped.push(which));
  const at = (tokens: number): number => programs.at('forward', { heads: 2, groups: 2, lengths: [tokens, 7] });
  return { programs, at, dropped };
}

describe('what a device makes for the sizes of a call', () => {
  it('is made once while sizes stay, whoever holds the list of lengths', () => {
    const { programs, at } = counted();
    expect([at(5), at(5), at(6), at(5)]).toEqual([0, 0, 1, 0]);
    const lengths = [5, 7];
    const before = programs.at('forward', { heads: 2, groups: 2, lengths });
    lengths[1] = 8;
    expect(programs.at('forward', { heads: 2, groups: 2, lengths })).not.toBe(before);
    expect(programs.at('forward', { heads: 4, groups: 2, lengths: [5, 7] })).not.toBe(before);
    expect(programs.at('backward', { heads: 2, groups: 2, lengths: [5, 7] })).not.toBe(before);
  });

  it('gives back what was not asked for the longest', () => {
    const { programs, at, dropped } = counted();
    for (let tokens = 1; tokens <= 8; tokens++) at(tokens);
    at(1);
    at(9);
    expect(dropped).toEqual([1]);
    programs.release();
    expect([...dropped].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });
});
