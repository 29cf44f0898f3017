import { halfBits, halfValue } from '../../support/float.js';
import type { Bits } from './box.js';

/** Element types that a header may name, and their bytes. */
export const WIDTHS = {
  f64: 8, f32: 4, f16: 2, bf16: 2, f8_e4m3: 1, f8_e5m2: 1, i8: 1, u8: 1,
  f8_e8m0: 1, bool: 1, i16: 2, u16: 2, i32: 4, u32: 4, i64: 8, u64: 8,
} as const;

export type StoredDtype = keyof typeof WIDTHS;

/** What weights are written as. */
export const FLOATS = ['f64', 'f32', 'f16', 'bf16'] as const;
export type Float = (typeof FLOATS)[number];

export function isFloat(dtype: StoredDtype): dtype is Float {
  return (FLOATS as readonly string[]).includes(dtype);
}

/** Element types that weights may have: those of `FLOATS` as they are, small ones decoded. */
const DECODED = ['f8_e4m3', 'f8_e5m2', 'i8', 'u8'] as const;
type Decoded = (typeof DECODED)[number];

export function isDecoded(dtype: StoredDtype): dtype is Decoded {
  return (DECODED as readonly string[]).includes(dtype);
}

/** Numbers of a chunk, wide enough for all that is stored. */
export type Numbers = Float32Array | Float64Array;

const table = (valueOf: (bits: number) => number): Float32Array => Float32Array.from({ length: 256 }, (_, bits) => valueOf(bits));

/** Four bits of exponent (bias 7), three of fraction; no infinities, 0x7f and 0xff are NaN. */
export function e4m3(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits >> 3) & 15;
  const fraction = bits & 7;
  if ((bits & 0x7f) === 0x7f) return NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -9 : (1 + fraction / 8) * 2 ** (exponent - 7));
}

/** The upper half of an f16. */
function e5m2(bits: number): number {
  return halfValue('f16', bits << 8);
}

const TABLES: Readonly<Record<Decoded, Float32Array>> = {
  f8_e4m3: table(e4m3), f8_e5m2: table(e5m2), i8: table((bits) => (bits << 24) >> 24), u8: table((bits) => bits),
};
const HALVES: Partial<Record<'f16' | 'bf16', Float32Array>> = {};

function halfTable(dtype: 'f16' | 'bf16'): Float32Array {
  return (HALVES[dtype] ??= Float32Array.from({ length: 65536 }, (_, bits) => halfValue(dtype, bits)));
}

/** `bytes` begin at a multiple of the width in their buffer. */
export function bitsOf(dtype: Float, bytes: Uint8Array): Bits {
  const count = bytes.byteLength / WIDTHS[dtype];
  switch (dtype) {
    case 'f64': return new Float64Array(bytes.buffer, bytes.byteOffset, count);
    case 'f32': return new Uint32Array(bytes.buffer, bytes.byteOffset, count);
    case 'f16': case 'bf16': return new Uint16Array(bytes.buffer, bytes.byteOffset, count);
  }
}

export function numbersOf(dtype: Float | Decoded, bytes: Uint8Array): Numbers {
  switch (dtype) {
    case 'f64': return new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
    case 'f32': return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    case 'f16': case 'bf16': return lookUp(halfTable(dtype), new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2));
    case 'f8_e4m3': case 'f8_e5m2': case 'i8': case 'u8': return lookUp(TABLES[dtype], bytes);
  }
}

function lookUp(values: Float32Array, bits: Uint8Array | Uint16Array): Float32Array {
  const numbers = new Float32Array(bits.length);
  for (let i = 0; i < numbers.length; i++) numbers[i] = values[bits[i]];
  return numbers;
}

const asFloat = new Float32Array(1);
const asBits = new Uint32Array(asFloat.buffer);

/** Rounds numbers to a dtype. */
export function roundedTo(dtype: Float, numbers: Numbers): Bits {
  switch (dtype) {
    case 'f64': return Float64Array.from(numbers);
    case 'f32': {
      const floats = numbers instanceof Float32Array ? numbers : Float32Array.from(numbers);
      return new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
    }
    case 'bf16': {
      const bits = new Uint16Array(numbers.length);
      for (let i = 0; i < bits.length; i++) {
        asFloat[0] = numbers[i];
        const word = asBits[0];
        // To the nearest, ties to even; a NaN stays one.
        bits[i] = (word & 0x7fffffff) > 0x7f800000 ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
      }
      return bits;
    }
    case 'f16': {
      const bits = new Uint16Array(numbers.length);
      for (let i = 0; i < bits.length; i++) bits[i] = halfBits('f16', numbers[i]);
      return bits;
    }
  }
}

/** Two in a byte, the lower one first: sign, two bits of exponent, one of fraction. */
const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];
export const MX_BLOCK = 32;

/** Blocks of 32 numbers of 4 bits, each block with a power of two (`scales`, bias 127; 255 is NaN). */
export function decodeMx(blocks: Uint8Array, scales: Uint8Array): Float32Array {
  const numbers = new Float32Array(blocks.length * 2);
  for (let i = 0; i < blocks.length; i++) {
    const scale = scales[i >> 4];
    const factor = scale === 255 ? NaN : 2 ** (scale - 127);
    numbers[2 * i] = E2M1[blocks[i] & 15] * factor;
    numbers[2 * i + 1] = E2M1[blocks[i] >> 4] * factor;
  }
  return numbers;
}

/** The wider of two; decoded numbers fit in bf16. */
export function widest(dtypes: readonly StoredDtype[]): Float {
  const floats = dtypes.map((dtype): Float => (isFloat(dtype) ? dtype : 'bf16'));
  const found = FLOATS.find((dtype) => floats.includes(dtype)) ?? 'bf16';
  // Neither of the halves holds the other's numbers.
  return found === 'f16' && floats.includes('bf16') ? 'f32' : found;
}
