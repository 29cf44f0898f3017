import { afterAll, describe, expect, it } from 'vitest';
import { emitWgsl } from '../../../../src/backends/wgsl/emit.js';
import type { WebGpuRuntime } from '../../../../src/runtime/webgpu/index.js';
import { openSoftwareGpu } from '../../../webgpu/adapters.js';
import type { CallSizes } from '../../../../src/runtime/extents.js';
import { templates } from '../../cuda/templates.js';
import { emitCuda } from '../../../../src/backends/cuda/emit.js';
import type { TileModule } from '../../../../src/ir/tile/tile.js';
import { compiler, emulate } from '../../cuda/emulate.js';
import { someCall } from '../../interp/graph/make-graph.js';
import { graphOf } from '../../interp/graph/texts.js';
import { resultsOf } from '../../results.js';
import { plain } from '../../wgsl/templates.js';
import { alike } from '../flow/judge.js';
import { MIXTURES, mixture } from '../flow/mixtures.js';
import { EXTREMES } from './extremes.js';
import { choicesShown, madeOf, runForward, tileCall } from './judge.js';

const once = { plain: false, orders: ['0'] } as const;

/** Wide enough for blocks of 64 rows and 64 columns. */
function wide(
  E = 3, lengths: readonly number[] = [7, 0, 4], [D, F]: readonly [number, number] = [64, 128],
): { readonly module: TileModule; readonly given: Map<string, Float64Array>; readonly sizes: CallSizes } {
  const graph = mixture(['softmax', 'mixtral', { D, E, F, k: 2 }], true);
  const call = tileCall(madeOf(graph, 64), someCall(graph, lengths, 12, { program: 'train' }));
  const given = new Map(call.buffers);
  runForward(call, given);
  return { module: call.lowered.module, given, sizes: { heads: 1, groups: 1, lengths } };
}

const SOME = ['mixtral', 'gpt_oss_moe', 'deepseek_v2', 'noisy_topk', 'gshard', 'expert_choice', 'sinkhorn_base'];

/** A mixture with a loss and a buffer in the experts of another one: tokens have sums of some of their slots. */
const NESTED = graphOf(`layer ffn(x: [D]) -> y: [D] with D = 4, F = 3 {
  param up: [D, F], down: [F, D]
  y = silu(x @ up) @ down
}
moe inner(x: [D]) -> y: [D] with D = 4, C = 3 {
  param route: [D, C]
  buffer b: [C] = 0
  use part[C] = ffn
  let s = sigmoid(x @ route)
  let c = top[C, 2](s + b)
  y = sum[C](s[c] * part(x))
  loss balance = C * sum[C](mean[tokens](mask(c)) * mean[tokens](s))
  let n = sum[tokens, calls](mask(c))
  update b += 0.1 * sign(mean[C](n) - n)
}
moe nested(x: [D]) -> y: [D] with D = 4, E = 3 {
  param gate: [D, E]
  use expert[E] = inner
  let p = softmax[E](x @ gate)
  y = sum[E](p[top[E, 2](p)] * expert(x))
}`, 'nested');

const some = [
  ...MIXTURES.filter(([, name]) => SOME.includes(name)).map((one) => (
    { what: one[1], graph: mixture(one, true), lengths: [7, 0, 4], same: undefined }
  )),
  ...EXTREMES.slice(0, 3).map(({ one, ...rest }) => ({ ...rest, graph: mixture(one, true) })),
  { what: 'a mixture with losses in experts', graph: NESTED, lengths: [7, 0, 4], same: undefined },
].map(({ what, graph, lengths, same }) => {
  const drawn = someCall(graph, lengths, 12, { program: 'train' });
  const made = madeOf(graph);
  const call = tileCall(made, same ? alike(drawn, 1) : drawn);
  const given = new Map(call.buffers);
  // What backward takes of forward.
  runForward(call, given);
  return { name: what, ...call, lowered: { module: choicesShown(made).module }, given, sizes: { heads: 1, groups: 1, lengths } };
});

describe('mixtures that no back end knows', () => {
  for (const { name, lowered: { module }, given, sizes } of some) {
    it.skipIf(!compiler)(`${name} as CUDA (skipped without g++)`, () => {
      const options = { call: sizes, longest: 2, programs: ['forward', 'backward'], given, ...once, dtype: 'f32' } as const;
      const errors = emulate(module, options);
      expect(errors.size).toBeGreaterThan(module.programs.forward.gives.length);
      for (const [what, error] of errors) expect([what, error < 1e-5]).toEqual([what, true]);
    });
  }

  it.skipIf(!compiler)('are noticed where they write nothing, though the test knows what they should (skipped without g++)', () => {
    const { module, given, sizes } = wide();
    const spoil = (text: string): string => text.replaceAll('grid_wait();', 'return;');
    const errors = emulate(module, { call: sizes, longest: 2, programs: ['forward', 'backward'], given, ...once, dtype: 'f32', spoil });
    expect([...errors].filter(([, error]) => error < 1)).toEqual([]);
    expect([...errors.keys()].map((key) => key.split(' ')[0])).toEqual(expect.arrayContaining(['forward', 'backward']));
  });

  it('have tensor cores for the products of rows', () => {
    const { module } = wide();
    const source = { hash: '', compiler: '', command: '' };
    const { plan } = emitCuda(module, { target: 'cuda.sm90', dtype: 'bf16', source, doc: '', templates });
    const made = plan.kernels.filter(({ plainWhy }) => plainWhy === undefined).map(({ name }) => name);
    const products = [
      'forward0_product', 'forward2', 'forward3', 'backward1', 'backward2', 'backward3', 'backward4', 'backward7', 'backward8',
    ];
    for (const name of products) expect(made).toContain(name);
  });

  it.skipIf(!compiler).each(['bf16', 'f16'] as const)('in blocks and %s give what tiles give (skipped without g++)', (dtype) => {
    const { module, given, sizes } = wide();
    const options = { call: sizes, longest: 2, programs: ['forward', 'backward'], given, ...once, dtype } as const;
    for (const [what, error] of emulate(module, options)) expect([what, error < 2e-2]).toEqual([what, true]);
  });

  it.skipIf(!compiler)('so wide that every loop goes round its ring (skipped without g++)', () => {
    const { module, given, sizes } = wide(3, [7, 0, 4], [320, 448]);
    const options = { call: sizes, longest: 2, programs: ['forward', 'backward'], given, ...once, dtype: 'bf16' } as const;
    for (const [what, error] of emulate(module, options)) expect([what, error < 2e-2]).toEqual([what, true]);
  });

  it.skipIf(!compiler).each([
    ['more experts than a warp has lanes, most of them without a row', 40, [7, 0, 4]], [
      'two blocks of rows of an expert, a half one', 3, [190],
    ],
  ] as const)('count blocks of rows: %s (skipped without g++)', (_, experts, lengths) => {
    const { module, given, sizes } = wide(experts, lengths);
    const options = { call: sizes, longest: 2, programs: ['forward'], given, ...once, dtype: 'bf16' } as const;
    for (const [what, error] of emulate(module, options)) expect([what, error < 2e-2]).toEqual([what, true]);
  });
});

const opened = await openSoftwareGpu('lavapipe', 'swiftshader');
if ('why' in opened) it.skip(`mixtures on a device: ${opened.why}`, () => undefined);
else describe('mixtures on a device', () => onDevice(opened));

function onDevice(runtime: WebGpuRuntime): void {
  afterAll(() => runtime.release());
  for (const { name, lowered: { module }, given, sizes, dims } of some) {
    it(`${name} as WGSL gives what the interpreter of tiles gives`, async () => {
      const { plan, files } = emitWgsl(module, { ...plain, dtype: 'f32' });
      const loaded = await runtime.load(plan, files);
      for (const program of ['forward', 'backward']) {
        const { takes } = module.programs[program];
        const arrays = Object.fromEntries(takes.map((take) => [take, Float32Array.from(given.get(take) ?? [])]));
        const made = await loaded.run(program, arrays, sizes);
        for (const [result, all] of resultsOf(module, program, dims, given)) {
          const found = await runtime.download(made[result]);
          expect([result, found.length >= all.length]).toEqual([result, true]);
          for (const [i, value] of all.entries()) {
            expect(Math.abs(found[i] - value), `${program} ${result}[${i}]`).toBeLessThan(1e-5 * (1 + Math.abs(value)));
          }
        }
      }
    });
  }
}
