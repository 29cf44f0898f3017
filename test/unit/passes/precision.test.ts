import { describe, expect, it } from 'vitest';
import { errorClasses } from '../../../src/driver/scan/run/classes.js';
import { signatureOf } from '../../../src/ir/spec/signature.js';
import { tolerance } from '../../../src/driver/tolerance.js';
import { gradSpec } from '../../../src/interp/spec-gradient.js';
import { runTiles } from '../../../src/interp/tile.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { fromHalves, toHalves } from '../../../src/support/float.js';
import { distance } from '../../property/tiles.js';
import { draw, specOf } from './scans.js';

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

describe('what is stored in 16 bits, and products of 16-bit operands', () => {
  for (const [name, text] of Object.entries(SCANS)) {
    it(`stay within the tolerances: ${name}`, () => {
      const spec = specOf(text);
      const sizes = new Map([['K', 32], ['V', 32]]);
      const { scan, module } = lowerScan(spec, sizes, { halfOperands: true });
      const { call, given, cotangents } = draw(spec, sizes, [200], 7);
      const isIo = (tensor: string) => module.buffers.some((buffer) => buffer.name === tensor && buffer.dtype === 'io');
      const rounded = (
        from: ReadonlyMap<string, Float64Array>,
      ) => [...from].map(([tensor, data]) => [tensor, isIo(tensor) ? bf16(data) : data] as const);
      const inputs = new Map(rounded(given));
      const outputs = new Map(rounded(cotangents));
      const expected = gradSpec(spec, call, inputs, outputs);
      const classOf = errorClasses(spec, scan);
      const signature = signatureOf(spec);
      for (const program of ['forward', 'backward'] as const) {
        const buffers = new Map([...inputs, ...(program === 'backward' ? outputs : [])]);
        // The cotangent of a last state has a name of its own in plans.
        for (const [tensor, data] of outputs) if (program === 'backward' && tensor === 'd_S') buffers.set('d_final.S', data);
        buffers.delete('d_S');
        runTiles(module, program, { heads: 2, groups: 1, runs: { token: [[0, 200]] } }, buffers, { io: one, operand: one });
        for (const tensor of program === 'forward' ? signature.results : signature.gradients) {
          const found = buffers.get(tensor.role === 'final' ? `final.${tensor.of}` : tensor.name);
          const wanted = expected.get(tensor.name);
          if (found === undefined || wanted === undefined) throw new Error(`no ${tensor.name}`);
          expect(distance(found, wanted), `${program} ${tensor.name}`).toBeLessThan(tolerance('bf16', classOf(tensor)));
        }
      }
    }, 30_000);
  }
});
