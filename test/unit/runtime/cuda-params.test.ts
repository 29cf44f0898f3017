import { describe, expect, it } from 'vitest';
import type { PlanArg } from '../../../src/ir/plan/plan.js';
import type { BufferHandle, NativeCuda, TensorMapOptions } from '../../../src/runtime/cuda/addon.js';
import type { CudaTensor } from '../../../src/runtime/cuda/memory.js';
import { layoutParams, packParams } from '../../../src/runtime/cuda/params.js';
import { plan as sample } from '../emit/sample.js';

const tensor = (name: string): PlanArg => ({ kind: 'tensor', tensor: name, access: 'read' });

function device(pointer: bigint, dtype: CudaTensor['dtype'], shape: readonly number[]): CudaTensor {
  // The packing never looks into a handle.
  const buffer = {} as BufferHandle;
  return { kind: 'cuda', dtype, shape, buffer, bytes: 0, pointer, release() {} };
}

describe('parameters of a CUDA launch', () => {
  it('puts each on its natural boundary', () => {
    const { offsets, total } = layoutParams([tensor('a'), { kind: 'dims' }, tensor('b'), { kind: 'tensorMap', tensor: 'c', box: [64, 64] }, { kind: 'chunks' }]);
    expect([...offsets]).toEqual([0, 8, 32, 64, 192]);
    expect(total).toBe(200);
  });

  it('packs addresses, tables and sizes, and describes tensors to the copy engine', () => {
    const asked: TensorMapOptions[] = [];
    const native: Pick<NativeCuda, 'tensorMap'> = {
      tensorMap(options) {
        asked.push(options);
        return { ok: true, value: new Uint8Array(128).fill(7) };
      },
    };
    const plan = { ...sample, tensors: [{ name: 'q', role: 'input', dtype: 'bf16', shape: ['tokens', 'heads', 64], axes: ['K'] } as const] };
    const args: PlanArg[] = [tensor('q'), { kind: 'sequences' }, { kind: 'dims' }, { kind: 'tensorMap', tensor: 'q', box: [64, 1, 32] }];
    const kernel = { name: 'k', doc: '', file: 'k.cu', entry: 'k', block: 128, sharedBytes: 0, grid: [[1], [1], [1]], args, flops: [], bytes: [] } as const;
    const { bytes, offsets } = packParams(native as NativeCuda, plan, kernel, {
      tensors: new Map([['q', device(0x1234_5678_9abcn, 'bf16', [100, 4, 64])]]),
      sequences: device(16n, 'i32', [4]),
      segments: device(24n, 'i32', [4]),
      chunks: device(32n, 'i32', [4]),
      extents: { tokens: 100, heads: 4, groups: 2, sequences: 1, chunks: 2, segments: 3 },
    });
    const view = new DataView(bytes.buffer);
    expect(view.getBigUint64(offsets[0], true)).toBe(0x1234_5678_9abcn);
    expect(view.getBigUint64(offsets[1], true)).toBe(16n);
    expect([0, 1, 2, 3, 4, 5].map((i) => view.getInt32(offsets[2] + 4 * i, true))).toEqual([100, 4, 2, 1, 2, 3]);
    expect(bytes[offsets[3]]).toBe(7);
    expect(asked[0]).toMatchObject({ type: 9, dims: [64, 4, 100], strides: [128, 512], box: [64, 1, 32], swizzle: 3 });
  });
});
