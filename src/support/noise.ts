/** Two words from which all draws of one place in a program come. */
export type NoiseKey = readonly [number, number];

/** Rounds, multipliers and increments of Philox 4x32 (Salmon, Moraes, Dror, Shaw: Parallel random numbers, as easy as 1, 2, 3). */
const ROUNDS = 10;
const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57] as const;
const INCREMENTS = [0x9e3779b9, 0xbb67ae85] as const;

/** Upper half of the product of two words. */
function high(a: number, b: number): number {
  const a1 = a >>> 16;
  const a0 = a & 0xffff;
  const b1 = b >>> 16;
  const b0 = b & 0xffff;
  // Below 2^32 each: (2^16 - 1)^2 + 2^16 - 1.
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const other = a0 * b1 + (middle & 0xffff);
  return (a1 * b1 + (middle >>> 16) + (other >>> 16)) >>> 0;
}

/** Four words that are a function of a counter of four and a key of two, and look like nothing else. */
export function philox([c0, c1, c2, c3]: readonly [number, number, number, number], [k0, k1]: NoiseKey): [number, number, number, number] {
  let x0 = c0 >>> 0;
  let x1 = c1 >>> 0;
  let x2 = c2 >>> 0;
  let x3 = c3 >>> 0;
  let key0 = k0 >>> 0;
  let key1 = k1 >>> 0;
  for (let round = 0; round < ROUNDS; round++) {
    const h0 = high(MULTIPLIERS[0], x0);
    const l0 = Math.imul(MULTIPLIERS[0], x0) >>> 0;
    const h1 = high(MULTIPLIERS[1], x2);
    const l1 = Math.imul(MULTIPLIERS[1], x2) >>> 0;
    x0 = (h1 ^ x1 ^ key0) >>> 0;
    x1 = l1;
    x2 = (h0 ^ x3 ^ key1) >>> 0;
    x3 = l0;
    key0 = (key0 + INCREMENTS[0]) >>> 0;
    key1 = (key1 + INCREMENTS[1]) >>> 0;
  }
  return [x0, x1, x2, x3];
}

/** What a key becomes when words are added to what it depends on. */
export function keyWith(key: NoiseKey, ...words: readonly number[]): NoiseKey {
  return words.reduce<NoiseKey>((at, word) => {
    const [a, b] = philox([word, Math.floor(word / 2 ** 32), words.length, 0], at);
    return [a, b];
  }, key);
}

/** The key of a place: every letter of its path counts. */
export function keyOf(seed: number, path: string, ...words: readonly number[]): NoiseKey {
  return keyWith([seed, Math.floor(seed / 2 ** 32)], path.length, ...Array.from(path, (letter) => letter.codePointAt(0) ?? 0), ...words);
}

/** A key as kernels take it, whose numbers hold no whole word: halves of its words, the lower ones first. */
export function halvesOf(key: NoiseKey): readonly number[] {
  return key.flatMap((word) => [word & 0xffff, word >>> 16]);
}

/** Strictly between 0 and 1, in the middle of one of 2^32 steps. */
export function unit(word: number): number {
  return (word + 0.5) / 2 ** 32;
}

/** Of two words, two numbers of mean 0 and variance 1 (Box and Muller). */
function gaussians(a: number, b: number): [number, number] {
  const radius = Math.sqrt(-2 * Math.log(unit(a)));
  const angle = 2 * Math.PI * unit(b);
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

export type Draw = 'normal' | 'uniform';

/** Fills `out[at...at + count]`: element i is a function of key, `place` and i. Four elements share a call of the generator. */
export function fillDraws(
  draw: Draw, key: NoiseKey, place: readonly [number, number, number], out: Float64Array, at: number, count: number,
): void {
  for (let i = 0; i < count; i += 4) {
    const four = fourDraws(draw, key, place, i / 4);
    for (let j = 0; j < 4 && i + j < count; j++) out[at + i + j] = four[j];
  }
}

/** The elements from 4 `block` on. */
export function fourDraws(draw: Draw, key: NoiseKey, place: readonly [number, number, number], block: number): readonly number[] {
  const words = philox([block, ...place], key);
  return draw === 'uniform' ? words.map(unit) : [...gaussians(words[0], words[1]), ...gaussians(words[2], words[3])];
}
