import { describe, expect, it } from 'vitest';
import { lowerFor } from '../../../src/driver/scan/compile.js';
import { frontend } from '../../../src/passes/frontend.js';
import { compiler } from './emulate.js';
import { judgeScan } from './tensor-runs.js';

const SOURCE = `
scan state_gated(q, k, r: [K], v: [V], g: [] in -inf..0) -> o: [V] with K = 64, V = 64 {
  param w: [V]
  state A: [K, V], S: [K, V]

  A = exp(g) * A[t-1] + outer(k, v)
  let gate = sigmoid((r @ A) @ w)
  S = gate * S[t-1] + outer(k, v)
  o = q @ S / sqrt(K)
}
`;

describe.skipIf(!compiler)('a decay made of what is read of a state (skipped where g++ is missing)', () => {
  // Of seed 1 a sequence of one token makes nearly all of d_r, by a sum over the state that happens to be small.
  it.each([1, 2, 3])('passes its gradient on, bf16, seed %i', (seed) => {
    const sizes = new Map([['K', 64], ['V', 64]]);
    const made = lowerFor(frontend('<read gates>', SOURCE).specs[0], { target: 'cuda.sm90', dtype: 'bf16', sizes }, 64);
    if (!('module' in made)) throw new Error(SOURCE);
    const { failed, errors } = judgeScan(made, sizes, { target: 'cuda.sm90', lengths: [64, 1, 200, 15], seed, orders: ['0'] });
    expect(failed).toEqual([]);
    expect(errors.size).toBeGreaterThan(8);
  });
});
