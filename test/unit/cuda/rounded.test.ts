import { describe, expect, it } from 'vitest';
import { ioDtypeOf, lowerFor } from '../../../src/driver/scan/compile.js';
import { frontend } from '../../../src/passes/frontend.js';
import { compiler } from './emulate.js';
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
