import { expect, it } from 'vitest';
import { contractInto, type Dim } from '../../../../src/interp/graph/contract.js';
import { randomSource } from '../../../../src/support/random.js';

/** The same, element by element. */
function plainly(dims: readonly Dim[], a: Float64Array, b: Float64Array, c: Float64Array, at = [0, 0, 0], depth = 0): void {
  if (depth === dims.length) {
    c[at[2]] += a[at[0]] * b[at[1]];
    return;
  }
  const dim = dims[depth];
  for (let i = 0; i < dim.size; i++) plainly(dims, a, b, c, [at[0] + i * dim.a, at[1] + i * dim.b, at[2] + i * dim.c], depth + 1);
}

it('any product of tensors is what loops over its elements give, whatever is summed, shared or broadcast', () => {
  const random = randomSource(4);
  for (let n = 0; n < 400; n++) {
    // Row-major tensors over some of up to four axes, in any order each.
    const sizes = Array.from({ length: 1 + random.below(4) }, () => 1 + random.below(7));
    const strides = ['a', 'b', 'c'].map(() => {
      const order = sizes.map((_, i) => i).filter(() => random.uniform() < 0.7).sort(() => random.uniform() - 0.5);
      let step = 1;
      const result = sizes.map(() => 0);
      for (const i of order) {
        result[i] = step;
        step *= sizes[i];
      }
      return { result, size: step };
    });
    const dims = sizes.map((size, i): Dim => ({ size, a: strides[0].result[i], b: strides[1].result[i], c: strides[2].result[i] }));
    const [a, b, c] = strides.map(({ size }) => Float64Array.from({ length: size }, () => random.normal()));
    const expected = c.slice();
    plainly(dims, a, b, expected);
    contractInto(dims, a, 0, b, 0, c, 0);
    c.forEach((value, i) => expect(value, `case ${n}`).toBeCloseTo(expected[i], 10));
  }
});
