// Inputs that random ones never look like: numbers that 16 bits do not hold, and one key, or nearly one, over and over. The GPU's rows and
// the emulator's tests draw them here.

/** Multiplies what was drawn; names that a scan lacks are passed over. */
export const times = (factors) => (drawn) => {
  for (const [name, factor] of Object.entries(factors)) drawn.get(name)?.data.forEach((x, i, data) => void (data[i] = x * factor));
};

/** One key for all tokens of a head, and this strength for all. */
export const repeated = (strength) => (drawn) => {
  for (const [name, { data, shape }] of drawn) {
    const period = shape.slice(-2).reduce((a, b) => a * b, 1);
    if (/^k\d?$/.test(name)) data.forEach((_, i) => void (data[i] = data[i % period]));
    if (/^beta\d?$/.test(name)) data.fill(strength);
    if (/^b\d?$/.test(name)) data.fill(Math.log(strength / (2 - strength)));
  }
};

/** Nearly one key for all tokens of a head, as long as it, a tenth of them turned round; strengths from `low` to `high`. */
export const nearlyRepeated = (low, high, noise = 0.1) => (drawn) => {
  const length = (x) => Math.hypot(...x);
  const place = (i) => (i * 0.618) % 1;
  for (const [name, { data, shape }] of drawn) {
    const [heads, K] = shape.slice(-2);
    if (/^beta\d?$/.test(name)) data.forEach((_, i) => void (data[i] = low + (high - low) * place(i)));
    if (!/^k\d?$/.test(name)) continue;
    const first = data.slice(0, heads * K);
    for (let at = first.length; at < data.length; at += K) {
      const one = first.subarray(at % first.length, at % first.length + K);
      const own = data.subarray(at, at + K);
      const [near, off] = [noise * length(one) / length(own), place(at) < 0.1 ? -1 : 1];
      own.forEach((x, i) => void (own[i] = one[i] + near * x));
      const scale = off * length(one) / length(own);
      own.forEach((x, i) => void (own[i] = scale * x));
    }
  }
};

/**
 * States, or their cotangents, that f16 cannot hold, beside inputs, outputs and gradients that it can; and cotangents that it cannot tell
 * from 0.
 */
export const RANGES = {
  states: { S: 1e5, d_S: 1e-4, d_o: 1e-2, q: 1e-2, r: 1e-2 },
  cotangents: { S: 1e-4, d_S: 1e5, v: 1e-2, k: 1e-2 },
  // The same where keys have to keep their length.
  erasedCotangents: { S: 1e-4, d_S: 1e5, v: 1e-2, beta: 1e-2 },
  small: { d_S: 1e-9, d_o: 0 },
};

/**
 * Errors of right kernels are of the size of what one rounding of the inputs does, or within tolerance: so many times of that are allowed.
 */
export const FEW = 3;
