import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../../src/backends/cuda/emit.js';
import { emitWgsl } from '../../../../src/backends/wgsl/emit.js';
import { extentsOf } from '../../../../src/runtime/extents.js';
import { launchesOf } from '../../../../src/runtime/programs.js';
import { compiler, emulate } from '../../cuda/emulate.js';
import { templates } from '../../cuda/templates.js';
import { someCall } from '../../interp/graph/make-graph.js';
import { plain } from '../../wgsl/templates.js';
import { MIXTURES, mixture } from '../flow/mixtures.js';
import { judgeKernels, madeOf, runForward, tileCall } from './judge.js';

/** One of them has the sizes of its paper. */
const SMALL = MIXTURES.filter(([, , numbers]) => 'D' in numbers);
const OLMOE = MIXTURES.filter(([, name]) => name === 'olmoe');
const source = { hash: '', compiler: '', command: '' };

describe('kernels of few rows', () => {
  it.each(SMALL.map((one) => ({ name: one[1], one })))('of $name give what the flow gives, of one chunk and of one token', ({ one }) => {
    const graph = mixture(one, true);
    const made = madeOf(graph);
    for (const lengths of [[3], [1]]) judgeKernels(made, someCall(graph, lengths, 5, { program: 'train' }));
  });

  it('count, number and sum in one launch each, where there is one chunk, and only there', () => {
    const { lowered } = madeOf(mixture(OLMOE[0], true), 64);
    const { module } = lowered ?? expect.fail();
    const { plan } = emitCuda(module, { target: 'cuda.sm90', dtype: 'bf16', source, doc: '', templates });
    const launched = (lengths: readonly number[]): readonly string[] => (
      launchesOf(plan, 'forward', extentsOf(plan, { heads: 1, groups: 1, lengths })).map(({ kernel }) => kernel)
    );
    const [few, many] = [launched([64]), launched([65])];
    const differ = (a: readonly string[], b: readonly string[]): readonly string[] => a.filter((name) => !b.includes(name));
    // What counts and lists, sums of losses; with rows so short scores are made where they are chosen among.
    const inOne = 'forward_count_of_tokens_in_one';
    expect(differ(few, many)).toEqual([inOne, 'forward2_at_once']);
    expect(plan.kernels.find(({ name }) => name === inOne)).toMatchObject({
      doc: 'Of few rows, one after the other: forward_count_of_tokens, forward1_at_once, tables_of_group1s, forward1_lists.',
      grid: [[1], [1], [1]],
    });
    expect(differ(many, few)).toEqual([
      'forward_count_of_tokens', 'forward1_counts', 'forward1_offsets', 'tables_of_group1s', 'forward1_places', 'forward1_lists',
      'forward2_parts', 'forward2', 'forward3',
    ]);
    // Where lists are written out it is one kernel after the other.
    expect(emitWgsl(module, { ...plain, dtype: 'f32' }).plan.programs.forward.few).toBeUndefined();
  });

  it.skipIf(!compiler)('give as CUDA what tiles give (skipped without g++)', () => {
    const graph = mixture(OLMOE[0], true);
    const made = madeOf(graph);
    const call = tileCall(made, someCall(graph, [3], 12, { program: 'train' }));
    const given = new Map(call.buffers);
    runForward(call, given);
    const sizes = { heads: 1, groups: 1, lengths: [3] };
    const errors = emulate(call.lowered.module, {
      dtype: 'f32', plain: false, call: sizes, longest: 1, programs: ['forward', 'backward'], given, orders: ['0', '1'], races: true,
    });
    expect(errors.size).toBeGreaterThan(4);
    for (const [what, error] of errors) expect([what, error < 1e-5]).toEqual([what, true]);
  });
});
