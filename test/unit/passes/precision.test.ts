import { describe, expect, it } from 'vitest';
import { errorClasses } from '../../../src/driver/scan/run/classes.js';
import { signatureOf } from '../../../src/ir/spec/signature.js';
import { tolerance, type ErrorClass } from '../../../src/driver/tolerance.js';
import { gradSpec } from '../../../src/interp/spec-gradient.js';
import { runTiles } from '../../../src/interp/tile.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { fromHalves, toHalves } from '../../../src/support/float.js';
import { randomSource } from '../../../src/support/random.js';
import { distance } from '../../property/tiles.js';
import { draw, specOf, type Drawn } from './scans.js';

const bf16 = (values: Float64Array): Float64Array => Float64Array.from(fromHalves('bf16', toHalves('bf16', values)));
const one = (value: number): number => bf16(Float64Array.of(value))[0];

const GATED = '-0.5..0';
const SCANS: Readonly<Record<string, string>> = {
  'a scalar gate': `scan s(q, k: [K], v: [V], g: [] in ${GATED}) -> o: [V] { `
    + 'state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S / sqrt(K) }',
  'a gate per key channel': `scan s(q, k: [K], v: [V], g: [K] in ${GATED}) -> o: [V] { `
    + 'state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S / sqrt(K) }',
  'an erase after a scalar gate': `scan s(q, k: [K], v: [V], g: [] in ${GATED}, b: [] in 0..1) -> o: [V] { state S: [K, V]
    let n = l2norm[K](k)  let P = exp(g) * S[t-1]  S = P + outer(n, b * (v - n @ P))  o = l2norm[K](q) @ S / sqrt(K) }`,
  'a gate from params, before an erase': `scan s(q, k: [K], v: [V], a: [], b: [] in 0..1) -> o: [V] { param rate, bias: []  state S: [K, V]
    let n = l2norm[K](k)  let P = exp(-exp(rate) * softplus(a + bias)) * S[t-1]  S = P + outer(n, b * (v - n @ P))  o = q @ S / sqrt(K) }`,
  'a gate per key channel from params, before an erase': `scan s(q, k: [K], v: [V], a: [K], b: [] in 0..1) -> o: [V] {
    param rate: [], bias: [K]  state S: [K, V]
    let n = l2norm[K](k)  let P = exp(-exp(rate) * softplus(a + bias)) * S[t-1]  S = P + outer(n, b * (v - n @ P))  o = q @ S }`,
  'a gate per value channel that is no logarithm': 'scan s(q, k: [K], v: [V], a: [V] in 0.05..1) -> o: [V] { '
    + 'state S: [K, V]  S = a * S[t-1] + outer(k, silu(v))  o = silu(q @ S) }',
  'two erases': `scan s(q, k, k2: [K], v, v2: [V], g: [] in ${GATED}, b, b2: [] in 0..2) -> o: [V] { state S: [K, V]
    let P = exp(g) * S[t-1]  let Q = P + outer(k, b * (v - k @ P))  S = Q + outer(k2, b2 * (v2 - k2 @ Q))  o = q @ S }`,
  'an erase after a channel gate': `scan s(q, k: [K], v: [V], g: [K] in ${GATED}, b: [] in 0..1) -> o: [V] { state S: [K, V]
    let n = l2norm[K](k)  let P = exp(g) * S[t-1]  S = P + outer(n, b * (v - n @ P))  o = l2norm[K](q) @ S / sqrt(K) }`,
};

interface Found {
  readonly tensor: string;
  readonly error: number;
  readonly kind: ErrorClass;
}

/** Errors of all results and gradients where everything that is stored, and every operand of a product, has the digits of bf16. */
function roundedErrors(
  text: string, sizes: ReadonlyMap<string, number>, tokens: number, adjust?: (drawn: Drawn) => void,
): readonly Found[] {
  const spec = specOf(text);
  const { scan, module } = lowerScan(spec, sizes, { halfOperands: true });
  const drawn = draw(spec, sizes, [tokens], 7);
  adjust?.(drawn);
  const { call, given, cotangents } = drawn;
  const isIo = (tensor: string) => module.buffers.some((buffer) => buffer.name === tensor && buffer.dtype === 'io');
  const rounded = (
    from: ReadonlyMap<string, Float64Array>,
  ) => [...from].map(([tensor, data]) => [tensor, isIo(tensor) ? bf16(data) : data] as const);
  const inputs = new Map(rounded(given));
  const outputs = new Map(rounded(cotangents));
  const expected = gradSpec(spec, call, inputs, outputs);
  const classOf = errorClasses(spec, scan);
  const signature = signatureOf(spec);
  return (['forward', 'backward'] as const).flatMap((program) => {
    const buffers = new Map([...inputs, ...(program === 'backward' ? outputs : [])]);
    // The cotangent of a last state has a name of its own in plans.
    for (const [tensor, data] of outputs) if (program === 'backward' && tensor === 'd_S') buffers.set('d_final.S', data);
    buffers.delete('d_S');
    runTiles(module, program, { heads: 2, groups: 1, runs: { token: [[0, tokens]] } }, buffers, { io: one, operand: one });
    return (program === 'forward' ? signature.results : signature.gradients).map((tensor): Found => {
      const found = buffers.get(tensor.role === 'final' ? `final.${tensor.of}` : tensor.name);
      const wanted = expected.get(tensor.name);
      if (found === undefined || wanted === undefined) throw new Error(`no ${tensor.name}`);
      return { tensor: `${program} ${tensor.name}`, error: distance(found, wanted), kind: classOf(tensor) };
    });
  });
}

describe('what is stored in 16 bits, and products of 16-bit operands', () => {
  for (const [name, text] of Object.entries(SCANS)) {
    it(`stay within the tolerances: ${name}`, () => {
      const errors = roundedErrors(text, new Map([['K', 32], ['V', 32]]), 200);
      expect(errors.filter(({ error, kind }) => !(error < tolerance('bf16', kind)))).toEqual([]);
      expect(errors.length).toBeGreaterThan(5);
    });
  }

  // One direction with noise, a tenth of it turned round: what is written along it cancels in what is read.
  const nearly = ({ given }: Drawn) => {
    const random = randomSource(11, 'keys');
    for (const [name, data] of given) {
      if (/^b\d?$/.test(name)) data.forEach((_, i) => void (data[i] = 1 + 0.9 * random.uniform()));
      if (!/^k\d?$/.test(name)) continue;
      const base = Array.from({ length: 16 }, () => random.uniform() - 0.5);
      const length = Math.hypot(...base);
      for (let at = 0; at < data.length; at += 16) {
        const sign = random.uniform() < 0.1 ? -1 : 1;
        const key = base.map((x) => sign * x / length + 0.1 * (random.uniform() - 0.5));
        key.forEach((x, i) => void (data[at + i] = x / Math.hypot(...key)));
      }
    }
  };
  it.each([
    ['one erase', `scan s(q, k: [K], v: [V], b: [] in 0..2) -> o: [V] { state S: [K, V]
      S = S[t-1] + outer(k, b * (v - k @ S[t-1]))  o = q @ S }`],
    ['two erases', `scan s(q, k, k2: [K], v: [V], b, b2: [] in 0..2) -> o: [V] { state S: [K, V]
      let P = S[t-1] + outer(k, b * (v - k @ S[t-1]))  S = P + outer(k2, b2 * (v - k2 @ P))  o = q @ S }`],
  ])('stay within them along nearly repeated keys with strengths near 2: %s', (_, text) => {
    const errors = roundedErrors(text, new Map([['K', 16], ['V', 16]]), 128, nearly);
    expect(errors.filter(({ error, kind }) => !(error < tolerance('bf16', kind)))).toEqual([]);
    expect(errors.length).toBeGreaterThan(5);
  });
});
