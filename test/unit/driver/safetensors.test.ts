import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { repeatedKey } from '../../../src/driver/run/json-keys.js';
import { readSafetensors, writeSafetensors, type WritableTensor } from '../../../src/driver/run/safetensors.js';

/** A file with any header, valid or not. */
function file(header: string, dataBytes: number, claimed?: bigint): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const entry = (
  dtype: string, shape: readonly number[], begin: number, end: number,
) => JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

/** `E506 title | help` of what must be refused. */
function refusal(bytes: Uint8Array): string {
  const read = readSafetensors(bytes, 'in.safetensors');
  return 'code' in read ? `${read.code} ${read.title} | ${read.help.join(' ')}` : 'accepted';
}

const TRUNCATED = 'the file is truncated: write it again';
const DAMAGED = 'the file is damaged, or what wrote it has an error: write it again';

const tensors = new Map<string, WritableTensor>([
  ['q', { dtype: 'bf16', shape: [2, 3], data: [1, -2, 0.5, 1.00390625, Infinity, -0] }],
  ['half', { dtype: 'f16', shape: [3], data: [1, 65504, 0.1] }],
  ['g', { dtype: 'f32', shape: [2, 1], data: [0.1, -1e30] }],
  ['exact', { dtype: 'f64', shape: [], data: [Math.PI] }],
  ['cu_seqlens', { dtype: 'i64', shape: [3], data: [0, 7, 2 ** 40] }],
  ['index', { dtype: 'i32', shape: [2], data: [-5, 2 ** 31 - 1] }],
  ['none', { dtype: 'f32', shape: [0, 4], data: [] }],
]);

describe('safetensors', () => {
  it('reads back what it wrote, rounded to the element type', () => {
    const read = readSafetensors(writeSafetensors(tensors), 'x');
    if ('code' in read) throw new Error(String(read.title));
    expect(new Map([...read].map(([name, { dtype, shape, data }]) => [
      name, { dtype, shape, data: Array.from(data) },
    ]))).toEqual(new Map(tensors)
      .set('q', { dtype: 'bf16', shape: [2, 3], data: [1, -2, 0.5, 1, Infinity, -0] })
      .set('half', { dtype: 'f16', shape: [3], data: [1, 65504, 0.0999755859375] })
      .set('g', { dtype: 'f32', shape: [2, 1], data: [Math.fround(0.1), Math.fround(-1e30)] }));
  });

  it('writes the same bytes for the same tensors, aligned', () => {
    const bytes = writeSafetensors(tensors);
    expect(writeSafetensors(new Map([...tensors].reverse()))).toEqual(bytes);
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    expect(new TextDecoder().decode(bytes.subarray(8, 8 + length)).trimEnd()).toBe(
      '{"cu_seqlens":{"dtype":"I64","shape":[3],"data_offsets":[0,24]},"exact":{"dtype":"F64","shape":[],"data_offsets":[24,32]},'
      + '"g":{"dtype":"F32","shape":[2,1],"data_offsets":[32,40]},"index":{"dtype":"I32","shape":[2],"data_offsets":[40,48]},'
      + '"none":{"dtype":"F32","shape":[0,4],"data_offsets":[48,48]},'
      + '"half":{"dtype":"F16","shape":[3],"data_offsets":[48,54]},"q":{"dtype":"BF16","shape":[2,3],"data_offsets":[54,66]}}');
    expect(() => writeSafetensors(new Map([['x', { dtype: 'f32', shape: [2], data: [1] }]]))).toThrow('tensor x [2] has 1 elements');
  });

  it('reads files of others: metadata, no padding, bytes that start anywhere', () => {
    const bytes = file(`{"__metadata__":{"format":"pt"},"a":${entry('F32', [1], 4, 8)},"b":${entry('I32', [1], 0, 4)}}`, 8);
    bytes[bytes.length - 1] = 0x40;
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    const views = [bytes, shifted.subarray(3), Buffer.from(shifted).subarray(3)];
    for (const view of views) expect(readSafetensors(view, 'x')).toEqual(new Map<string, object>([
      ['a', { dtype: 'f32', shape: [1], data: Float32Array.of(2) }], ['b', { dtype: 'i32', shape: [1], data: Int32Array.of(0) }],
    ]));
    expect(readSafetensors(file('{}', 0), 'x')).toEqual(new Map());
  });

  it('refuses what is no such file', () => {
    expect(refusal(new Uint8Array())).toBe(`E506 in.safetensors: it has 0 bytes, too few for the length of a header | ${TRUNCATED}`);
    expect(refusal(new TextEncoder().encode('hello, world')))
      .toMatch(/its header should have 8583909746840200552 bytes, but only 4 follow \| a safetensors file starts with/);
    expect(refusal(file('{"a": 1', 0))).toMatch(/its header is no JSON: .*\| a safetensors file/);
    expect(refusal(file('[1]', 0))).toMatch(/its header is no JSON object/);
    expect(refusal(file(' {}', 0))).toMatch(/its header is no JSON object/);
    expect(refusal(file('\ufeff{}', 0))).toMatch(/its header is no JSON: /);
    for (const name of ['null', '5', '[]', '{}']) {
      const odd = `{"constructor":{"name":${name}}}`;
      expect(refusal(file(`{"a":{"dtype":"F32","shape":${odd},"data_offsets":[0,4]}}`, 4))).toMatch(/its shape is an object, no list/);
      expect(refusal(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":${odd}}}`, 4))).toMatch(/its data_offsets are an object, no/);
    }
    expect(refusal(file('', 0))).toMatch(/its header is no JSON/);
    expect(refusal(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0xff))).toMatch(/its header is no UTF-8 text/);
  });

  it('refuses truncated files, wherever they end', () => {
    const bytes = writeSafetensors(tensors);
    for (let length = 0; length < bytes.length; length++) expect(
      refusal(bytes.subarray(0, length)), String(length),
    ).toMatch(/^E506 in\.safetensors: /);
    expect(refusal(bytes.subarray(0, bytes.length - 5)))
      .toBe(`E506 in.safetensors: tensor \`q\`: its bytes end at 66, the data has 61 | ${TRUNCATED}`);
    expect(refusal(bytes.subarray(0, 100))).toMatch(/its header should have 4\d\d bytes, but only 92 follow \| the file is truncated/);
  });

  it('refuses headers that lie', () => {
    const a = (text: string, bytes = 8) => refusal(file(`{"a":${text}}`, bytes));
    expect(a(entry('F32', [2], 0, 8))).toBe('accepted');
    expect(a(entry('F32', [3], 0, 8)))
      .toBe(`E506 in.safetensors: tensor \`a\`: F32 [3] needs 12 bytes, its data_offsets [0, 8] hold 8 | ${DAMAGED}`);
    expect(a(entry('F32', [2], 8, 0))).toMatch(/its bytes end at 0, before they begin at 8/);
    expect(a(entry('F32', [2], 4, 12))).toMatch(/its bytes end at 12, the data has 8/);
    expect(a(entry('F32', [-2], 0, 8))).toMatch(/its shape is \[-2\], no list of extents/);
    expect(a(entry('F32', [1.5], 0, 6))).toMatch(/its shape is \[1\.5\]/);
    expect(a(entry('F32', [2 ** 40, 2 ** 40], 0, 8))).toMatch(/needs 4\.8\d*e\+24 bytes/);
    expect(a('{"dtype":"F32","shape":2,"data_offsets":[0,8]}')).toMatch(/its shape is the number 2/);
    expect(a('{"dtype":"F32","shape":[2],"data_offsets":[0]}')).toMatch(/its data_offsets are \[0\], no pair/);
    expect(a('{"shape":[2],"data_offsets":[0,8]}')).toMatch(/its dtype is missing/);
    expect(a('7')).toMatch(/its entry is no JSON object/);
    expect(a(entry('I8', [8], 0, 8)))
      .toBe('E506 in.safetensors: tensor `a`: its dtype is I8 | store it as one of F64, F32, F16, BF16, I32, I64');
    expect(a(entry('f32', [2], 0, 8))).toMatch(/its dtype is f32/);
    expect(a(entry('toString', [2], 0, 8))).toMatch(/its dtype is toString/);
    expect(refusal(file('{"__metadata__":{"a":1}}', 0))).toMatch(/`__metadata__` is no map of strings/);
  });

  it('refuses bytes that two tensors have, or none', () => {
    const two = (first: string, second: string) => refusal(file(`{"a":${first},"b":${second}}`, 16));
    expect(two(entry('F32', [2], 0, 8), entry('F32', [2], 8, 16))).toBe('accepted');
    expect(two(entry('F32', [2], 8, 16), entry('F32', [2], 0, 8))).toBe('accepted');
    expect(two(
      entry('F32', [3], 0, 12), entry('F32', [2], 8, 16),
    )).toMatch(/tensor `b` starts at byte 8 of the data, inside of `a`, which ends at 12/);
    expect(two(entry('F32', [4], 0, 16), entry('F32', [2], 4, 12))).toMatch(/tensor `b` starts at byte 4 of the data, inside of `a`/);
    expect(two(entry('F32', [1], 0, 4), entry('F32', [2], 8, 16))).toMatch(/bytes 4 to 8 of the data belong to no tensor/);
    expect(two(entry('F32', [1], 0, 4), entry('F32', [1], 4, 8))).toMatch(/bytes 8 to 16 of the data belong to no tensor/);
  });

  it('refuses headers of any depth and size in one short line', () => {
    const deep = (n: number): string => `${'['.repeat(n)}1${']'.repeat(n)}`;
    const headers = [
      `{"a":{"dtype":"F32","shape":${deep(10_000)},"data_offsets":[0,4]}}`,
      `{"a":{"dtype":"F32","shape":[1],"data_offsets":${deep(10_000)}}}`, deep(10_000),
      `{"a":{"dtype":"F32","shape":[${'2,'.repeat(100_000)}2],"data_offsets":[0,4]}}`,
      `{"${'a'.repeat(1_000_000)}":{"dtype":"${'F'.repeat(1_000_000)}"}}`,
    ];
    for (const header of headers) {
      expect(refusal(file(header, 4))).toMatch(/^E506 /);
      expect(refusal(file(header, 4)).length).toBeLessThan(350);
    }
  });

  it('refuses names that occur twice', () => {
    const a = entry('F32', [1], 0, 4);
    expect(refusal(file(`{"a":${a},"b":${a},"\\u0061":${a}}`, 4))).toMatch(/its header names `a` twice/);
    expect(refusal(file(
      '{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}', 4,
    ))).toMatch(/its header names `shape` twice/);
  });

  it('never throws, whatever bytes it gets', () => {
    const good = writeSafetensors(tensors);
    fc.assert(fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
      const changed = good.slice();
      changed[at] = value;
      const read = readSafetensors(changed, 'x');
      return read instanceof Map || 'code' in read;
    }), { numRuns: 500 });
  });
});

describe('keys of JSON objects', () => {
  it('repeat only within one object', () => {
    expect(repeatedKey('{"a": [{"a": 1}, {"a": "a"}], "b": {"a": "{\\"a\\""}, "c": ["x", "x"]}')).toBeUndefined();
    expect(repeatedKey('{"a": 1, "b": [{"c": {}, "c": 2}]}')).toBe('c');
    expect(repeatedKey('{"a\\\\": 1, "a": 2, "a\\\\": 3}')).toBe('a\\');
  });
});
