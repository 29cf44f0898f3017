import { describe, expect, it } from 'vitest';
import { planPrograms, planTensor } from '../../../src/backends/describe.js';
import type { Plan, PlanKernel } from '../../../src/ir/plan/plan.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { bindTensors, createPool, type CallMemory } from '../../../src/runtime/call.js';
import { extentsOf, type CallSizes } from '../../../src/runtime/extents.js';
import { isNeedless, sizedProgram } from '../../../src/runtime/programs.js';
import type { DeviceTensor, ElementType } from '../../../src/runtime/runtime.js';
import { specOf } from '../passes/scans.js';
import { plan as sample } from '../emit/sample.js';

/** The plan of a scan, all of whose kernels take all tensors. */
function planOf(text: string): Plan {
  const { module } = lowerScan(specOf(text), new Map([['K', 16], ['V', 16]]), { keeps: true });
  const kernels = module.kernels.map((kernel): PlanKernel => ({
    name: kernel.name, doc: '', file: 'k', entry: kernel.name, block: 64, sharedBytes: 0, lowering: 'plain',
    grid: [[1], [1], [1]], flops: [], bytes: [], singles: [],
    args: module.buffers.map((buffer) => ({ kind: 'tensor', tensor: buffer.name, access: 'readwrite' })),
  }));
  const tensors = module.buffers.map((buffer) => planTensor(module, buffer, 'bf16'));
  return { ...sample, tensors, kernels, programs: planPrograms(module, kernels) };
}

const plan = planOf('scan s(q: [K], k: [K] per group, v: [V]) -> o: [V] { state S: [K, V]  S = S[t-1] + outer(k, v)  o = q @ S }');

const made = (dtype: ElementType, shape: readonly number[]): DeviceTensor => ({ dtype, shape, release() {} });
const memory: CallMemory<DeviceTensor> = {
  pool: createPool((_, dtype, shape) => made(dtype, shape)), fresh: made,
  upload() {}, zeros: (_, dtype, shape) => made(dtype, shape), own: (tensor) => tensor,
};

function bind(groups: number, inPlace: boolean): ReadonlyMap<string, DeviceTensor> {
  const sizes: CallSizes = { heads: 4, groups, lengths: [3] };
  const given = { q: new Uint16Array(3 * 4 * 16), k: new Uint16Array(3 * groups * 16), v: new Uint16Array(3 * 4 * 16) };
  const { slots } = sizedProgram(plan, 'backward', sizes, inPlace);
  const { tensors } = bindTensors(plan, slots, given, {}, memory);
  return new Map(slots.map(({ declared }, i) => [declared.name, tensors[i]]));
}

describe('gradients that the heads of a group share', () => {
  it('are summed by the only launches that are marked', () => {
    expect(plan.programs.backward.launches.filter(({ grouped }) => grouped).map(({ kernel }) => kernel)).toEqual(['sum_groups']);
    expect(plan.tensors.filter(({ ungrouped }) => ungrouped !== undefined)
      .map(({ name, ungrouped }) => [name, ungrouped])).toEqual([['ws.d_k.heads', 'd_k']]);
    const [head, sum] = ['ws.d_k.heads', 'd_k'].map((name) => plan.tensors.find((tensor) => tensor.name === name));
    expect(head).toMatchObject({ dtype: sum?.dtype, shape: ['tokens', 'heads', 16] });
  });

  it('that make what others make by the way are left out where a run is cut, and those the other way round', () => {
    const both = ['segments', 'sequences'] as const;
    const needless = (segments: number) => [{ cut: both }, { whole: both }, {}].map(
      (launch) => isNeedless({ kernel: 'k', queue: 0, waits: [], ...launch }, { segments, sequences: 2 }, true),
    );
    expect([needless(2), needless(3)]).toEqual([[true, false, false], [false, true, false]]);
  });

  it('go to their place at once where every head is a group', () => {
    const extents = (groups: number) => extentsOf(plan, { heads: 4, groups, lengths: [3] });
    const needless = (
      groups: number, inPlace: boolean,
    ) => plan.programs.backward.launches.filter((launch) => isNeedless(launch, extents(groups), inPlace)).map(({ kernel }) => kernel);
    expect([
      needless(4, true), needless(2, true), needless(4, false),
    ].map((names) => names.includes('sum_groups'))).toEqual([true, false, false]);
    const { launches } = sizedProgram(plan, 'backward', { heads: 4, groups: 4, lengths: [3] }, true);
    expect(launches.find(({ kernel }) => kernel.name === 'sum_groups')?.grid).toEqual([0, 0, 0]);
    const tensors = bind(4, true);
    expect(tensors.get('ws.d_k.heads')).toBe(tensors.get('d_k'));
  });

  it('wait in a place of their own where groups have several heads, or a device asks for it', () => {
    for (const tensors of [bind(2, true), bind(4, false)]) {
      expect(tensors.get('ws.d_k.heads')?.shape).toEqual([3, 4, 16]);
      expect(tensors.get('ws.d_k.heads')).not.toBe(tensors.get('d_k'));
    }
  });
});

describe('workspaces that one program leaves for another', () => {
  const gated = planOf(`scan s(q, k: [K], v: [V], g: [K] in -inf..0) -> o: [V] {
    state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S }`);
  const sizes: CallSizes = { heads: 4, groups: 4, lengths: [3] };
  const [q, k, v] = [0, 1, 2].map(() => new Uint16Array(3 * 4 * 16));
  const given = { q, k, v, g: new Float32Array(3 * 4 * 16) };
  const bound = (program: string, more: Readonly<Record<string, DeviceTensor>> = {}) => {
    const { slots } = sizedProgram(gated, program, sizes, true);
    const { tensors, results } = bindTensors(gated, slots, { ...given, ...more }, {}, memory);
    return { results, of: (name: string) => tensors[slots.findIndex(({ declared }) => declared.name === name)] };
  };
  const kept = 'ws.S.score0_0';

  it('are results, and given', () => {
    const { results } = bound('forward_kept');
    const left = Object.fromEntries(Object.entries(results).filter(([name]) => name.startsWith('ws.')));
    expect(Object.keys(left).sort()).toEqual(['ws.S.col0', 'ws.S.decay', 'ws.S.read0', kept]);
    expect(bound('backward_kept', left).of(kept)).toBe(results[kept]);
    const { [kept]: _, ...others } = left;
    expect(() => bound('backward_kept', others)).toThrow(`the input ${kept} is missing`);
  });

  it('are nobody\'s where they are not kept', () => {
    // Its kernels take all tensors here, gradients too.
    expect(Object.keys(bound('forward').results).filter((name) => !name.startsWith('d_'))).toEqual(['o', 'final.S']);
    const stranger = made('bf16', [1]);
    expect(bound('backward', { [kept]: stranger }).of(kept)).not.toBe(stranger);
  });
});
