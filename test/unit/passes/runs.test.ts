import { describe, expect, it } from 'vitest';
import { emitWgsl } from '../../../src/backends/wgsl/emit.js';
import { ROW } from '../../../src/ir/common/axes.js';
import { isRows } from '../../../src/ir/tile/domain.js';
import { compareTiles } from '../../property/tiles.js';
import { compiler, emulate } from '../cuda/emulate.js';
import { judgeFile } from '../cuda/tensor-runs.js';
import { plain } from '../wgsl/templates.js';
import { draw, specOf } from './scans.js';

/** Every channel-state pair decays on its own; B and C belong to all channels, and so do their gradients, which sum over them. */
const SELECTIVE = `scan s(x, dt, z: [D] in 0..1, B, C: [N]) -> y: [D] {
  param A_log: [D, N], skip: [D]
  state h: [D, N]
  h = exp(-dt * exp(A_log)) * h[t-1] + outer(dt * x, B)
  y = (h @ C + skip * x) * silu(z)
}`;

const sized = (D: number) => new Map([['D', D], ['N', 3]]);
const drawn = (D: number) => draw(specOf(SELECTIVE), sized(D), [17, 0, 1, 9], 4);

describe('gradients that sum over the axis along which a scan is split', () => {
  it.each([[8, 4, 4], [12, 8, 4], [16, 8, 8], [5, 4, 1]])('%i channels, runs of up to %i', (D, runs, length) => {
    const { call, given, cotangents } = drawn(D);
    const { errors, module } = compareTiles(specOf(SELECTIVE), call, given, cotangents, { chunk: 16, runs });
    expect([...errors].filter(([, error]) => !(error < 1e-10))).toEqual([]);
    const whole = module.buffers.filter((buffer) => isRows(buffer) && buffer.axes.includes('D') && buffer.axes.includes('N'));
    expect(whole.length === 0).toBe(length > 1);
    const left = module.buffers.filter((buffer) => isRows(buffer) && buffer.axes.includes(`D/${length}`));
    expect(left.map(({ axes }) => axes)).toEqual(length > 1 ? [[`D/${length}`, 'N'], [`D/${length}`, 'N']] : []);
  });

  it('are summed from states by those who need them before the scan leaves them', () => {
    const spec = specOf(`scan s(x: [D], y: [E], z: [D, E]) -> o: [D] {
      state h: [D, E]
      h = 0.5 * h[t-1] + z
      o = (x @ h + y) @ h
    }`);
    for (const [D, E] of [[4, 2], [2, 4], [4, 4]]) {
      const { call, given, cotangents } = draw(spec, new Map([['D', D], ['E', E]]), [17, 0, 1, 9], 4);
      const { errors } = compareTiles(spec, call, given, cotangents, { chunk: 16, runs: 16 });
      expect([...errors].filter(([, error]) => !(error < 1e-10))).toEqual([]);
    }
  });

  it('are left by one scan where the results of two are in what is summed', () => {
    const spec = specOf(`scan s(x: [R], w: [E]) -> T: [R] {
      state S: [R, E], T: [R]
      S = outer(x, w)
      T = w @ S[t-1]
    }`);
    for (const [R, E] of [[4, 2], [2, 4], [4, 4]]) {
      const { call, given, cotangents } = draw(spec, new Map([['R', R], ['E', E]]), [17, 0, 1, 9], 4);
      const { errors } = compareTiles(spec, call, given, cotangents, { chunk: 16, runs: 16 });
      expect([...errors].filter(([, error]) => !(error < 1e-10))).toEqual([]);
    }
  });

  it('are as they were where nobody asks for it', () => {
    const { call, given, cotangents } = drawn(8);
    const { errors, module } = compareTiles(specOf(SELECTIVE), call, given, cotangents, { chunk: 16 });
    expect([...errors].filter(([, error]) => !(error < 1e-10))).toEqual([]);
    expect(module.kernels.flatMap(({ tiles }) => tiles).some(({ axes }) => axes.includes(ROW) && axes.includes('D/8'))).toBe(false);
  });

  it('have kernels for WebGPU', () => {
    const { call, given, cotangents } = drawn(8);
    const { module } = compareTiles(specOf(SELECTIVE), call, given, cotangents, { chunk: 16, runs: 4 });
    const { files } = emitWgsl(module, { ...plain, dtype: 'f32' });
    expect([...files.values()].some((text) => /runs\[D, 4\]/.test(text))).toBe(true);
  });

  it.skipIf(!compiler)('run in 16 bits as the command line compiles them (skipped where g++ is missing)', async () => {
    const { failed, errors } = await judgeFile('test/programs/selective.lmoe', {
      sizes: [64, 16], target: 'cuda.sm90', lengths: [70, 5], orders: ['0'], races: false,
    });
    expect(failed).toEqual([]);
    expect([...errors.keys()]).toContain('backward d_B');
  });

  it.skipIf(!compiler)('have plain kernels of as many channels (skipped where g++ is missing)', () => {
    for (const D of [8, 48]) {
      const { call, given, cotangents } = drawn(D);
      const { module } = compareTiles(specOf(SELECTIVE), call, given, cotangents, { chunk: 16, runs: 8 });
      const errors = emulate(module, {
        dtype: 'f32', plain: false, call, longest: 1, programs: ['forward', 'backward', 'step'], given: new Map([...given, ...cotangents]),
      });
      expect([...errors].filter(([, error]) => !(error < 1e-4))).toEqual([]);
      expect(errors.size).toBeGreaterThan(4);
    }
  });
});
