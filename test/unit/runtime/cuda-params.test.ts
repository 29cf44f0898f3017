import { describe, expect, it } from 'vitest';
import type { PlanArg } from '../../../src/ir/plan/plan.js';
import type { BufferHandle, NativeCuda, TensorMapOptions } from '../../../src/runtime/cuda/addon.js';
import type { CudaTensor } from '../../../src/runtime/cuda/memory.js';
import { layoutParams, packParams } from '../../../src/runtime/cuda/params.js';
import { mappedTensor } from '../../../src/runtime/cuda/tensor-map.js';
import { plan as sample } from '../emit/sample.js';

const tensor = (name: string): PlanArg => ({ kind: 'tensor', tensor: name, access: 'read' });

function device(pointer: bigint, dtype: CudaTensor['dtype'], shape: readonly number[]): CudaTensor {
  // The packing never looks into a handle.
  const buffer = {} as BufferHandle;
  return { kind: 'cuda', dtype, shape, buffer, bytes: 0, released: false, pointer, release() {} };
}

const extents = { tokens: 100, heads: 4, groups: 2, sequences: 1, chunks: 2, segments: 3 };

describe('a tensor as the copy engine sees it', () => {
  it('is tokens, heads and channels, or cells of rows and columns', () => {
    const tokens = { name: 'k', role: 'input', dtype: 'bf16', shape: ['tokens', 'groups', 48], axes: ['K'] } as const;
    expect(mappedTensor(tokens, extents, [64, 1, 64])).toEqual({ dims: [48, 2, 100], strides: [96, 192], swizzle: 128 });
    const cells = { name: 'w', role: 'workspace', dtype: 'f16', shape: ['chunks', 'heads', 64, 24], axes: ['%row', 'V'] } as const;
    expect(mappedTensor(cells, extents, [64, 64, 1])).toEqual({ dims: [24, 64, 8], strides: [48, 3072], swizzle: 128 });
    expect(mappedTensor(cells, extents, [8, 64])).toEqual({ dims: [24, 512], strides: [48], swizzle: 0 });
  });
});

describe('parameters of a CUDA launch', () => {
  it('puts each on its natural boundary', () => {
    const { offsets, total } = layoutParams([
      tensor('a'), { kind: 'dims' }, tensor('b'), { kind: 'tensorMap', tensor: 'c', box: [64, 64] }, { kind: 'chunks' },
    ]);
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
    const plan = {
      ...sample, tensors: [{ name: 'q', role: 'input', dtype: 'bf16', shape: ['tokens', 'heads', 64], axes: ['K'] } as const],
    };
    const args: PlanArg[] = [tensor('q'), { kind: 'sequences' }, { kind: 'dims' }, { kind: 'tensorMap', tensor: 'q', box: [64, 1, 32] }];
    const kernel = {
      name: 'k', doc: '', file: 'k.cu', entry: 'k', block: 128, sharedBytes: 0, lowering: 'plain', grid: [[1], [1], [1]], args, flops: [],
      bytes: [],
    } as const;
    const { bytes, offsets } = packParams(native as NativeCuda, plan, kernel, {
      tensors: new Map([['q', device(0x1234_5678_9abcn, 'bf16', [100, 4, 64])]]),
      sequences: device(16n, 'i32', [4]),
      segments: device(24n, 'i32', [4]),
      chunks: device(32n, 'i32', [4]),
      extents,
    });
    const view = new DataView(bytes.buffer);
    expect(view.getBigUint64(offsets[0], true)).toBe(0x1234_5678_9abcn);
    expect(view.getBigUint64(offsets[1], true)).toBe(16n);
    expect([0, 1, 2, 3, 4, 5].map((i) => view.getInt32(offsets[2] + 4 * i, true))).toEqual([100, 4, 2, 1, 2, 3]);
    expect(bytes[offsets[3]]).toBe(7);
    expect(asked[0]).toMatchObject({ type: 9, dims: [64, 4, 100], strides: [128, 512], box: [64, 1, 32], swizzle: 3 });
  });

  it('describes nothing that is empty', () => {
    const native: Pick<NativeCuda, 'tensorMap'> = { tensorMap: () => expect.fail() };
    const plan = {
      ...sample, tensors: [{ name: 'q', role: 'input', dtype: 'bf16', shape: ['tokens', 'heads', 64], axes: ['K'] } as const],
    };
    const kernel = {
      name: 'k', doc: '', file: 'k.cu', entry: 'k', block: 128, sharedBytes: 0, lowering: 'plain', grid: [[1], [1], [1]],
      args: [{ kind: 'tensorMap', tensor: 'q', box: [64, 1, 64] }], flops: [], bytes: [],
    } as const;
    const none = device(0n, 'bf16', [0, 4, 64]);
    const { bytes } = packParams(
      native as NativeCuda, plan, kernel,
      { tensors: new Map([['q', none]]), sequences: none, segments: none, chunks: none, extents: { ...extents, tokens: 0 } },
    );
    expect(bytes).toEqual(new Uint8Array(128));
  });
});
