import { describe, expect, it } from 'vitest';
import type { PlanArg, PlanKernel } from '../../../src/ir/plan/plan.js';
import type { BufferHandle, NativeCuda, TensorMapOptions } from '../../../src/runtime/cuda/addon.js';
import type { CudaTensor } from '../../../src/runtime/cuda/memory.js';
import { layoutParams, launchParams } from '../../../src/runtime/cuda/params.js';
import type { Extents } from '../../../src/runtime/extents.js';
import type { SizedProgram } from '../../../src/runtime/programs.js';
import { mappedTensor } from '../../../src/runtime/cuda/tensor-map.js';
import { TOKEN_ROWS } from '../rows.js';

const tensor = (name: string): PlanArg => ({ kind: 'tensor', tensor: name, access: 'read' });

function device(address: number, dtype: CudaTensor['dtype'], shape: readonly number[]): CudaTensor {
  // The packing never looks into a handle.
  const buffer = {} as BufferHandle;
  return {
    kind: 'cuda', dtype, shape, buffer, bytes: 0, released: false, address, pointer: BigInt(address), release() {}, hold: () => () => {},
  };
}

const extents = { tokens: 100, heads: 4, groups: 2, sequences: 1, chunks: 2, segments: 3 };

/** Of tokens: six numbers. */
const dimsOf = (of: Extents) => ({ token: TOKEN_ROWS.dims.token.map((name) => of[name]) });

const tables = { sequences: device(16, 'i32', [4]), segments: device(24, 'i32', [4]), chunks: device(32, 'i32', [4]) };

function sized(of: Extents): SizedProgram {
  const declared = { name: 'q', role: 'input', dtype: 'bf16', shape: ['tokens', 'heads', 64], axes: ['K'] } as const;
  return {
    program: 'forward', sizes: { heads: of.heads, groups: of.groups, lengths: [of.tokens] }, extents: of, dims: dimsOf(of), launches: [],
    slots: [{ declared, role: declared.role, shape: [of.tokens, 4, 64], count: of.tokens * 256, place: undefined }],
  };
}

function kernelOf(args: readonly PlanArg[]): PlanKernel {
  return {
    name: 'k', doc: '', file: 'k.cu', entry: 'k', block: 128, sharedBytes: 0, lowering: 'plain', grid: [[1], [1], [1]], args, flops: [],
    bytes: [], singles: [],
  };
}

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
      tensor('a'), { kind: 'dims', domain: 'token' }, tensor('b'), {
        kind: 'tensorMap', tensor: 'c', box: [64, 64],
      }, { kind: 'table', table: 'chunks' },
    ], dimsOf(extents));
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
    const args: PlanArg[] = [
      tensor('q'), { kind: 'table', table: 'sequences' }, { kind: 'dims', domain: 'token' },
      { kind: 'tensorMap', tensor: 'q', box: [64, 1, 32] },
    ];
    const { bytes, offsets, place } = launchParams(native as NativeCuda, kernelOf(args), sized(extents), tables);
    place([device(0x1234_5678_9abc, 'bf16', [100, 4, 64])]);
    const view = new DataView(bytes.buffer);
    expect(view.getBigUint64(offsets[0], true)).toBe(0x1234_5678_9abcn);
    expect(view.getBigUint64(offsets[1], true)).toBe(16n);
    expect([0, 1, 2, 3, 4, 5].map((i) => view.getInt32(offsets[2] + 4 * i, true))).toEqual([100, 4, 2, 1, 2, 3]);
    expect(bytes[offsets[3]]).toBe(7);
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ type: 9, dims: [64, 4, 100], strides: [128, 512], box: [64, 1, 32], swizzle: 3 });
  });

  it('asks for a description again only where a tensor lies elsewhere', () => {
    let asked = 0;
    const native: Pick<NativeCuda, 'tensorMap'> = {
      tensorMap() {
        asked++;
        return { ok: true, value: new Uint8Array(128).fill(asked) };
      },
    };
    const { bytes, place } = launchParams(
      native as NativeCuda, kernelOf([{ kind: 'tensorMap', tensor: 'q', box: [64, 1, 32] }]), sized(extents), tables,
    );
    const seen = [512, 512, 1024, 512].map((address) => {
      place([device(address, 'bf16', [100, 4, 64])]);
      return bytes[0];
    });
    expect(seen).toEqual([1, 1, 2, 1]);
    expect(asked).toBe(2);
  });

  it('describes nothing that is empty', () => {
    const native: Pick<NativeCuda, 'tensorMap'> = { tensorMap: () => expect.fail() };
    const { bytes, place } = launchParams(
      native as NativeCuda, kernelOf([{ kind: 'tensorMap', tensor: 'q', box: [64, 1, 64] }]), sized({ ...extents, tokens: 0 }), tables,
    );
    place([device(0, 'bf16', [0, 4, 64])]);
    expect(bytes).toEqual(new Uint8Array(128));
  });
});
