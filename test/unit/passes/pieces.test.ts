import { describe, expect, it } from 'vitest';
import { loadedBuffers, storedBuffers } from '../../../src/ir/tile/buffers.js';
import { programOf, type TileKernel } from '../../../src/ir/tile/tile.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { specOf } from './scans.js';

const GATED = `scan s(q, k: [K], v: [V], g: [K] in -inf..0) -> o: [V] {
  state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S }`;
const CHAINED = `scan s(q, k: [K], v: [V], w: [M]) -> o: [V] {
  state A: [K, M], B: [M, V]  A = 0.9 * A[t-1] + outer(k, w)  B = 0.9 * B[t-1] + outer(w, v)  o = softmax[M](q @ A) @ B }`;
const READ = `scan s(q, k: [K], v: [V]) -> o: [V] {
  state S: [K, V], n: [V]  S = 0.9 * S[t-1] + outer(k, v)  n = 0.9 * n[t-1] + q @ S  o = n }`;

function kernelsOf(text: string, program: 'ends' | 'reverse_ends'): readonly TileKernel[] {
  const spec = specOf(text);
  const { module } = lowerScan(spec, new Map(spec.axes.map(({ name }) => [name, 16])), { pieces: true });
  return programOf(module, program).launches.map((name) => {
    const found = module.kernels.find((kernel) => kernel.name === name);
    if (found === undefined) throw new Error(`no kernel ${name}`);
    return found;
  });
}

const given = (kernels: readonly TileKernel[]): readonly string[] => (
  [...new Set(kernels.flatMap(({ body }) => loadedBuffers(body)))].filter((name) => !name.startsWith('ws.')).sort()
);

describe('programs of pieces', () => {
  it('read what makes states, and none of what only outputs or gradients are made of', () => {
    expect(given(kernelsOf(GATED, 'ends'))).toEqual(['S', 'g', 'k', 'v']);
    expect(given(kernelsOf(GATED, 'reverse_ends'))).toEqual(['d_final.S', 'd_o', 'g', 'q']);
    expect(given(kernelsOf(CHAINED, 'ends'))).toEqual(['A', 'B', 'k', 'v', 'w']);
    // Here a read is written to a state.
    expect(given(kernelsOf(READ, 'ends'))).toEqual(['S', 'k', 'n', 'q', 'v']);
  });

  it('come to every token once for its state, whether runs are cut or not', () => {
    const kernels = kernelsOf(GATED, 'ends');
    expect(kernels.filter(({ body }) => loadedBuffers(body).includes('v'))).toHaveLength(1);
    expect(kernels.filter(({ cut, idle }) => cut !== undefined || idle !== undefined)).toEqual([]);
  });

  it('store nothing that nobody reads', () => {
    for (const text of [GATED, CHAINED, READ]) {
      for (const program of ['ends', 'reverse_ends'] as const) {
        const kernels = kernelsOf(text, program);
        const stored = kernels.flatMap(({ body }) => storedBuffers(body)).filter((name) => name.startsWith('ws.'));
        const read = kernels.flatMap(({ body }) => loadedBuffers(body));
        expect(stored.filter((name) => !read.includes(name)), `${program} of ${text}`).toEqual([]);
      }
    }
  });
});
