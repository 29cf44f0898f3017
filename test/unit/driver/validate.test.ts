import { describe, expect, it } from 'vitest';
import { validate, type AnyTensor } from '../../../src/driver/run/validate.js';
import { signatureOf } from '../../../src/ir/spec/signature.js';
import { spec } from '../emit/sample.js';

const zeros = (...shape: number[]): AnyTensor => ({ dtype: 'f32', shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) });
const good = (): Map<string, AnyTensor> => new Map([
  ['q', zeros(2, 5, 2, 3)], ['v', zeros(2, 5, 4, 6)], ['g', zeros(2, 5, 4)], ['A_log', zeros(4)],
]);
const titles = (tensors: ReadonlyMap<string, AnyTensor>): string[] => {
  const result = validate(signatureOf(spec), tensors);
  return 'problems' in result ? result.problems.map((p) => `${p.code} ${p.title}`) : [];
};
const changed = (name: string, tensor: AnyTensor | undefined): Map<string, AnyTensor> => {
  const tensors = good();
  if (tensor === undefined) tensors.delete(name);
  else tensors.set(name, tensor);
  return tensors;
};

describe('tensors of a run', () => {
  it('reads all sizes off the shapes', () => {
    const result = validate(signatureOf(spec), good());
    if ('problems' in result) throw new Error(JSON.stringify(result.problems));
    expect(result.call).toMatchObject({ batch: 2, tokens: 5, heads: 4, groups: 2, lengths: [5, 5] });
    expect([...result.call.sizes]).toEqual([['K', 3], ['V', 6]]);
  });

  it('takes states, cotangents and reference results that lie in the file', () => {
    const tensors = good();
    const more = [['S', zeros(2, 4, 3, 6)], ['d_S', zeros(2, 4, 3, 6)], ['d_final.h', zeros(2, 4, 6)], ['expect.o', zeros(1)]] as const;
    for (const [name, tensor] of more) tensors.set(name, tensor);
    expect(titles(tensors)).toEqual([]);
  });

  it('names the tensor, the expected and the found shape', () => {
    expect(titles(changed('v', undefined))).toEqual(['E501 input `v` is missing: expected [B, T, H, V]']);
    expect(titles(changed('x', zeros(1)))).toEqual(['E502 `x` is no tensor of `two_faced`']);
    expect(titles(changed('v', zeros(2, 5, 24))))
      .toEqual(['E503 `v` has the wrong number of extents: expected [B, T, H, V], found [2, 5, 24]']);
    expect(titles(changed('v', zeros(2, 6, 4, 6))))
      .toEqual(['E503 `v` has the wrong shape: expected [B, T, H, V] = [2, 5, ?, ?], found [2, 6, 4, 6]']);
    expect(titles(changed('A_log', zeros(3)))).toEqual(['E503 `A_log` has the wrong shape: expected [H] = [4], found [3]']);
    expect(titles(changed('q', zeros(2, 5, 3, 3)))[0]).toMatch(/4 heads cannot share 3 groups/);
    expect(titles(changed('S', zeros(3, 4, 3, 6)))[0]).toMatch(/`S` has 3 sequences.*the batch has 2/);
  });

  it('finds NaN and says where; infinities may be meant', () => {
    const g = zeros(2, 5, 4);
    const data = new Float32Array(g.data);
    data[5 * 4 + 6] = NaN;
    expect(titles(changed('g', { ...g, data }))).toEqual(['E504 `g` [2, 5, 4] has a NaN at [1, 1, 2]']);
    data[5 * 4 + 6] = -Infinity;
    expect(titles(changed('g', { ...g, data }))).toEqual([]);
  });

  it('checks the offsets of packed sequences', () => {
    const packed = (dtype: string, ...offsets: number[]): Map<string, AnyTensor> => new Map([
      ['q', zeros(1, 5, 2, 3)], ['v', zeros(1, 5, 4, 6)], ['g', zeros(1, 5, 4)], ['A_log', zeros(4)],
      ['cu_seqlens', { dtype, shape: [offsets.length], data: offsets }],
    ]);
    expect(titles(packed('i64', 0, 2, 5))).toEqual([]);
    expect(titles(packed('f32', 0, 5))[0]).toMatch(/must be int32 or int64/);
    expect(titles(packed('i32', 1, 5))[0]).toMatch(/must start at 0, found 1/);
    expect(titles(packed('i32', 0, 4, 3, 5))[0]).toMatch(/decreases from 4 to 3 at entry 2/);
    expect(titles(packed('i32', 0, 4))[0]).toMatch(/ends at 4, but there are 5 tokens/);
    expect(titles(changed('cu_seqlens', { dtype: 'i32', shape: [2], data: [0, 5] }))[0]).toMatch(/batch must be 1, found 2/);
  });

  it('warns of values outside of the stated range', () => {
    const g = zeros(2, 5, 4);
    const data = new Float32Array(g.data);
    data[3] = 0.5;
    const result = validate(signatureOf(spec), changed('g', { ...g, data }));
    expect(
      'warnings' in result ? result.warnings : []
    ).toEqual(['1 values of `g` lie outside of its range -inf..0 (the first is 0.5); kernels may lose digits there']);
  });

  it('names a few of very many strangers, once', () => {
    const tensors = good();
    for (let i = 0; i < 100_000; i++) tensors.set(`stranger_${i}`, zeros(1));
    const found = titles(tensors);
    expect(found).toEqual([expect.stringMatching(/^E502 `stranger_0`, .*`stranger_7` and 99992 more are no tensors of `two_faced`$/)]);
    const result = validate(signatureOf(spec), tensors);
    expect('problems' in result && JSON.stringify(result.problems).length).toBeLessThan(600);
  });
});
