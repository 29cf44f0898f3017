import { describe, expect, it } from 'vitest';
import { runtimeProblem } from '../../../src/driver/devices.js';
import type { Plan, PlanKernel } from '../../../src/ir/plan/plan.js';
import type { ModuleHandle, NativeCuda } from '../../../src/runtime/cuda/addon.js';
import { loadKernels, type ModuleLoader } from '../../../src/runtime/cuda/kernels.js';
import { record } from '../../../src/runtime/cuda/recorded.js';
import { plan as sample } from '../emit/sample.js';

const kernel: PlanKernel = {
  name: 'k', doc: '', file: 'k.cu', entry: 'k', block: 128, sharedBytes: 160 * 1024, lowering: 'plain', grid: [[1], [1], [1]], args: [],
  flops: [], bytes: [], singles: [],
};
const plan: Plan = { ...sample, target: 'cuda.sm80', kernels: [kernel], tables: {} };

/** What a call says of an error, as `lmoec run` prints it. */
const said = async (call: () => unknown): Promise<unknown> => {
  try {
    await call();
  } catch (error) {
    return runtimeProblem('E604', error);
  }
  return undefined;
};

describe('what a CUDA device cannot run is E812, with what to do', () => {
  it('more shared memory than its blocks have', async () => {
    const native: ModuleLoader = {
      // Nobody looks into a handle.
      loadModule: () => ({ ok: true, value: {} as ModuleHandle }),
      unloadModule() {},
      compile: () => expect.fail(),
      getFunction: () => ({ ok: false, error: 'CUDA_ERROR_INVALID_VALUE', call: 'cuFuncSetAttribute', message: '' }),
    };
    const files = new Map([['k.cubin', new Uint8Array(1)]]);
    expect(await said(() => loadKernels(native, { major: 8, minor: 6 }, plan, files))).toMatchObject({
      code: 'E812', title: 'k of two_faced needs 160 KB of shared memory, more than a block of this device may have',
      help: ['build with --target cuda.sm86'],
    });
  });

  it.each([[2 ** 31, 1, 1], [1, 65536, 1], [1, 1, 65536]])('a grid of %d x %d x %d', async (x, y, z) => {
    const grid = [x, y, z] as const;
    const recorder = {
      // Nothing is asked of the driver before the grid is looked at.
      native: {} as NativeCuda, plan, functionOf: () => expect.fail(), stream: () => expect.fail(),
      memory: { fresh: () => expect.fail(), upload: () => expect.fail() },
    };
    const sized = {
      program: 'forward', sizes: { heads: 1, groups: 1, lengths: [1] }, extents: {}, dims: {}, launches: [{ kernel, grid }], slots: [],
    };
    expect(await said(() => record(recorder, sized, () => expect.fail()))).toMatchObject({
      code: 'E812', title: `k would need a grid of ${grid.join(' x ')} blocks`, help: ['split the call: fewer heads, or fewer tokens'],
    });
  });
});
