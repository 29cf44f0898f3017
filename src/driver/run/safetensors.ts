import { briefShape, briefText, kindName } from '../../support/brief.js';
import { fromHalves, toHalves } from '../../support/float.js';
import { problem, type Problem } from '../problem.js';
import { repeatedKey } from './json-keys.js';
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

interface Entry {
  readonly name: string;
  readonly dtype: FileDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

const TRUNCATED = 'the file is truncated: write it again';
const NOT_A_FILE = 'a safetensors file starts with the length of its header (8 bytes) and the header in JSON; check that this is one';
const DAMAGED = 'the file is damaged, or what wrote it has an error: write it again';

/**
 * Reads a whole file and trusts nothing that it says: every byte of the data belongs to exactly one tensor, and every tensor has as many as
 * its shape needs. `path` is for messages only.
 */
export function readSafetensors(bytes: Uint8Array, path: string): ReadonlyMap<string, FileTensor> | Problem {
  const wrong = (text: string, help: string): Problem => problem('E506', `${path}: ${text}`, help);
  if (bytes.length < 8) return wrong(`it has ${bytes.length} bytes, too few for the length of a header`, bytes.length === 0 ? TRUNCATED : NOT_A_FILE);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > BigInt(bytes.length - 8)) return wrong(`its header should have ${length} bytes, but only ${bytes.length - 8} follow`, bytes[8] === 0x7b ? TRUNCATED : NOT_A_FILE);
  const dataStart = 8 + Number(length);
  const header = parseHeader(bytes.subarray(8, dataStart));
  if (typeof header === 'string') return wrong(header, NOT_A_FILE);

  const data = bytes.subarray(dataStart);
  const entries: Entry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') {
      if (!isRecord(value) || Object.values(value).some((text) => typeof text !== 'string')) return wrong('`__metadata__` is no map of strings', DAMAGED);
      continue;
    }
    const entry = readEntry(name, value);
    if ('fault' in entry) return wrong(`tensor \`${briefText(name)}\`: ${entry.fault}`, entry.help);
    if (entry.end > data.length) return wrong(`tensor \`${briefText(name)}\`: its bytes end at ${entry.end}, the data has ${data.length}`, TRUNCATED);
    entries.push(entry);
  }
  const gap = findGap(entries, data.length);
  if (gap !== undefined) return wrong(gap, DAMAGED);
  const tensors = new Map<string, FileTensor>();
  for (const { name, dtype, shape, begin, end } of entries) {
    // A copy, to be aligned; `slice` would make none of a Node Buffer.
    tensors.set(name, { dtype, shape, data: decode(dtype, new Uint8Array(data.subarray(begin, end)).buffer) });
  }
  return tensors;
}

/** The JSON object, or what is wrong with it. */
function parseHeader(bytes: Uint8Array): Readonly<Record<string, unknown>> | string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return 'its header is no UTF-8 text';
  }
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (error) {
    return `its header is no JSON: ${briefText(error instanceof Error ? error.message : String(error), 120)}`;
  }
  if (!text.startsWith('{') || !isRecord(header)) return 'its header is no JSON object';
  const repeated = repeatedKey(text);
  return repeated === undefined ? header : `its header names \`${briefText(repeated)}\` twice`;
}

function readEntry(name: string, value: unknown): Entry | { readonly fault: string; readonly help: string } {
  const damaged = (fault: string) => ({ fault, help: DAMAGED });
  if (!isRecord(value)) return damaged('its entry is no JSON object');
  const { dtype: written, shape, data_offsets: offsets } = value;
  if (typeof written !== 'string') return damaged('its dtype is missing');
  const dtype = written.toLowerCase();
  if (!isDtype(dtype) || written !== written.toUpperCase()) {
    return { fault: `its dtype is ${briefText(written)}`, help: `store it as one of ${Object.keys(BYTES).map((known) => known.toUpperCase()).join(', ')}` };
  }
  if (!isCounts(shape)) return damaged(`its shape is ${listName(shape)}, no list of extents`);
  if (!isCounts(offsets) || offsets.length !== 2) return damaged(`its data_offsets are ${listName(offsets)}, no pair of offsets`);
  const [begin, end] = offsets;
  if (end < begin) return damaged(`its bytes end at ${end}, before they begin at ${begin}`);
  const expected = shape.reduce((n, extent) => n * extent, 1) * BYTES[dtype];
  if (end - begin !== expected) return damaged(`${written} ${briefShape(shape)} needs ${expected} bytes, its data_offsets [${begin}, ${end}] hold ${end - begin}`);
  return { name, dtype, shape, begin, end };
}

/** Bytes that no tensor has, or two. */
function findGap(entries: readonly Entry[], length: number): string | undefined {
  let at = 0;
  let before = '';
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < at) return `tensor \`${briefText(name)}\` starts at byte ${begin} of the data, inside of \`${briefText(before)}\`, which ends at ${at}`;
    if (begin > at) return `bytes ${at} to ${begin} of the data belong to no tensor`;
    [at, before] = [end, name];
  }
  return at < length ? `bytes ${at} to ${length} of the data belong to no tensor` : undefined;
}

/** `[2, -1]`; what is no list of numbers by its kind, however large or deep. */
function listName(value: unknown): string {
  return Array.isArray(value) && value.every((n) => typeof n === 'number') ? briefShape(value) : kindName(value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isDtype(text: string): text is FileDtype {
  return Object.hasOwn(BYTES, text);
}

function isCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
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

/** The bytes of a file. Equal tensors give equal bytes: wide elements come first, so that all lie at multiples of their size, then names in order. */
export function writeSafetensors(tensors: ReadonlyMap<string, WritableTensor>): Uint8Array {
  const sorted = [...tensors].sort(([a, x], [b, y]) => BYTES[y.dtype] - BYTES[x.dtype] || (a < b ? -1 : 1));
  let end = 0;
  const header: Record<string, object> = {};
  for (const [name, { dtype, shape, data }] of sorted) {
    const begin = end;
    end += data.length * BYTES[dtype];
    if (shape.reduce((n, extent) => n * extent, 1) !== data.length) throw new Error(`tensor ${name} [${shape.join(', ')}] has ${data.length} elements`);
    header[name] = { dtype: dtype.toUpperCase(), shape, data_offsets: [begin, end] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded + end).fill(0x20, 8, 8 + padded);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(text, 8);
  let at = 8 + padded;
  for (const [, { dtype, data }] of sorted) {
    const view = encode(dtype, data);
    bytes.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength), at);
    at += view.byteLength;
  }
  return bytes;
}
