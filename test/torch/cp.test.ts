import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from '../cli/lmoec.js';
import { NO_EXAMPLES } from '../examples.js';
import { emptyFolder, packageIn, python } from './package.js';
import { NO_TORCH } from './python.js';

/** Ways in which states pass tokens that the packages of package.test.ts do not have. */
const EXAMPLES = ['kda', 'rwkv7', 'delta_product', 'lightning'];
const PROGRAMS = ['two_hops_delta', 'read_both_ways', 'vector_erase', 'static_element', 'max_choice', 'factor_zero'];
const OTHERS = `
scan kept(q, k: [K], v: [V]) -> o: [V] with K = 16, V = 16 { state S: [K, V]  S = S[t-1] + outer(k, v)  o = q @ S }

scan columns(q, k: [K], v, g: [V] in -inf..0) -> o: [V] with K = 16, V = 16 {
  state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S[t-1]
}

scan lines(q, k: [K], v: [V]) -> o: [V] with K = 16, V = 16 {
  param a, b, c: [V]
  state v1, v2, v3: [V], S: [K, V]
  v1 = v
  v2 = v1[t-1]
  v3 = v2[t-1]
  S = S[t-1] + outer(k, v + a * v1[t-1] + b * v2[t-1] + c * v3[t-1])
  o = q[t-1] @ S
}

scan chained(q, k: [K], v: [V], f: []) -> o: [V] with K = 16, V = 16 {
  state S: [K, V], n: [V], m: [V]
  S = sigmoid(f) * S[t-1] + outer(k, v)
  n = 0.5 * n[t-1] + q @ S
  m = sigmoid(n[t-1]) * m[t-1] + v
  o = m
}
`;

const reason = NO_TORCH ?? (NO_EXAMPLES ? 'there are no examples' : undefined);

describe.skipIf(reason !== undefined)(`rows of tokens over several ranks${reason === undefined ? '' : `: ${reason}`}`, () => {
  const folder = emptyFolder();
  afterAll(() => folder.remove());

  it('agree with one process whatever a state does', async () => {
    const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
    const text = [
      ...EXAMPLES.map((name) => read(`examples/${name}.lmoe`)), ...PROGRAMS.map((name) => read(`test/programs/${name}.lmoe`)), OTHERS,
    ].join('\n');
    const at = await packageIn(folder.path, 'passages', text, new Map());
    const last = python(['-m', 'pytest', '-q', '-p', 'no:warnings', 'tests/test_cp.py'], at).trim().split('\n').at(-1);
    expect(last).toMatch(/^\d+ passed/);
  });
});
