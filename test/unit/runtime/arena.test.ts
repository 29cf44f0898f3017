import { expect, it } from 'vitest';
import type { Plan, PlanKernel, PlanTensor } from '../../../src/ir/plan/plan.js';
import { arenaLayout } from '../../../src/runtime/webgpu/arena.js';
import { TOKEN_ROWS } from '../rows.js';

const extents = { tokens: 100, heads: 2, groups: 2, sequences: 1, chunks: 7, segments: 1 };
const tensor = (name: string, ...shape: PlanTensor['shape']): PlanTensor => ({ name, role: 'workspace', dtype: 'f32', shape, axes: [] });
const kernel = (name: string, tensors: readonly string[]): PlanKernel => ({
  name, doc: '', file: '', entry: 'main', block: 64, sharedBytes: 0, lowering: 'plain', grid: [[1], [1], [1]],
  args: [{ kind: 'arena', tensors }], flops: [], bytes: [], singles: [],
});
const arena = ['rows', 'scratch', 'states', 'unused'];
const plan: Plan = {
  format: 'lmoec-plan-4', scan: 'test', doc: '', source: {
    hash: '', compiler: '', command: '',
  }, target: 'webgpu', dtype: 'f32', sizes: {}, chunk: 16,
  segmentation: { programs: 1, least: 1 }, kernels: [], ...TOKEN_ROWS, programs: {}, arena,
  tensors: [
    tensor('rows', 'tokens', 'heads'), tensor('scratch', 'chunks', 100), tensor('states', 'chunks', 'heads', 64), tensor('unused', 1e6),
  ],
};

it('tensors that no launch needs at the same time share memory', () => {
  const launches = [kernel('a', ['rows', 'scratch']), kernel('b', ['rows', 'states']), kernel('c', ['states'])];
  // 896 floats of states, then 704 of scratch in the same place, then 256 of rows beside both.
  expect(arenaLayout(plan, launches, extents)).toEqual({ floats: 896 + 256, offsets: [896, 0, 0, 0] });
});

it('tensors of one launch do not', () => {
  const { floats, offsets } = arenaLayout(plan, [kernel('a', ['rows', 'scratch', 'states'])], extents);
  expect(floats).toBe(896 + 704 + 256);
  expect(new Set(offsets.slice(0, 3)).size).toBe(3);
});
