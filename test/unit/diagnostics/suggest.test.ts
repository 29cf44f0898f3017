import { describe, expect, it } from 'vitest';
import { didYouMean, editDistance, suggest } from '../../../src/diagnostics/suggest.js';

describe('suggest', () => {
  it('counts insertions, deletions, replacements and swaps', () => {
    expect(editDistance('gate', 'gate')).toBe(0);
    expect(editDistance('gate', 'gates')).toBe(1);
    expect(editDistance('gate', 'gte')).toBe(1);
    expect(editDistance('gate', 'gape')).toBe(1);
    expect(editDistance('gate', 'gaet')).toBe(1);
    expect(editDistance('', 'abc')).toBe(3);
  });

  it('takes the nearest that is near enough', () => {
    expect(suggest('sigmiod', ['sigmoid', 'log_sigmoid', 'silu'])).toBe('sigmoid');
    expect(suggest('softmin', ['sum', 'max'])).toBeUndefined();
    expect(suggest('key', ['Key', 'keys'])).toBe('Key');
  });

  it('does not turn one letter into another', () => {
    expect(suggest('x', ['q', 'k', 'v'])).toBeUndefined();
    expect(suggest('s', ['S'])).toBe('S');
  });

  it('speaks only when it has something to say', () => {
    expect(didYouMean('betta', ['beta'])).toEqual(['did you mean `beta`?']);
    expect(didYouMean('beta', ['beta'])).toEqual([]);
  });
});
