import { briefShape, briefText, kindName } from '../support/brief.js';
import { repeatedKey } from './run/json-keys.js';

/** One tensor of a safetensors file; its bytes begin and end at offsets of the data behind the header. */
export interface HeaderEntry<Dtype extends string = string> {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface HeaderFault {
  readonly text: string;
  readonly help: string;
}

export const TRUNCATED = 'the file is truncated: write it again';
export const NOT_A_FILE = 'a safetensors file starts with the length of its header (8 bytes) and the header in JSON; '
  + 'check that this is one';
const DAMAGED = 'the file is damaged, or what wrote it has an error: write it again';
/** What other readers take at most. */
const LONGEST_HEADER = 100_000_000;

/** The length of the header from the first bytes of a file of `size` bytes. */
export function headerLength(start: Uint8Array, size: number): number | HeaderFault {
  if (size < 8) return { text: `it has ${size} bytes, too few for the length of a header`, help: size === 0 ? TRUNCATED : NOT_A_FILE };
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  const help = start[8] === 0x7b ? TRUNCATED : NOT_A_FILE;
  if (length > BigInt(size - 8)) return { text: `its header should have ${length} bytes, but only ${size - 8} follow`, help };
  if (length > BigInt(LONGEST_HEADER)) return {
    text: `its header should have ${length} bytes, more than ${LONGEST_HEADER}`, help: NOT_A_FILE,
  };
  return Number(length);
}

/**
 * Reads a header and trusts nothing that it says: every byte of the data belongs to exactly one tensor, and every tensor has as many
 * as its shape needs.
 * `widths` are the dtypes that the reader knows, and their bytes.
 */
export function readHeader<Dtype extends string>(
  bytes: Uint8Array, dataLength: number, widths: Readonly<Record<Dtype, number>>,
): readonly HeaderEntry<Dtype>[] | HeaderFault {
  const header = parseHeader(bytes);
  if (typeof header === 'string') return { text: header, help: NOT_A_FILE };
  const entries: HeaderEntry<Dtype>[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') {
      if (!isRecord(value) || Object.values(value).some((text) => typeof text !== 'string')) return {
        text: '`__metadata__` is no map of strings', help: DAMAGED,
      };
      continue;
    }
    const entry = readEntry(name, value, widths);
    if ('fault' in entry) return { text: `tensor \`${briefText(name)}\`: ${entry.fault}`, help: entry.help };
    if (entry.end > dataLength) return {
      text: `tensor \`${briefText(name)}\`: its bytes end at ${entry.end}, the data has ${dataLength}`, help: TRUNCATED,
    };
    entries.push(entry);
  }
  const gap = findGap(entries, dataLength);
  return gap === undefined ? entries : { text: gap, help: DAMAGED };
}

/** The JSON object, or what is wrong with it. */
function parseHeader(bytes: Uint8Array): Readonly<Record<string, unknown>> | string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
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

function readEntry<Dtype extends string>(
  name: string, value: unknown, widths: Readonly<Record<Dtype, number>>,
): HeaderEntry<Dtype> | { readonly fault: string; readonly help: string } {
  const damaged = (fault: string) => ({ fault, help: DAMAGED });
  if (!isRecord(value)) return damaged('its entry is no JSON object');
  const { dtype: written, shape, data_offsets: offsets } = value;
  if (typeof written !== 'string') return damaged('its dtype is missing');
  const isDtype = (text: string): text is Dtype => Object.hasOwn(widths, text);
  const dtype = written.toLowerCase();
  if (!isDtype(dtype) || written !== written.toUpperCase()) {
    return {
      fault: `its dtype is ${briefText(written)}`,
      help: `store it as one of ${Object.keys(widths).map((known) => known.toUpperCase()).join(', ')}`,
    };
  }
  if (!isCounts(shape)) return damaged(`its shape is ${listName(shape)}, no list of extents`);
  if (!isCounts(offsets) || offsets.length !== 2) return damaged(`its data_offsets are ${listName(offsets)}, no pair of offsets`);
  const [begin, end] = offsets;
  if (end < begin) return damaged(`its bytes end at ${end}, before they begin at ${begin}`);
  const expected = shape.reduce((n, extent) => n * extent, 1) * widths[dtype];
  if (end - begin !== expected) return damaged(
    `${written} ${briefShape(shape)} needs ${expected} bytes, its data_offsets [${begin}, ${end}] hold ${end - begin}`,
  );
  return { name, dtype, shape, begin, end };
}

/** Bytes that no tensor has, or two. */
function findGap(entries: readonly HeaderEntry[], length: number): string | undefined {
  let at = 0;
  let before = '';
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < at) {
      return `tensor \`${briefText(name)}\` starts at byte ${begin} of the data, inside of \`${briefText(before)}\`, which ends at ${at}`;
    }
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

function isCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

/** A tensor of a file that is to be written. */
interface Written {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/**
 * The first bytes of a file: length and header, padded so that the data begins at a multiple of 8. Tensors follow one another in their
 * order.
 */
export function headerBytes(tensors: readonly Written[], metadata?: Readonly<Record<string, string>>): Uint8Array {
  const header: Record<string, object> = metadata === undefined ? {} : { __metadata__: metadata };
  let end = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    const begin = end;
    end += bytes;
    header[name] = { dtype: dtype.toUpperCase(), shape, data_offsets: [begin, end] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(text.length / 8) * 8;
  const start = new Uint8Array(8 + padded).fill(0x20, 8);
  new DataView(start.buffer).setBigUint64(0, BigInt(padded), true);
  start.set(text, 8);
  return start;
}
