import { describe, expect, it } from 'vitest';
import { ioDtypeOf, lowerFor } from '../../../src/driver/scan/compile.js';
import { frontend } from '../../../src/passes/frontend.js';
import { scanPrograms, TOKENS } from '../../../src/passes/chunk/programs.js';
import { buildKernel } from '../../../src/ir/tile/build.js';
import type { TileBuffer, TileModule } from '../../../src/ir/tile/tile.js';
import { compiler, runKernels } from './emulate.js';
import { judgeScan } from './tensor-runs.js';

const SOURCE = `
scan logits(q, k: [K], v: [V], z: [K] ROUNDED, b: [] ROUNDED) -> o: [V] with K = 64, V = 64 {
  param A: [K]
  state S: [K, V]

  let a = exp(-exp(A) * softplus(z))
  let key = l2norm(k)
  S = a * S[t-1] + outer(key, sigmoid(b) * (v - key @ (a * S[t-1])))
  o = q @ S
}
`;
const sizes = new Map([['K', 64], ['V', 64]]);

function made(word: string, dtype: 'f32' | 'bf16') {
  const lowered = lowerFor(frontend('<rounded>', SOURCE.replaceAll('ROUNDED', word)).specs[0], { target: 'cuda.sm90', dtype, sizes }, 64);
  if (!('module' in lowered)) throw new Error(SOURCE);
  return lowered;
}

describe('inputs that are said to be rounded', () => {
  it('are read in the dtype of the build, and their gradients given in it', () => {
    const names = (word: string) => ['z', 'b', 'q'].filter(ioDtypeOf(made(word, 'bf16').module));
    expect(names('rounded')).toEqual(['z', 'b', 'q']);
    expect(names('')).toEqual(['q']);
    const gradient = (word: string) => made(word, 'bf16').module.buffers.find(({ name }) => name === 'd_z')?.dtype;
    expect([gradient('rounded'), gradient('')]).toEqual(['io', 'f32']);
  });

  it.skipIf(!compiler)('give what the formula means of the rounded values (skipped where g++ is missing)', () => {
    const { failed, errors } = judgeScan(made('rounded', 'bf16'), sizes, { target: 'cuda.sm90', lengths: [64, 1, 100], orders: ['0'] });
    expect(failed).toEqual([]);
    expect(errors.size).toBeGreaterThan(8);
  });
});

describe('a rounding in the middle of a kernel', () => {
  it.skipIf(!compiler).each(
    ['bf16', 'f16'] as const,
  )('has the digits of %s, and keeps what is no number (skipped where g++ is missing)', (dtype) => {
    const buffer = (name: string, role: TileBuffer['role']): TileBuffer => (
      { name, outer: 'row', domain: TOKENS, inner: 'head', axes: ['K'], dtype: 'f32', role }
    );
    const [x, y] = [buffer('x', 'input'), buffer('y', 'output')];
    const module: TileModule = {
      name: 'once', chunk: 16, sizes: new Map([['K', 4]]), domains: [TOKENS], buffers: [x, y],
      kernels: [buildKernel(
        { name: 'rounding', doc: 'Rounds every number.', outer: 'chunk', domain: TOKENS, inner: 'head' },
        (k) => k.store(y, k.round(k.load(x))),
      )],
      programs: scanPrograms([x, y], { forward: ['rounding'] }),
    };
    const values = Float64Array.of(NaN, Infinity, -Infinity, 1 + 2 ** -14, -3e-30, 1e30, 0, -1 - 2 ** -8);
    const given = new Map([['x', values]]);
    for (const plain of [false, true]) {
      const call = { heads: 1, groups: 1, lengths: [2] };
      runKernels(module, { dtype, plain, call, longest: 1, programs: ['forward'], given }, (_, __, found) => {
        const made = [...found.get('y') ?? []];
        expect(made.slice(0, 4)).toEqual([NaN, Infinity, -Infinity, 1]);
        values.slice(4).forEach((wanted, i) => expect(Math.abs(made[4 + i] - wanted)).toBeLessThanOrEqual(Math.abs(wanted) * 2 ** -8));
      });
    }
  });
});
