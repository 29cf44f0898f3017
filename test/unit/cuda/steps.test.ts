import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { ROW } from '../../../src/ir/common/axes.js';
import { buildKernel } from '../../../src/ir/tile/build.js';
import type { TileBuffer, TileModule } from '../../../src/ir/tile/tile.js';
import { TOKENS } from '../../../src/passes/chunk/programs.js';
import { frontend } from '../../../src/passes/frontend.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { NO_EXAMPLES } from '../../examples.js';
import { compiler, emulate } from './emulate.js';
import { templates } from './templates.js';

/** The step of an example, alone. */
function stepOf(name: string, sizes: readonly number[]): TileModule {
  const path = `examples/${name}.lmoe`;
  const spec = frontend(path, readFileSync(path, 'utf8'), (file) => readFileSync(file, 'utf8')).specs[0];
  const { module } = lowerScan(spec, new Map(spec.axes.map((axis, i) => [axis.name, sizes[i % sizes.length]])), { chunk: 64 });
  const kernels = module.kernels.filter((kernel) => kernel.name === 'step');
  return { ...module, kernels, programs: { step: module.programs.step } };
}

const textOf = (module: TileModule): string => {
  const source = { hash: '', compiler: '', command: '' };
  return [...emitCuda(module, { target: 'cuda.sm90', dtype: 'bf16', source, doc: '', templates }).files.values()].join('\n');
};

describe.skipIf(NO_EXAMPLES)('steps as CUDA (skipped without the examples)', () => {
  it('access whole sectors where lanes have rows of 32 bytes', () => {
    expect(textOf(stepOf('gsa', [128, 128, 64]))).toMatch(/both\[2\]\[4\]\[4\]/);
    expect(textOf(stepOf('gsa', [64]))).toMatch(/both\[2\]\[2\]\[4\]/);
    expect(textOf(stepOf('gla', [64]))).not.toMatch(/both\[/);
  });

  it.skipIf(!compiler).each([
    ['gsa', [128, 128, 64]], ['gsa', [64]], ['gla', [64]], ['mlstm', [32]],
  ] as const)('%s of %s gives what tiles give (skipped without g++)', (name, sizes) => {
    const call = { heads: 2, groups: 1, lengths: [1, 0, 3] };
    const errors = emulate(stepOf(name, sizes), { dtype: 'bf16', plain: false, call, longest: 2, programs: ['step'], races: true });
    expect(errors.size).toBeGreaterThan(1);
    for (const [what, error] of errors) expect([what, error < 5e-3]).toEqual([what, true]);
  });
});

describe('sums over the rows of segments as CUDA', () => {
  const cells = (name: string, outer: TileBuffer['outer'], axes: readonly string[], role: TileBuffer['role']): TileBuffer => (
    { name, outer, domain: TOKENS, inner: 'once', axes, dtype: 'f32', role }
  );
  const B = { x: cells('x', 'row', ['E'], 'input'), z: cells('z', 'row', [], 'input') };
  const R = { all: cells('all', 'segment', ['E'], 'output'), sum: cells('sum', 'segment', [], 'output') };
  const summing = (E: number): TileModule => ({
    name: 'sums', chunk: 64, sizes: new Map([['E', E]]), domains: [TOKENS], buffers: [...Object.values(B), ...Object.values(R)],
    kernels: [buildKernel({ name: 'parts', doc: 'Sums.', outer: 'segment', domain: TOKENS, inner: 'once' }, (k) => {
      const total = (x: TileBuffer) => k.reduce('sum', ROW, k.keep(k.load(x)));
      const [all, sum] = k.loop('chunks', false, [k.zeros(['E']), k.zeros([])], ([a, b]) => [k.add(a, total(B.x)), k.add(b, total(B.z))]);
      k.store(R.all, all);
      k.store(R.sum, sum);
    })],
    programs: { forward: { takes: ['x', 'z'], gives: ['all', 'sum'], launches: ['parts'] } },
  });

  // Wider pieces of a row where there are blocks enough.
  it.each([[64, 32], [256, 64], [512, 128], [520, 32]])('%i columns: blocks have %i', (E, width) => {
    expect(textOf(summing(E))).toContain(`x_E = block * ${width} + lane${width === 32 ? '' : ` * ${width / 32}`};`);
  });

  it.skipIf(!compiler).each([64, 512, 520])('%i columns give what tiles give (skipped without g++)', (E) => {
    const call = { heads: 1, groups: 1, lengths: [300, 0, 70] };
    const errors = emulate(summing(E), { dtype: 'bf16', plain: false, call, longest: 4, programs: ['forward'], races: true });
    expect(errors.size).toBe(2);
    for (const [what, error] of errors) expect([what, error < 1e-5]).toEqual([what, true]);
  });
});
