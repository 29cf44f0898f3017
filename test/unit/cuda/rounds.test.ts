import { describe, expect, it } from 'vitest';
import { runTiles } from '../../../src/interp/tile.js';
import { buildKernel } from '../../../src/ir/tile/build.js';
import type { TileBuffer, TileModule } from '../../../src/ir/tile/tile.js';
import { TOKENS } from '../../../src/passes/chunk/programs.js';
import { compiler, runKernels } from './emulate.js';

const once = (name: string, role: TileBuffer['role']): TileBuffer => (
  { name, outer: 'once', inner: 'once', axes: [], dtype: 'f32', role }
);
const [start, many, state] = [once('start', 'param'), once('many', 'output'), once('state', 'workspace')];
const head = { doc: 'Rounds.', outer: 'once', domain: TOKENS, inner: 'once' } as const;

/** Halves a number as long as it is 1 or more, at most ten times, and then, in a kernel that is launched three times, each time again. */
const module: TileModule = {
  name: 'rounds', chunk: 4, sizes: new Map(), domains: [TOKENS], buffers: [start, many, state],
  kernels: [
    buildKernel({ ...head, name: 'halved' }, (k) => {
      const [, count] = k.rounds(1, 10, [k.load(start), k.literal(0)], ([x, n]) => [k.mul(x, k.literal(0.5)), k.add(n, k.literal(1))]);
      k.store(state, count);
    }),
    buildKernel({ ...head, name: 'again' }, (k) => k.store(state, k.add(k.load(state), k.literal(100)))),
    buildKernel({ ...head, name: 'told' }, (k) => k.store(many, k.load(state))),
  ],
  programs: { forward: { takes: ['start'], gives: ['many'], launches: ['halved', 'again', 'again', 'again', 'told'] } },
};

describe('rounds', () => {
  const cases = [[0.5, 300], [1, 301], [5, 303], [1e9, 310]] as const;

  it.each(cases)('from %s end before what is too little: %s', (from, found) => {
    const buffers = new Map([['start', Float64Array.of(from)]]);
    runTiles(module, 'forward', { heads: 1, groups: 1, runs: { token: [[0, 4]] } }, buffers);
    expect([...buffers.get('many') ?? []]).toEqual([found]);
  });

  it.skipIf(!compiler)('as CUDA, with a kernel that is launched several times (skipped without g++)', () => {
    for (const [from, wanted] of [cases[0], cases[2]]) {
      const given = new Map([['start', Float64Array.of(from)]]);
      const options = {
        dtype: 'f32', plain: false, call: { heads: 1, groups: 1, lengths: [4] }, longest: 1, programs: ['forward'], given, orders: ['0'],
      } as const;
      runKernels(module, options, (_, __, results) => expect([...results.get('many') ?? []]).toEqual([wanted]));
    }
  });
});
