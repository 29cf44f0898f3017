import { describe, expect, it } from 'vitest';
import { lengthFaults, ruleFaults } from '../scripts/lint.mjs';

describe('lint', () => {
  const faults = ruleFaults();
  it.skipIf(faults === undefined)(
    `the rules of .oxlintrc.json${faults === undefined ? ': oxlint is not installed' : ''}`, () => expect(faults).toEqual([]),
  );

  it('lines of at most 140 characters', () => expect(lengthFaults()).toEqual([]));
});
