import { describe, expect, it } from 'vitest';
import { compiler, runKernels } from '../../cuda/emulate.js';
import { someCall } from '../../interp/graph/make-graph.js';
import { namesOf } from '../../../../src/passes/kernels/names.js';
import { MIXTURES, mixture } from '../flow/mixtures.js';
import { resultsOf } from '../../results.js';
import { madeOf, tileCall } from './judge.js';

const LENGTHS = [7, 0, 4];
/** The token that has them. */
const AT = 8;

/** A mixture of which one token has scores that are no numbers, and the tensors that say so. */
function spoilt(one: typeof MIXTURES[number]) {
  const graph = mixture(one, true);
  const made = madeOf(graph);
  const { lowered, call, dims, buffers } = tileCall(made, someCall(graph, LENGTHS, 12, { program: 'train' }));
  const names = namesOf(made.flow, lowered);
  if ('refusals' in names) throw new Error(names.refusals.map(({ reason }) => reason).join());
  const x = buffers.get('x') ?? new Float64Array();
  const width = x.length / LENGTHS.reduce((sum, length) => sum + length, 0);
  const given = new Map([...buffers, ['x', x.map((value, i) => (Math.floor(i / width) === AT ? NaN : value))] as const]);
  return { lowered, call, dims, given, whole: buffers, tensors: names.checks.map(({ tensor }) => tensor) };
}

const cases = MIXTURES.filter(([, name]) => !['st_moe', 'remoe'].includes(name)).map((one) => ({ one, ...spoilt(one) }));
const flagged = (results: { get(name: string): ArrayLike<number> | undefined }, tensors: readonly string[]): readonly number[] => (
  [...new Set(tensors.flatMap((tensor) => Array.from(results.get(tensor) ?? []).flatMap((value, token) => (value === 0 ? [] : [token]))))]
);

describe('scores that are no numbers', () => {
  it.each(cases)('$one.1 $one.2: a choice says at which token', ({ lowered: { module }, dims, given, whole, tensors }) => {
    expect(tensors.length).toBeGreaterThan(0);
    expect(flagged(resultsOf(module, 'forward', dims, whole), tensors)).toEqual([]);
    // A balanced plan has scores of all tokens.
    expect(flagged(resultsOf(module, 'forward', dims, given), tensors)).toContain(AT);
  });

  it.skipIf(!compiler).each(cases.filter(({ one: [, name] }) => (
    ['mixtral', 'deepseek_v3', 'gshard', 'expert_choice', 'latent'].includes(name)
  )))('$one.1 as CUDA says the same, and writes nothing outside (skipped without g++)', ({ lowered: { module }, given, tensors }) => {
    const options = {
      call: { heads: 1, groups: 1, lengths: LENGTHS }, longest: 2, programs: ['forward'], given, dtype: 'f32', plain: false, orders: ['0'],
    } as const;
    const seen: (readonly number[])[] = [];
    runKernels(module, options, (_, __, results) => seen.push(flagged(results, tensors)));
    expect(seen).toEqual([[AT]]);
  });
});
