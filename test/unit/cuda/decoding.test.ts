import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { sharedLimit } from '../../../src/backends/cuda/lowered.js';
import type { TileModule } from '../../../src/ir/tile/tile.js';
import { extentsOf } from '../../../src/runtime/extents.js';
import { launchesOf } from '../../../src/runtime/programs.js';
import { someCall } from '../interp/graph/make-graph.js';
import { exampleGraph } from '../interp/graph/texts.js';
import { madeForward, madeOf, tileCall } from '../passes/kernels/judge.js';
import { compiler, emulate, runKernels, type EmulateOptions } from './emulate.js';
import { templates } from './templates.js';

/** Products of three and four steps, the last ones not full. */
const SIZES = { D: 192, F: 200, E: 8, k: 2 };
const GRAPHS = new Map(Object.entries({
  olmoe: exampleGraph('moe/softmax', 'olmoe', SIZES, false), all: exampleGraph('moe/softmax', 'olmoe', { ...SIZES, E: 5, k: 5 }, false),
  groups: exampleGraph('moe/groups', 'deepseek_v3', { D: 192, F: 200, S: 8, G: 2, M: 4, k: 3, keep: 1 }, false),
}));
const made = (name: string) => madeForward(GRAPHS.get(name) ?? expect.fail(), 64);
const moduleOf = (name: string) => (made(name).lowered ?? expect.fail()).module;

function callOf(name: string, tokens: number, more: Partial<EmulateOptions> = {}, gate?: number): EmulateOptions {
  const graph = GRAPHS.get(name) ?? expect.fail();
  const { buffers } = tileCall(made(name), someCall(graph, [tokens], tokens, { program: 'eval' }));
  if (gate !== undefined) buffers.set('gate', new Float64Array(SIZES.D * SIZES.E).fill(gate));
  return {
    dtype: 'bf16', plain: false, call: { heads: 1, groups: 1, lengths: [tokens] }, longest: 1, programs: ['forward'], given: buffers,
    orders: ['0', '1'], ...more,
  };
}

/** With two programs more: the same again, and one that begins with the same kernels and counts only. */
function withCounted(module: TileModule): TileModule {
  const { programs: { forward, ...others }, domains } = module;
  const offsets = domains.flatMap(({ made: own }) => own?.offsets ?? []);
  const counted = { ...forward, gives: offsets, launches: forward.launches.filter((name) => /^forward(_|0|1_(?!lists))/.test(name)) };
  return { ...module, programs: { forward, ...others, counted, again: forward } };
}

const judge = (name: string, options: EmulateOptions): void => {
  const errors = emulate(moduleOf(name), options);
  expect([...errors.keys()]).toContain('forward y');
  expect([...errors].filter(([, error]) => !(error < 1e-2))).toEqual([]);
};

describe('decoding through a mixture', () => {
  it('is five launches one behind the other, and losses beside them', () => {
    const { plan } = emitCuda(moduleOf('olmoe'), {
      target: 'cuda.sm90', dtype: 'bf16', source: { hash: '', compiler: '', command: '' }, doc: '', templates,
    });
    const launched = (tokens: number) => launchesOf(plan, 'forward', extentsOf(plan, { heads: 1, groups: 1, lengths: [tokens] }));
    expect(launched(64).map(({ kernel, queue }) => [kernel, queue])).toEqual([
      ['forward0_product', 0], ['forward_count_of_tokens_in_one', 0], ['forward2_at_once', 1], ['forward4', 0],
      ['forward5', 0], ['forward6', 0],
    ]);
    expect(launched(65)).toHaveLength(14);
  });

  it('has a kernel in one for each program, and none twice', () => {
    const { plan, files } = emitCuda(withCounted(moduleOf('olmoe')), {
      target: 'cuda.sm90', dtype: 'bf16', source: { hash: '', compiler: '', command: '' }, doc: '', templates,
    });
    const few = (program: string) => plan.programs[program].few?.launches.map(({ kernel }) => kernel) ?? [];
    const [forward, counted] = ['forward', 'counted'].map((name) => few(name).filter((kernel) => kernel.includes('_in_one')));
    expect([forward, counted]).toEqual([['forward_count_of_tokens_in_one'], ['forward_count_of_tokens_in_one_']]);
    expect(few('again')).toEqual(few('forward'));
    const text = [...files.values()].join('\n');
    const defined = [...text.matchAll(/(?:__launch_bounds__\(\d+\)|DEV void) (\w+_in_one\w*)\(/g)].map(([, name]) => name);
    expect(new Set(defined).size).toBe(defined.length);
    expect(defined).toEqual(expect.arrayContaining(['forward_count_of_tokens_in_one_0', 'forward_count_of_tokens_in_one__0']));
    // What one program has besides is not launched by another.
    const one = (name: string) => plan.kernels.find((kernel) => kernel.name === name)?.doc ?? expect.fail();
    expect(one(forward[0])).toContain('forward1_lists');
    expect(one(counted[0])).not.toContain('forward1_lists');
  });

  it('asks for no more shared memory than there is, however many experts there are', () => {
    for (const E of [512, 2048]) {
      const { lowered } = madeOf(exampleGraph('moe/gates', 'remoe', { D: 64, F: 64, E }), 64);
      for (const target of ['cuda.sm86', 'cuda.sm90'] as const) {
        const { plan: { kernels } } = emitCuda(
          lowered?.module ?? expect.fail(), { target, dtype: 'bf16', source: { hash: '', compiler: '', command: '' }, doc: '', templates },
        );
        expect(kernels.some(({ name }) => name.includes('_in_one'))).toBe(true);
        for (const { name, sharedBytes } of kernels) expect([name, E, sharedBytes <= sharedLimit(target)]).toEqual([name, E, true]);
      }
    }
  });
});

describe.skipIf(!compiler)('a mixture of few tokens as CUDA (skipped without g++)', () => {
  it.each([1, 64, 65])('gives what tiles give: %i tokens', (tokens) => judge('olmoe', callOf('olmoe', tokens)));
  it('whose tokens all go to the same experts', () => judge('olmoe', callOf('olmoe', 63, {}, 0)));
  it('whose tokens go to all experts', () => judge('all', callOf('all', 9)));
  it('with groups of experts', () => judge('groups', callOf('groups', 2)));
  it('where programs begin with the same kernels', () => {
    const module = withCounted(moduleOf('olmoe'));
    const options = callOf('olmoe', 9, { programs: ['forward', 'counted', 'again'], orders: ['0'] });
    const errors = emulate(module, options);
    expect([...errors.keys()]).toEqual(expect.arrayContaining(['forward y', 'again y']));
    expect([...errors.keys()].some((key) => key.startsWith('counted'))).toBe(true);
    expect([...errors].filter(([, error]) => !(error < 1e-2))).toEqual([]);
  });
  it('without a race between threads', () => judge('olmoe', callOf('olmoe', 8, { races: true, orders: ['0'] })));

  it('keeps what is no number to its own token', () => {
    const clean = callOf('olmoe', 3);
    const given = new Map(clean.given);
    given.set('x', Float64Array.from(given.get('x') ?? [], (x, i) => (Math.floor(i / SIZES.D) === 1 && i % 7 === 0 ? NaN : x)));
    const found: Float64Array[] = [];
    for (const options of [clean, { ...clean, given }]) {
      runKernels(moduleOf('olmoe'), { ...options, orders: ['0'] }, (_program, _given, results) => {
        found.push(results.get('y') ?? expect.fail());
      });
    }
    const [y, spoilt] = found;
    for (let i = 0; i < 3 * SIZES.D; i++) {
      const own = Math.floor(i / SIZES.D) === 1;
      if (own ? !Number.isNaN(spoilt[i]) : spoilt[i] !== y[i]) expect.fail(`element ${i}: ${spoilt[i]}, ${y[i]}`);
    }
  });

  it('and a barrier between its parts that is left out is noticed', () => {
    const spoil = (text: string): string => {
      const from = text.indexOf('__global__ void __launch_bounds__(1024) forward_count_of_tokens_in_one');
      expect(from).toBeGreaterThan(0);
      return text.slice(0, from) + text.slice(from).replaceAll('__syncthreads();\n', '');
    };
    let errors: ReadonlyMap<string, number> = new Map();
    try {
      errors = emulate(moduleOf('olmoe'), callOf('olmoe', 8, { spoil }));
    } catch (error) {
      expect(String(error)).toMatch(/order/);
      return;
    }
    expect([...errors.values()].some((error) => !(error < 1e-2))).toBe(true);
  });
});
