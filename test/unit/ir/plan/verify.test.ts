import { describe, expect, it } from 'vitest';
import { queuesOf } from '../../../../src/ir/plan/queues.js';
import type { Launch, Plan, PlanArg, PlanKernel, PlanTensor } from '../../../../src/ir/plan/plan.js';
import { verifyPlan } from '../../../../src/ir/plan/verify.js';
import { TOKEN_ROWS } from '../../rows.js';

const tensor = (
  name: string, role: PlanTensor['role'],
): PlanTensor => ({ name, role, dtype: 'f32', shape: ['tokens', 'heads', 4], axes: ['K'] });
const kernel = (name: string, reads: readonly string[], writes: readonly string[], more: Partial<PlanKernel> = {}): PlanKernel => ({
  name, doc: '', file: 'k.cu', entry: name, block: 128, sharedBytes: 0, lowering: 'plain',
  grid: [['chunks'], ['heads'], [1]], flops: [], bytes: [], singles: [],
  args: [
    ...reads.map((each): PlanArg => ({ kind: 'tensor', tensor: each, access: 'read' })),
    ...writes.map((each): PlanArg => ({ kind: 'tensor', tensor: each, access: 'write' })),
  ],
  ...more,
});
const kernels = [kernel('a', ['x'], ['u']), kernel('b', ['x'], ['v']), kernel('c', ['u', 'v'], ['o'])];
const programsOf = (launches: readonly Launch[], ...more: readonly string[]): Plan['programs'] => (
  { forward: { takes: ['x'], gives: ['o', ...more], launches } }
);
const plan: Plan = {
  format: 'lmoec-plan-4', scan: 'f', doc: '', source: {
    hash: '', compiler: '', command: '',
  }, target: 'cuda.sm90', dtype: 'f32', sizes: { K: 4 }, chunk: 64,
  segmentation: { programs: 1, least: 1 }, ...TOKEN_ROWS, arena: [], kernels,
  tensors: [tensor('x', 'input'), tensor('u', 'workspace'), tensor('v', 'workspace'), tensor('o', 'output')],
  programs: programsOf(queuesOf(kernels)),
};
const [first, , last] = plan.programs.forward.launches;

describe('the plan verifier', () => {
  it('has nothing against two queues that wait for each other', () => expect(verifyPlan(plan)).toEqual([]));

  const wrong: readonly (readonly [name: string, changed: Partial<Plan>, message: RegExp])[] = [
    ['a workspace that is read before it is written', {
      programs: programsOf(queuesOf([kernels[0], kernels[2], kernels[1]]))
    }, /launches c, which reads v before any kernel has written it/],
    ['a launch that does not wait', {
      programs: programsOf([...plan.programs.forward.launches.slice(0, 2), { ...last, waits: [] }])
    }, /may run c beside [ab], though both touch [uv]/],
    ['a launch that waits for a later one', {
      programs: programsOf([{ ...first, waits: [2] }, ...plan.programs.forward.launches.slice(1)])
    }, /waits in a for a launch that is not before it/],
    ['a result that nothing writes', {
      tensors: [...plan.tensors, tensor('p', 'output')], programs: programsOf(queuesOf(kernels), 'p'),
    }, /forward does not write p/],
    ['two tensors of one name', { tensors: [...plan.tensors, tensor('x', 'param')] }, /two tensors share a name/],
    ['a kernel that writes what the user gives', {
      kernels : [kernel('a', [], ['x', 'u']), ...kernels.slice(1)]
    }, /a writes x, which the user gives/],
    ['a tensor that there is not', { kernels: [kernel('a', ['y'], ['u']), ...kernels.slice(1)] }, /a takes y, which there is not/],
    ['a launch of no kernel', { kernels: kernels.slice(1) }, /launches a, which is no kernel/],
    ['a grid of nothing', { kernels: [{ ...kernels[0], grid: [['chunks'], [0], [1]] }, ...kernels.slice(1)] }, /a has an extent of 0/],
    ['an extent that there is not', { tensors: [{ ...plan.tensors[0], shape: ['slots', 4] }, ...plan.tensors.slice(1)] },
      /x has an extent slots, which there is not/],
    ['a table that there is not', {
      kernels: [{ ...kernels[0], args: [...kernels[0].args, { kind: 'table', table: 'experts' }] }, ...kernels.slice(1)],
    }, /a takes the table experts, which there is not/],
    ['a program that gives what there is not', { programs: programsOf(queuesOf(kernels), 'p') }, /forward names p, which there is not/],
    ['a tensor that is nobody\'s', {
      names: { alone: true, joins: false, given: {}, results: {}, checks: [] },
    }, /forward takes x, which is nobody's/],
    ['a result that nobody gives', {
      names: {
        alone: true, joins: false, given: { x: { kind: 'user', name: 'x', shape: ['tokens', 4], axes: ['K'] } },
        results: { forward: { y: { tensors: ['u'], shape: ['tokens', 4], axes: ['K'] } } }, checks: [],
      },
    }, /forward does not give u, which is of y/],
    ['a check that nobody makes', {
      names: {
        alone: true, joins: false, given: { x: { kind: 'user', name: 'x', shape: ['tokens', 4], axes: ['K'] } }, results: {},
        checks: [{ choice: 'top[E]', tensor: 'u' }],
      },
    }, /forward does not give u, which is checked/],
    ['what is not in the arena', {
      kernels : [{ ...kernels[0], args: [...kernels[0].args, { kind: 'arena', tensors: ['u'] }] }, ...kernels.slice(1)]
    }, /u, which is not in the arena/],
  ];
  it.each(wrong)('finds %s', (_, changed, message) => expect(verifyPlan({ ...plan, ...changed }).join('\n')).toMatch(message));
});
