import { describe, expect, it } from 'vitest';
import { loadedBuffers, storedBuffers } from '../../../src/ir/tile/buffers.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { compareTiles } from '../../property/tiles.js';
import { DELAYS } from './delay-scans.js';
import { draw, specOf } from './scans.js';

const sizesOf = (names: readonly string[]) => new Map(names.map((name, i) => [name, [3, 5, 4][i]]));

describe('tokens before', () => {
  for (const [name, text] of Object.entries(DELAYS)) {
    it(`agree with the meaning: ${name}`, () => {
      const spec = specOf(text);
      const sizes = sizesOf(spec.axes.map((axis) => axis.name));
      for (const [chunk, longest] of [[4, 2], [16, 1], [64, 1]]) {
        const { call, given, cotangents } = draw(spec, sizes, [17, 0, 1, 2, 3, 9, 4, 5], chunk);
        const { errors } = compareTiles(
          spec, call, given, cotangents,
          { chunk, longest, slides: chunk !== 64, ...(chunk === 16 ? { fits: () => false, inlineScores: 'all' } : {}) },
        );
        expect([...errors].filter(([, error]) => !(error < 1e-10)), `chunks of ${chunk}`).toEqual([]);
      }
    });
  }

  it('need no scan of their own', () => {
    for (const [name, text] of Object.entries(DELAYS).slice(0, -2)) {
      const spec = specOf(text);
      const { scan } = lowerScan(spec, sizesOf(spec.axes.map((axis) => axis.name)));
      const carried = spec.states.filter((_, state) => !scan?.roots.some(
        (root) => root.kind === 'final' && root.state === state
      )).map((state) => state.name);
      expect(carried, name).toEqual(carried.filter((state) => state === 'S' || state === 'h'));
    }
  });

  it('of a convolution are loaded where it is computed once, and its cotangent is left once', () => {
    const spec = specOf(DELAYS['a convolution of four taps']);
    const { module } = lowerScan(spec, new Map([['N', 16], ['P', 16]]));
    const shifted = (program: 'forward' | 'backward') => module.programs[program].launches.filter((name) => (
      module.kernels.find((kernel) => kernel.name === name)?.body.some(
        (stmt) => stmt.kind === 'let' && stmt.op.op === 'load' && stmt.op.back !== undefined
      )));
    expect(shifted('forward')).toEqual(['h_prepare']);
    expect(shifted('backward')).toEqual(['h_prepare_2', 'h_gradients', 'gradients']);
    expect(module.buffers.filter((buffer) => buffer.name.startsWith('ws.kept'))).toHaveLength(1);
  });

  describe('of which the first walk over a segment makes a convolution', () => {
    const OPTIONS = { slides: true, walksMake: true, inlineScores: 'diagonal' } as const;
    const made = (text: string) => {
      const spec = specOf(text);
      const sizes = new Map([['N', 3], ['P', 8]]);
      const { module } = lowerScan(spec, sizes, OPTIONS);
      return { spec, sizes, module, launched: module.programs };
    };
    const conv = DELAYS['a convolution of four taps'];

    it('and stores it, or a kernel where no run is cut, for all that read it', () => {
      const { module } = made(conv);
      for (const program of ['forward', 'backward'] as const) {
        const kernels = module.programs[program].launches.map((name) => module.kernels.find((kernel) => kernel.name === name));
        const stored = kernels.flatMap((kernel) => (
          kernel !== undefined && storedBuffers(kernel.body).some((name) => name.startsWith('ws.value')) ? [kernel] : []
        ));
        expect(stored.map(({ name, cut, idle }) => [name, cut, idle]), program).toEqual([
          ['h_values', false, undefined], ['h_ends', true, undefined],
        ]);
        const [value] = storedBuffers(stored[0].body);
        const readers = kernels.filter((kernel) => kernel !== undefined && loadedBuffers(kernel.body).includes(value));
        expect(readers.map((kernel) => kernel?.name), program).toEqual(
          program === 'forward' ? ['h_walk'] : ['h_states', 'h_gradients'],
        );
      }
    });

    it.each([1, 2, 99])('agree with the meaning, at most %i chunks a segment', (longest) => {
      const { spec, sizes } = made(conv);
      for (const chunk of [4, 16, 64]) {
        const { call, given, cotangents } = draw(spec, sizes, [17, 0, 1, 2, 3, 9, 4, 5], chunk);
        const { errors } = compareTiles(spec, call, given, cotangents, { ...OPTIONS, chunk, longest });
        expect([...errors].filter(([, error]) => !(error < 1e-10)), `chunks of ${chunk}`).toEqual([]);
      }
    });

    it.each([
      ['more work than a chunk has time for', conv.replace('silu(', 'silu(tanh(').replace('x2[t-1])', 'x2[t-1]))')],
      ['of two tensors', conv.replace('c1 * x1', 'c1 * x1 * sigmoid(z)').replace('dt: []', 'dt: [], z: [P]')],
      ['not of the token itself', conv.replace('c0 * x + ', '')],
    ])('not: %s', (_, text) => {
      expect(made(text).launched.forward.launches).toContain('h_prepare');
    });
  });

  it('of a convolution are nothing to the gradients of its scan where kernels make what lies near their rows themselves', () => {
    const spec = specOf(DELAYS['a convolution of four taps']);
    const { module } = lowerScan(spec, new Map([['N', 16], ['P', 16]]), { slides: true });
    const loadsOf = (name: string) => module.kernels.filter((kernel) => kernel.name === name).flatMap(({ body }) => body.flatMap(
      (stmt) => (stmt.kind === 'let' && stmt.op.op === 'load' ? [`${stmt.op.buffer} ${stmt.op.back ?? 0}`] : [])
    ));
    expect(loadsOf('h_gradients').filter((load) => load.startsWith('x '))).toEqual([]);
    const kept = module.buffers.filter((buffer) => buffer.name.startsWith('ws.kept')).map(({ name }) => name);
    expect(kept).toHaveLength(1);
    const rows = (name: string, backs: readonly number[]) => backs.map((back) => `${name} ${back}`);
    const near = [...rows('x', [3, 2, 1, 0, -1, -2, -3]), ...rows(kept[0], [0, -1, -2, -3])];
    expect(loadsOf('gradients')).toEqual(expect.arrayContaining(near));
    expect(module.buffers.filter(({ role, name }) => role === 'workspace' && name.includes('adjoint'))).toEqual([]);
  });
});
