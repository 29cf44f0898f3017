import { describe, expect, it } from 'vitest';
import { H200, programCost } from '../../../src/driver/scan/explain/costs.js';
import { NO_EXAMPLES } from '../../examples.js';
import { compileExample } from '../cuda/compiled.js';

/**
 * Milliseconds on an H200 in bf16, B = 2, T = 16384, H = 16, heads of 128 x 128 and a key head each (docs/performance.md): forward,
 * backward, and kernels of at least 0.05 ms, one at a time. What is shorter is mostly the measurement's own launch.
 */
const MEASURED: Readonly<Record<string, readonly [number, number, Readonly<Record<string, number>>]>> = {
  simple_gla: [0.324, 1.150, { S_ends: 0.08, S_walk: 0.25, S_states: 0.19, S_reverse_ends: 0.08, S_reverse: 0.19, S_gradients: 0.68 }],
  gla: [0.668, 2.265, { S_prepare: 0.45, S_ends: 0.07, S_walk: 0.17, S_states: 0.17, S_reverse: 0.17, S_gradients: 1.41 }],
  gated_delta: [0.523, 1.525, { S_prepare: 0.18, S_walk: 0.36, S_states: 0.44, S_reverse: 0.49, S_gradients: 0.91 }],
  kda: [0.985, 3.911, { S_prepare: 0.69, S_walk: 0.31, S_states: 0.37, S_reverse: 0.42, S_gradients: 2.60 }],
  rwkv7: [1.586, 6.874, {
    S_prepare: 1.22, S_walk: 0.38, S_states: 0.41, S_reverse: 0.42, S_gradients_rows_values: 3.06, S_gradients_columns: 1.90,
  }],
  // What no constant was chosen by.
  retention: [0.326, 0.922, {}],
  delta_net: [0.424, 1.179, {}],
  rwkv6: [0.702, 2.714, {}],
  comba: [0.620, 1.750, {}],
  gdn2: [0.992, 4.123, {}],
};
const CALL = { heads: 16, groups: 16, lengths: [16384, 16384] };
const FACTOR = 1.6;

describe.skipIf(NO_EXAMPLES)('the times of explain beside those measured', () => {
  it.each(Object.keys(MEASURED))('%s', async (name) => {
    const { plan } = await compileExample(name, 128, 'bf16', 'cuda.sm90');
    const [forward, backward, kernels] = MEASURED[name];
    const [there, back] = (['forward', 'backward'] as const).map((program) => programCost(plan, program, CALL, H200));
    const each = new Map([...there.kernels, ...back.kernels].map((kernel) => [kernel.name, kernel.seconds]));
    const ratios = Object.fromEntries([
      ['forward', forward / there.seconds / 1e3], ['backward', backward / back.seconds / 1e3],
      ...Object.entries(kernels).map(([kernel, ms]): [string, number] => [kernel, ms / (each.get(kernel) ?? 0) / 1e3]),
    ].map(([what, ratio]) => [what, Number(Number(ratio).toFixed(2))]));
    for (const [what, ratio] of Object.entries(ratios)) {
      expect(Math.max(ratio, 1 / ratio), `${name} ${what}: measured over estimated is ${ratio}`).toBeLessThan(FACTOR);
    }
    // A change of the model, or of what kernels do, shows here.
    expect(Object.fromEntries(Object.entries(ratios).map(([what, ratio]) => [what, Number(ratio.toFixed(1))]))).toMatchSnapshot();
  });
});
