import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { buildKernel } from '../../../src/ir/tile/build.js';
import type { TileBuffer, TileModule } from '../../../src/ir/tile/tile.js';
import { TOKENS } from '../../../src/passes/chunk/programs.js';
import { compiler, emulate } from './emulate.js';
import { templates } from './templates.js';

const buffer = (name: string, outer: TileBuffer['outer'], role: TileBuffer['role'], dtype: TileBuffer['dtype'] = 'f32'): TileBuffer => (
  { name, outer, ...(outer !== 'once' && { domain: TOKENS }), inner: 'once', axes: ['E'], dtype, role }
);
const B = {
  counts: buffer('counts', 'segment', 'input'), weight: buffer('weight', 'once', 'param'), before: buffer('before', 'segment', 'output'),
  all: buffer('all', 'once', 'output'), ends: buffer('ends', 'once', 'output'),
};
/** Sums before every segment, over several rows of threads; what the loop leaves is read at other elements behind it. */
const module: TileModule = {
  name: 'loops', chunk: 4, sizes: new Map([['E', 300]]), domains: [TOKENS], buffers: Object.values(B),
  kernels: [buildKernel({ name: 'summed', doc: 'Sums.', outer: 'once', domain: TOKENS, inner: 'once' }, (k) => {
    const weight = k.exp(k.load(B.weight));
    const [all] = k.loop('segments', false, [k.add(k.zeros(['E']), weight)], ([sum]) => {
      k.store(B.before, sum);
      return [k.add(sum, k.mul(weight, k.load(B.counts)))];
    });
    k.store(B.all, all);
    k.store(B.ends, k.cumsum(all, { axis: 'E' }));
  })],
  programs: { forward: { takes: ['counts', 'weight'], gives: ['before', 'all', 'ends'], launches: ['summed'] } },
};

describe('loops whose elements have nothing to do with each other', () => {
  it('have no barrier inside', () => {
    const source = { hash: '', compiler: '', command: '' };
    const { files } = emitCuda(module, { target: 'cuda.sm90', dtype: 'f32', source, doc: '', templates });
    const text = [...files.values()].join('\n').split('loop segments')[1];
    expect(text.slice(0, text.indexOf('__syncthreads'))).toContain('c4[e] = next4[e];');
  });

  it.skipIf(!compiler).each([false, true])('give what tiles give; with races watched: %s (skipped without g++)', (races) => {
    const call = { heads: 1, groups: 1, lengths: [11, 3] };
    const errors = emulate(module, { dtype: 'f32', plain: false, call, longest: 1, programs: ['forward'], races });
    expect([...errors.keys()]).toEqual(['forward before', 'forward all', 'forward ends']);
    for (const [what, error] of errors) expect([what, error < 1e-5]).toEqual([what, true]);
  });
});
