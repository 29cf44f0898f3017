import { fromHalves, toHalves } from '../../support/float.js';
import { problem, type Problem } from '../problem.js';
import { headerBytes, headerLength, readHeader, type HeaderFault } from '../safetensors-header.js';
import type { AnyTensor } from './validate.js';

/** Element types that are read and written. 16-bit values are held as f32, 64-bit integers as float64. */
const BYTES = { f64: 8, f32: 4, f16: 2, bf16: 2, i32: 4, i64: 8 } as const;

export type FileDtype = keyof typeof BYTES;

export interface FileTensor extends AnyTensor {
  readonly dtype: FileDtype;
}

/** What may be written: the values are rounded to `dtype`. */
export interface WritableTensor {
  readonly dtype: FileDtype;
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/**
 * Reads a whole file and trusts nothing that it says: every byte of the data belongs to exactly one tensor, and every tensor has as many as
 * its shape needs. `path` is for messages only.
 */
export function readSafetensors(bytes: Uint8Array, path: string): ReadonlyMap<string, FileTensor> | Problem {
  const wrong = ({ text, help }: HeaderFault): Problem => problem('E506', `${path}: ${text}`, help);
  const length = headerLength(bytes, bytes.length);
  if (typeof length !== 'number') return wrong(length);
  const data = bytes.subarray(8 + length);
  const entries = readHeader(bytes.subarray(8, 8 + length), data.length, BYTES);
  if ('text' in entries) return wrong(entries);
  const tensors = new Map<string, FileTensor>();
  for (const { name, dtype, shape, begin, end } of entries) {
    // A copy, to be aligned; `slice` would make none of a Node Buffer.
    tensors.set(name, { dtype, shape, data: decode(dtype, new Uint8Array(data.subarray(begin, end)).buffer) });
  }
  return tensors;
}

function decode(dtype: FileDtype, buffer: ArrayBuffer): ArrayLike<number> {
  switch (dtype) {
    case 'f64': return new Float64Array(buffer);
    case 'f32': return new Float32Array(buffer);
    case 'f16': case 'bf16': return fromHalves(dtype, new Uint16Array(buffer));
    case 'i32': return new Int32Array(buffer);
    case 'i64': return Float64Array.from(new BigInt64Array(buffer), Number);
  }
}

function encode(dtype: FileDtype, data: ArrayLike<number>): ArrayBufferView {
  switch (dtype) {
    case 'f64': return Float64Array.from(data);
    case 'f32': return Float32Array.from(data);
    case 'f16': case 'bf16': return toHalves(dtype, data);
    case 'i32': return Int32Array.from(data);
    case 'i64': return BigInt64Array.from(Array.from(data, BigInt));
  }
}

/**
 * The bytes of a file. Equal tensors give equal bytes: wide elements come first, so that all lie at multiples of their size, then names in
 * order.
 */
export function writeSafetensors(tensors: ReadonlyMap<string, WritableTensor>): Uint8Array {
  const sorted = [...tensors].sort(([a, x], [b, y]) => BYTES[y.dtype] - BYTES[x.dtype] || (a < b ? -1 : 1));
  const entries = sorted.map(([name, { dtype, shape, data }]) => {
    if (shape.reduce((n, extent) => n * extent, 1) !== data.length) {
      throw new Error(`tensor ${name} [${shape.join(', ')}] has ${data.length} elements`);
    }
    return { name, dtype, shape, bytes: data.length * BYTES[dtype] };
  });
  const start = headerBytes(entries);
  const bytes = new Uint8Array(start.length + entries.reduce((sum, entry) => sum + entry.bytes, 0));
  bytes.set(start);
  let at = start.length;
  for (const [, { dtype, data }] of sorted) {
    const view = encode(dtype, data);
    bytes.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength), at);
    at += view.byteLength;
  }
  return bytes;
}
