// Inputs that random ones never look like: numbers that 16 bits do not hold, and one key over and over. The GPU's rows and the emulator's
// tests draw them here.

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
