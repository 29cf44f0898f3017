import { describe, expect, it } from 'vitest';
import { cudaTarget } from '../../../src/driver/devices.js';

describe('cudaTarget', () => {
  it.each([
    [8, 0, 'cuda.sm80'], [8, 6, 'cuda.sm86'], [8, 7, 'cuda.sm80'], [8, 9, 'cuda.sm86'],
    [9, 0, 'cuda.sm90'], [10, 0, 'cuda.sm80'], [12, 0, 'cuda.sm86'],
  ] as const)('of %i.%i is %s', (major, minor, target) => {
    expect(cudaTarget({ major, minor })).toBe(target);
  });
});
