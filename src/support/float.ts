/** The two 16-bit element types. */
export type Half = 'f16' | 'bf16';

const asFloat = new Float32Array(1);
const asBits = new Uint32Array(asFloat.buffer);

/** The 16 bits nearest to a number, ties to even, beyond the largest finite one infinity. Goes through f32, as tensor libraries do. */
export function halfBits(kind: Half, x: number): number {
  asFloat[0] = x;
  const bits = asBits[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | (kind === 'f16' ? 0x7e00 : 0x7fc0);
  // Half of the last place kept, less one if that is even, carries into it exactly where rounding goes up.
  if (kind === 'bf16') return sign | ((magnitude + 0x7fff + ((magnitude >>> 16) & 1)) >>> 16);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) return sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13);
  // Below 2^-14 the spacing is 2^-24, which is that of f32 in 0.5..1: the addition rounds.
  asFloat[0] = Math.abs(x) + 0.5;
  return sign | (asBits[0] - 0x3f000000);
}

/** The number that 16 bits stand for. */
export function halfValue(kind: Half, bits: number): number {
  if (kind === 'bf16') {
    asBits[0] = bits << 16;
    return asFloat[0];
  }
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

export function toHalves(kind: Half, values: ArrayLike<number>): Uint16Array {
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) bits[i] = halfBits(kind, values[i]);
  return bits;
}

export function fromHalves(kind: Half, bits: ArrayLike<number>): Float32Array {
  const values = new Float32Array(bits.length);
  for (let i = 0; i < values.length; i++) values[i] = halfValue(kind, bits[i]);
  return values;
}
