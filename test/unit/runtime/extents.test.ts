import { describe, expect, it } from 'vitest';
import { extentsOf, polynomial, product, tableOf } from '../../../src/runtime/extents.js';
import { RuntimeError } from '../../../src/runtime/runtime.js';
import { TOKEN_ROWS } from '../rows.js';

const plan = { ...TOKEN_ROWS, chunk: 4, segmentation: { programs: 1, least: 1 } };
const call = { heads: 6, groups: 2, lengths: [5, 0, 8] };

describe('extents of a call', () => {
  it('counts tokens and chunks; a short chunk is one, an empty sequence none', () => {
    expect(extentsOf(plan, call)).toEqual({ tokens: 13, heads: 6, groups: 2, sequences: 3, chunks: 4, segments: 3 });
  });

  it('multiplies and adds', () => {
    const extents = extentsOf(plan, call);
    expect(product(['chunks', 'heads', 2], extents)).toBe(48);
    expect(product([], extents)).toBe(1);
    expect(polynomial([['tokens', 3], ['groups']], extents)).toBe(41);
  });

  it('lists sequences and chunks with their tokens', () => {
    expect([...tableOf(plan, 'sequences', call)]).toEqual([0, 5, 0, 2, 0, 1, 5, 5, 2, 0, 1, 1, 5, 13, 2, 2, 2, 1]);
    expect([...tableOf(plan, 'chunks', call)]).toEqual([0, 0, 4, 0, 0, 4, 1, 1, 2, 5, 4, 0, 2, 9, 4, 1]);
  });

  it('cuts long sequences into segments, the longer ones first, as many as there are programs for', () => {
    const long = { heads: 2, groups: 2, lengths: [28, 4] };
    const cut = { ...plan, segmentation: { programs: 4, least: 1 } };
    // 8 chunks x 2 heads for 4 programs: 4 chunks each at most.
    expect(extentsOf(cut, long).segments).toBe(3);
    expect([...tableOf(cut, 'segments', long)]).toEqual([0, 0, 4, 0, 0, 4, 3, 1, 1, 7, 1, 0]);
    expect(extentsOf({ ...cut, segmentation: { programs: 1000, least: 7 } }, long).segments).toBe(2);
  });

  it('makes no more segments than run at once, where segments of less than twice the length can do with them', () => {
    const cut = { ...plan, segmentation: { programs: 64, least: 8, pays: 4 } };
    const segments = (heads: number, chunks: readonly number[], pays = 4) => {
      const call = { heads, groups: heads, lengths: chunks.map((count) => 4 * count) };
      const table = [...tableOf({ ...cut, segmentation: { ...cut.segmentation, pays } }, 'segments', call)];
      return table.filter((_, i) => i % 4 === 2);
    };
    // 65 chunks at most were nine of them, which are 72 programs.
    expect(segments(8, [313, 141, 59], 1)).toEqual([63, 63, 63, 62, 62, 47, 47, 47, 59]);
    expect(segments(8, [313, 141, 59])).toEqual([63, 63, 63, 62, 62, 71, 70, 59]);
    expect(segments(8, [512])).toEqual(Array(8).fill(64));
    expect(segments(12, [512])).toEqual([103, 103, 102, 102, 102]);
    // Short runs would make one of two segments of the long one: they stay as many as they are.
    expect(segments(8, [256, ...Array(7).fill(8) as number[]])).toEqual([37, 37, 37, 37, 36, 36, 36, ...Array(7).fill(8) as number[]]);
    expect(segments(64, [512, 8])).toEqual([512, 8]);
  });

  it('cuts none where the longest has not so many segments as pay', () => {
    const segments = (pays: number, lengths: readonly number[]) => extentsOf(
      { ...plan, segmentation: { programs: 4, least: 1, pays } }, { heads: 1, groups: 1, lengths },
    ).segments;
    // 16 chunks for 4 programs: 4 each, of which the longest sequence has 3 times as many.
    expect([1, 3, 4].map((pays) => segments(pays, [48, 16]))).toEqual([4, 4, 2]);
    expect(segments(4, [64])).toBe(4);
    expect(segments(4, [])).toBe(0);
  });

  it('refuses sizes that are none', () => {
    const cases: readonly [object, string][] = [
      [{ heads: 2.5 }, 'heads is the number 2.5'], [{ heads: 0 }, 'heads is the number 0'], [
        { groups: NaN }, 'groups is the number NaN',
      ], [{ heads: '6' }, "heads is the text '6'"],
      [{ heads: 3 }, '3 heads cannot share 2 groups'], [
        { lengths: [4, 1.5] }, 'lengths holds the number 1.5 at entry 1',
      ], [{ lengths: [-1] }, 'lengths holds the number -1 at entry 0'],
      [{ lengths: null }, 'lengths is null'], [{ lengths: [NaN] }, 'lengths holds the number NaN at entry 0'],
    ];
    for (const [change, message] of cases) {
      const made = () => extentsOf(plan, { ...call, ...change });
      expect(made).toThrow(RuntimeError);
      expect(made).toThrow(message);
    }
  });
});
