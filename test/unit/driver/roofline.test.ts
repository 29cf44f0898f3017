import { describe, expect, it } from 'vitest';
import { H200, programCost } from '../../../src/driver/scan/explain/costs.js';
import { NO_EXAMPLES } from '../../examples.js';
import { compileExample } from '../cuda/compiled.js';

/**
 * Milliseconds on an H200 in bf16, B = 2, T = 16384, H = 16, heads of 128 x 128 and a key head each (docs/performance.md): forward,
 * backward, and kernels of at least 0.05 ms, one at a time. What is shorter is mostly the measurement's own launch.
 */
const MEASURED: Readonly<Record<string, readonly [number, number, Readonly<Record<string, number>>]>> = {
  simple_gla: [
    0.222, 1.030, { S_ends: 0.070, S_walk: 0.147, S_states: 0.149, S_reverse_ends: 0.071, S_reverse: 0.152, S_gradients: 0.604 },
  ],
  gla: [0.640, 2.134, { S_prepare: 0.424, S_ends: 0.064, S_walk: 0.160, S_states: 0.150, S_reverse: 0.152, S_gradients: 1.188 }],
  gated_delta: [0.457, 1.318, { S_prepare: 0.157, S_walk: 0.305, S_states: 0.290, S_reverse: 0.332, S_gradients: 0.723 }],
  kda: [0.926, 3.352, { S_prepare: 0.614, S_walk: 0.300, S_states: 0.277, S_reverse: 0.357, S_gradients: 2.100 }],
  rwkv7: [1.517, 5.651, {
    S_prepare: 1.147, S_walk: 0.374, S_states: 0.384, S_reverse: 0.411, S_gradients_rows_values: 2.140, S_gradients_columns: 1.650,
  }],
  // What no constant was chosen by.
  retention: [0.210, 0.870, {}],
  delta_net: [0.424, 1.122, {}],
  rwkv6: [0.665, 2.240, {}],
  comba: [0.578, 1.613, {}],
  gdn2: [1.211, 3.785, {}],
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
