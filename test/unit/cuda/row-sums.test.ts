import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import type { CudaTarget } from '../../../src/backends/cuda/lowered.js';
import { ROW } from '../../../src/ir/common/axes.js';
import type { IoDtype } from '../../../src/ir/common/dtype.js';
import { buildKernel, type KernelBuilder, type KernelHead } from '../../../src/ir/tile/build.js';
import type { TileBuffer, TileId, TileKernel, TileModule } from '../../../src/ir/tile/tile.js';
import { verifyTiles } from '../../../src/ir/tile/verify.js';
import { scanPrograms, TOKENS } from '../../../src/passes/chunk/programs.js';
import { SLOTS } from '../mixture.js';
import { rowsCopied } from '../../../src/backends/cuda/tensor-cores/rows-copied.js';
import { compiler, emulate, type EmulateOptions } from './emulate.js';
import { templates } from './templates.js';

const rows = (name: string, axes: readonly string[], dtype: TileBuffer['dtype'] = 'io', domain = TOKENS): TileBuffer => (
  { name, outer: 'row', domain, inner: 'once', axes, dtype, role: 'input' }
);
const sum = (name: string, outer: 'once' | 'run' | 'segment', axes: readonly string[]): TileBuffer => (
  { name, outer, ...(outer !== 'once' && { domain: SLOTS }), inner: 'once', axes, dtype: 'f32', role: 'output' }
);
const [x, z, p] = [rows('x', ['D']), rows('z', ['F']), rows('p', ['E'], 'f32')];
const [w, s, r] = [rows('w', [], 'f32', SLOTS), rows('s', ['F'], 'io', SLOTS), rows('r', ['F'], 'io', SLOTS)];
const source: TileBuffer = { name: 'source', outer: 'row', domain: SLOTS, inner: 'once', axes: [], dtype: 'i32', role: 'input' };

interface Summed {
  readonly outer: KernelHead['outer'];
  /** What is stored, and what each chunk adds to it. */
  readonly sums: readonly (readonly [TileBuffer, (k: KernelBuilder) => TileId])[];
}

function moduleOf(name: string, sizes: readonly [number, number], { outer, sums }: Summed): TileModule {
  const results = sums.map(([buffer]) => buffer);
  const head: KernelHead = {
    name, doc: 'Sums over rows.', outer, domain: outer === 'once' ? TOKENS : SLOTS, inner: 'once',
    split: results[0].axes.includes('F') ? 'F' : 'D',
  };
  const kernel = buildKernel(head, (k) => {
    const made = k.loop('chunks', false, results.map(({ axes }) => k.zeros(axes)), (totals) => (
      totals.map((total, i) => k.add(total, sums[i][1](k)))
    ));
    results.forEach((buffer, i) => k.store(buffer, made[i]));
  });
  const all = [x, z, p, w, s, r, source, ...results];
  return {
    name, chunk: 64, sizes: new Map([['D', sizes[0]], ['F', sizes[1]], ['E', 5]]), domains: [TOKENS, SLOTS], buffers: all,
    kernels: [kernel], programs: scanPrograms(all, { forward: [name] }),
  };
}

const product = (k: KernelBuilder, a: TileId, b: TileId): TileId => k.contract(k.keep(a), k.keep(b), ROW);
const one = sum('y', 'once', ['D', 'F']);
/** Gradients of weights: sums of products of rows, over all rows or over those of an expert. */
const SUMS: Readonly<Record<string, Summed>> = {
  dense: { outer: 'once', sums: [[one, (k) => product(k, k.load(x), k.load(z))]] },
  scores: { outer: 'once', sums: [[sum('y', 'once', ['D', 'E']), (k) => product(k, k.load(p), k.load(x))]] },
  experts: { outer: 'run', sums: [[sum('y', 'run', ['F', 'D']), (k) => product(k, k.gather(x, source), k.load(s))]] },
  segments: { outer: 'segment', sums: [[sum('y', 'segment', ['D', 'F']), (k) => product(k, k.gather(x, source), k.load(s))]] },
  both: {
    outer: 'run', sums: [
      [sum('y', 'run', ['D', 'F']), (k) => product(k, k.load(s), k.gather(x, source))],
      [sum('yy', 'run', ['D', 'F']), (k) => product(k, k.load(r), k.gather(x, source))],
    ],
  },
  worked: {
    outer: 'run', sums: [[sum('y', 'run', ['D', 'F']), (k) => product(k, k.gather(x, source), k.mul(k.load(w), k.exp(k.load(s))))]],
  },
};

const LENGTHS = [70, 0, 99];
/** Experts of several chunks and of none; tokens of several slots, slots of none. */
const COUNTS = [3, 0, 300, 40];
const TOKEN_OF = Float64Array.from({ length: 343 }, (_, slot) => (slot % 5 === 2 ? -1 : (slot * 37) % 169));
const call = { heads: 1, groups: 1, lengths: LENGTHS, others: { slot: COUNTS } };

const lowered = (module: TileModule, target: CudaTarget, dtype: IoDtype) => emitCuda(
  module, { target, dtype, source: { hash: '', compiler: '', command: '' }, doc: '', templates },
).plan.kernels.map(({ lowering, plainWhy }) => plainWhy ?? lowering);

describe('sums of products over rows', () => {
  it.each(Object.keys(SUMS))('have tensor cores on every architecture: %s', (name) => {
    const module = moduleOf(name, [4096, 11008], SUMS[name]);
    expect(verifyTiles(module)).toEqual([]);
    for (const target of ['cuda.sm80', 'cuda.sm86', 'cuda.sm90'] as const) {
      const copied = target === 'cuda.sm90' && name !== 'dense' && name !== 'scores' && name !== 'worked' ? ['rows'] : [];
      expect(lowered(module, target, 'bf16')).toEqual([...copied, 'tensor cores']);
    }
  });

  it('that share an operand are one product on sm_90a, whichever side it is on', () => {
    for (const [D, F] of [[4096, 11008], [11008, 4096]] as const) {
      const { files } = emitCuda(moduleOf('both', [D, F], SUMS.both), {
        target: 'cuda.sm90', dtype: 'bf16', source: { hash: '', compiler: '', command: '' }, doc: '', templates,
      });
      const text = [...files.values()].join('\n');
      expect([...text.matchAll(/pipe_mma<(\d+), 64, true, 64, true>/g)].map(([, columns]) => columns)).toEqual(['256']);
    }
  });

  it('leave sums of columns to others, and are plain in f32', () => {
    const columns: Summed = {
      outer: 'once', sums: [
        [one, (k) => product(k, k.load(x), k.load(z))], [sum('yy', 'once', ['F']), (k) => k.reduce('sum', ROW, k.keep(k.load(z)))],
      ],
    };
    expect(lowered(moduleOf('columns', [256, 256], columns), 'cuda.sm90', 'bf16')).toEqual(['tensor cores', 'registers']);
    expect(lowered(moduleOf('dense', [256, 256], SUMS.dense), 'cuda.sm90', 'f32')).toEqual(['f32 operands']);
  });
});

describe.skipIf(!compiler)('sums of products over rows against the tile interpreter (skipped where g++ is missing)', () => {
  const run = (name: string, sizes: readonly [number, number], target: CudaTarget, dtype: IoDtype, races = false) => {
    const module = moduleOf(name, sizes, SUMS[name]);
    expect(lowered(module, target, dtype)).toEqual(['tensor cores']);
    check(name, module, target, dtype, races);
  };
  const check = (name: string, module: TileModule, target: CudaTarget, dtype: IoDtype, races: boolean, spoil?: EmulateOptions['spoil']) => {
    const errors = emulate(module, {
      dtype, target, plain: false, call, longest: 2, programs: ['forward'], orders: races ? ['0'] : ['0', '1'],
      given: new Map([['source', TOKEN_OF]]), races, ...(spoil && { spoil }),
    });
    expect([...errors.keys()]).toEqual(SUMS[name].sums.map(([{ name: of }]) => `forward ${of}`));
    expect([...errors].filter(([, error]) => !(error < 5e-3))).toEqual([]);
  };
  it('all rows, of several sequences', () => run('dense', [136, 200], 'cuda.sm80', 'bf16'));
  it('few rows of the result, an operand in f32', () => run('scores', [136, 64], 'cuda.sm90', 'bf16'));
  it('the rows of each expert, gathered', () => run('experts', [136, 72], 'cuda.sm80', 'bf16'));
  it('the same by wgmma', () => run('experts', [200, 264], 'cuda.sm90', 'f16'));
  it('the rows of each segment', () => run('segments', [136, 72], 'cuda.sm80', 'bf16'));
  it('two sums that share an operand', () => run('both', [264, 136], 'cuda.sm90', 'bf16'));
  it('operands that f16 has no room for as they are', () => {
    run('scores', [136, 64], 'cuda.sm80', 'f16');
    run('worked', [72, 72], 'cuda.sm90', 'f16');
  });
  it('operands that are worked out', () => run('worked', [72, 72], 'cuda.sm80', 'bf16'));
  it('without a race in shared memory', () => run('both', [136, 72], 'cuda.sm90', 'bf16', true));
  it('of rows that are copied first, steps of fewer rows by all that copy', () => {
    const without = (name: string, sizes: readonly [number, number], pattern: RegExp, instead: string) => {
      const module = rowsCopied(moduleOf(name, sizes, SUMS[name]), 0);
      expect(lowered(module, 'cuda.sm90', 'bf16')).toEqual(['rows', 'tensor cores']);
      const changed: boolean[] = [];
      const run = () => check(name, module, 'cuda.sm90', 'bf16', true, (text) => {
        changed.push(pattern.test(text));
        return text.replace(pattern, instead);
      });
      return { run, changed };
    };
    const unfenced = '{ cp_commit(); cp_wait<0>(); bar_sync(3, 128); if (t == 0) bar_arrive(bar); }';
    const fence = without('experts', [72, 72], /pipe_brought<128>\(bar, 3, t\);/, unfenced);
    expect(fence.run).toThrow(/without a fence/);
    // A ring of few stages, which are soon in use again.
    const barrier = without('both', [136, 328], /if \(length < 64\) bar_sync\(3, 128\);/, '');
    expect(barrier.run).toThrow();
    for (const { changed } of [fence, barrier]) expect(changed).toContain(true);
  });
  it('out of a ring, steps of fewer rows too', () => {
    run('dense', [136, 200], 'cuda.sm90', 'bf16');
    run('segments', [136, 328], 'cuda.sm90', 'bf16');
    run('experts', [136, 72], 'cuda.sm90', 'bf16', true);
  });
});

describe.skipIf(!compiler)('what is in registers beside such sums (skipped where g++ is missing)', () => {
  const run = (kernel: TileKernel, buffers: readonly TileBuffer[]) => {
    const module: TileModule = {
      name: 'm', chunk: 64, sizes: new Map([['D', 64], ['F', 256]]), domains: [TOKENS], buffers, kernels: [kernel],
      programs: scanPrograms(buffers, { forward: [kernel.name] }),
    };
    const { plan, files } = emitCuda(
      module, { target: 'cuda.sm90', dtype: 'bf16', source: { hash: '', compiler: '', command: '' }, doc: '', templates },
    );
    expect(plan.kernels.map(({ lowering }) => lowering)).toEqual(['registers']);
    const errors = emulate(module, { dtype: 'bf16', plain: false, call, longest: 1, programs: ['forward'], orders: ['0'] });
    for (const [what, error] of errors) expect([what, error < 1e-5]).toEqual([what, true]);
    // Behind the kernel that makes tables.
    return (files.get('m.bf16.sm90a.cu') ?? '').split(/^extern "C" __global__/m).at(-1) ?? '';
  };
  it('sums over all rows, which come through a ring', () => {
    const [q, y] = [rows('q', ['D'], 'f32'), sum('y', 'once', ['D'])];
    const text = run(buildKernel({ name: 'whole', doc: 'Sums.', outer: 'once', domain: TOKENS, inner: 'once', split: undefined }, (k) => {
      const [total] = k.loop('chunks', false, [k.zeros(['D'])], ([of]) => [k.add(of, k.reduce('sum', ROW, k.keep(k.load(q))))]);
      k.store(y, total);
    }), [q, y]);
    // Warps exchange what they have once, and chunks wait for the ring alone.
    expect([...text.matchAll(/cp_wait<\d>\(\);\s*__syncthreads\(\);/g)].length).toBe(2);
    expect([...text.matchAll(/__syncthreads\(\);/g)].length).toBe(3);
  });
  it('sums that lie block by block', () => {
    const [q, y] = [rows('q', ['F/64'], 'f32'), { ...rows('y', [], 'f32'), role: 'output' } as const];
    run(buildKernel({ name: 'piecewise', doc: 'Sums.', outer: 'chunk', domain: TOKENS, inner: 'once', split: undefined }, (k) => {
      k.store(y, k.reduce('sum', 'F/64', k.exp(k.load(q))));
    }), [q, y]);
  });
});
