import { beforeAll, describe, expect, it } from 'vitest';
import type { TileModule } from '../../../src/ir/tile/tile.js';
import { EXAMPLES, NO_EXAMPLES } from '../../examples.js';
import { compileExample } from './compiled.js';
import { compiler, runKernels } from './emulate.js';
import type { CudaTarget } from '../../../src/backends/cuda/lowered.js';
import { lowerFor } from '../../../src/driver/scan/compile.js';
import { gradSpec } from '../../../src/interp/spec-gradient.js';
import { frontend } from '../../../src/passes/frontend.js';
import { seeds } from '../../property/case.js';
import { randomRecurrence } from '../../property/recurrences.js';
import { FACTOR_SCANS } from '../passes/factor-scans.js';
import { missing, NAN_SCANS, spoilt } from '../passes/nan-scans.js';
import { draw, specOf } from '../passes/scans.js';
import { judge, judgeScan, type TensorRun } from './tensor-runs.js';

const SM90 = 'cuda.sm90' as const;
const SM80 = 'cuda.sm80' as const;
const SM86 = 'cuda.sm86' as const;

/** Between them: every operation and layout that tensor core kernels are made of, on both targets. */
const CASES: readonly (readonly [name: string, run: TensorRun])[] = [
  ['gated_delta', { sizes: [64], target: SM90 }],
  // More chunks than a walk has stages.
  ['gated_delta', { sizes: [64], target: SM80, lengths: [5, 300] }],
  ['simple_gla', { sizes: [64], target: SM90, lengths: [300], longest: 8 }],
  ['gla', { sizes: [128], target: SM90, lengths: [70] }],
  ['gsa', { sizes: [64], target: SM90 }],
  ['rwkv6', { sizes: [64], target: SM90 }],
  ['delta_product', { sizes: [128], target: SM90, lengths: [70] }],
  // Operands in two parts, which kernels with and without tensor cores make.
  ['delta_product', { sizes: [64], target: SM90, lengths: [77] }],
  ['delta_product', { sizes: [24, 40], target: SM90 }],
  // Scores and solves that the walk brings in itself, some at a time.
  ['delta_product', { sizes: [128], target: SM80, lengths: [70], orders: ['0'] }],
  ['gdn2', { sizes: [32, 64], target: SM90 }],
  // Two and four warpgroups that share every fragment.
  ['rwkv7', { sizes: [128], target: SM90, lengths: [70] }],
  ['mlstm', { sizes: [128], target: SM80, lengths: [70] }],
  // Little shared memory: tiles loaded late, one stage, and some kernels without tensor cores.
  ['gated_delta', { sizes: [128], target: SM86, lengths: [70] }],
  ['rwkv7', { sizes: [64], target: SM86 }],
  ['comba', { sizes: [128], target: SM86, lengths: [70] }],
  // Heads that fill no tile, states that are not square, groups of heads.
  ['hgrn2', { sizes: [24, 40], target: SM90 }],
  ['comba', { sizes: [64, 128], target: SM90 }],
  ['retention', { sizes: [128, 96], target: SM80 }],
  // Three panels of columns, which two or four warpgroups share.
  ['simple_gla', { sizes: [192], target: SM90, lengths: [70], orders: ['0'] }],
  ['gated_delta', { sizes: [192, 160], target: SM90, lengths: [70], orders: ['0'] }],
  ['gla', { sizes: [192], target: SM80, lengths: [70], orders: ['0'] }],
  ['gated_delta', { sizes: [32, 64], target: SM90, groups: 2 }],
  ['mamba2', { sizes: [64], target: SM90, groups: 2 }],
  // Tokens that fill no chunk; sequences without tokens.
  ['kda', { sizes: [64], target: SM90, lengths: [1, 0, 65] }],
  ['gla', { sizes: [64], target: SM90, dtype: 'f16' }],
  // Log decays of -100 and -inf.
  ['gated_delta', { sizes: [64], target: SM90, resets: true }],
  ['kda', { sizes: [64], target: SM90, resets: true }],
  ['gsa', { sizes: [64], target: SM80, resets: true }],
];

/** All that tensor cores run, if asked for: a quarter of an hour. */
const MATRICES = EXAMPLES.filter((name) => name !== 'hgrn' && name !== 'rg_lru');
const SWEEP = MATRICES.flatMap((name) => [SM90, SM80].flatMap((target): readonly (readonly [string, TensorRun])[] => [
  ...[
    [64], [128], [24, 40], [48, 80], [64, 128], [192],
  ].map((sizes): readonly [string, TensorRun] => [name, { sizes, target, orders: ['0', '1', '2', '3', '4', '5'] }]),
  [name, { sizes: [64], target, resets: true }],
  [name, { sizes: [64], target, dtype: 'f16' }],
]));

const title = (name: string, { sizes, target, dtype = 'bf16', lengths, groups, resets }: TensorRun) =>
  [name, sizes.join(' x '), target, dtype, ...(
    lengths === undefined ? [] : [`tokens ${lengths.join(' ')}`]
  ), ...(groups === undefined ? [] : ['groups']), ...(resets === true ? ['resets'] : [])].join(', ');

describe.skipIf(!compiler || NO_EXAMPLES)('tensor core kernels against the meaning (skipped where g++ or the examples are missing)', () => {
  it.each((
    process.env.LMOEC_EMULATE === 'all' ? SWEEP : CASES
  ).map(([name, run]) => [title(name, run), name, run] as const))('%s', async (_, name, run) => {
    const { failed, errors } = await judge(name, run);
    expect(failed).toEqual([]);
    expect(errors.size).toBeGreaterThan(4);
  });
});

describe.skipIf(!compiler)('tensor core kernels of decays given as factors (skipped where g++ is missing)', () => {
  it.each(Object.entries(FACTOR_SCANS))('%s', (_, text) => {
    const sizes = new Map([['K', 64], ['V', 64]]);
    const made = lowerFor(specOf(text), { target: SM90, dtype: 'bf16', sizes }, 64);
    if (!('module' in made)) throw new Error(text);
    const { failed, errors, kernels } = judgeScan(made, sizes, { target: SM90, lengths: [70, 130], resets: true });
    expect(failed).toEqual([]);
    expect(errors.size).toBeGreaterThan(4);
    // The others do not leave tensor cores for it.
    expect(kernels).toContain('S_gradients');
    expect(kernels).not.toContain('S_gradient_factor');
  });
});

describe.skipIf(!compiler)('NaN in a gate reaches what follows on tensor cores (skipped where g++ is missing)', () => {
  it.each(['a log gate', 'a log gate per channel', 'a factor and an erase'])('%s', (name) => {
    const spec = specOf(NAN_SCANS[name]);
    const sizes = new Map([['K', 64], ['V', 64]]);
    const made = lowerFor(spec, { target: SM90, dtype: 'bf16', sizes }, 64);
    if (!('module' in made)) throw new Error(name);
    const drawn = draw(spec, sizes, [30, 7], 3);
    const gate = spec.inputs[3].name;
    const [[, given]] = spoilt(drawn, [gate], 37);
    const wanted = gradSpec(spec, drawn.call, given, new Map());
    expect(wanted.get('o')?.some(Number.isNaN)).toBe(true);
    runKernels(made.module, {
      dtype: 'bf16', target: SM90, plain: false, call: drawn.call, longest: 2, programs: ['forward'], orders: ['0'], given,
    }, (_program, _given, results) => {
      expect(missing(wanted, (tensor) => results.get(tensor), ['o'])).toEqual([]);
    });
  });
});

/** Seeds of recurrences with products of matrices. */
const SEEDS: readonly number[] = process.env.LMOEC_EMULATE === 'all' ? seeds(60) : [3, 10, 36];

describe.skipIf(!compiler)('tensor core kernels of random recurrences (skipped where g++ is missing)', () => {
  it.each(SEEDS)('seed %i', (seed) => {
    const { source, sizes } = randomRecurrence(seed, { sizes: [16, 48, 64] });
    const made = lowerFor(frontend('<random>', source).specs[0], { target: SM90, dtype: 'bf16', sizes }, 64);
    if (!('module' in made)) throw new Error(source);
    const { failed, errors } = judgeScan(made, sizes, { target: SM90, lengths: [70] });
    // What random numbers ask of 16 bits may be too much; of a wrong kernel nothing is left.
    if (process.env.LMOEC_EMULATE === 'all') expect([...errors].filter(([, error]) => !(error < 0.2))).toEqual([]);
    else expect(failed).toEqual([]);
  });
});

/** Texts that a kernel needs, and what happens without. */
const SPOILT: readonly (readonly [what: string, target: CudaTarget, from: RegExp, to: string, expected: RegExp])[] = [
  ['a fence', SM90, /(tile_clear[^\n]*\n\s*)proxy_fence\(\);/, '$1', /a product reads what thread \d+ wrote without a fence/],
  ['a fence of what is stored', SM90, /proxy_fence\(\);(\s*bar_arrive\(empty)/, '$1', /a store of what thread \d+ wrote without a fence/],
  ['a fence of the barriers', SM90, /(bar_init[^\n]*\n\s*)proxy_fence\(\);/, '$1', /a barrier that thread \d+ made without a fence/],
  ['a barrier between threads', SM90, /(vec_cumsum[^\n]*\n(?:\s*\/\/[^\n]*\n)*)\s*bar_sync\(1, 128\);/, '$1',
    /byte \d+ of shared memory, which warp \d+ (wrote|reads) without a barrier/],
  ['a wait for copies', SM90, /bar_wait\(landed[^\n]*/, '', /nobody waits for \d+ copies/],
  ['a wait for copies', SM80, /cp_wait<[1-9]>\(\);/, ';', /^$|without a (fence|barrier)/],
  ['all bytes to wait for', SM90, /bar_expect\(bar, \d+\)/, 'bar_expect(bar, 64)', /more bytes than the barrier at \d+ expects/],
  ['a wait for products', SM90, /mma_wait<0>\(\);/, ';', /^$|does not wait for its products/],
  ['an arrival', SM90, /bar_arrive\(full[^\n]*/, '', /waits for a phase of the barrier at .* for ever/],
  ['the end of a sequence', SM90, /if \(length < 64\) \{\n[^}]*\}/, '', /^$/],
  ['the end of a tensor', SM80, /(tile_load<64, 1, 128>\([^\n]*, )length(, 64, t\))/g, '$164$2', /has \d+ bytes, byte \d+ is touched/],
];

/** Results in both orders, and what the emulator says. */
function runSpoilt(
  module: TileModule, target: CudaTarget, spoil: (text: string) => string,
): { readonly results: readonly Float64Array[]; readonly message: string } {
  const results: Float64Array[] = [];
  try {
    const options = {
      dtype: 'bf16', target, plain: false, races: true, call: { heads: 1, groups: 1, lengths: [70, 10] }, longest: 2, programs: ['forward'],
      spoil,
    } as const;
    runKernels(
      module, options,
      (_program, _given, found) => results.push(found.get('o') ?? new Float64Array(), found.get('final.S') ?? new Float64Array()),
    );
    return { results, message: '' };
  } catch (error) {
    return { results, message: error instanceof Error ? error.message : '' };
  }
}

describe.skipIf(!compiler || NO_EXAMPLES)('the emulator notices that a kernel lacks (skipped without g++ or the examples)', () => {
  const sound = new Map<CudaTarget, { readonly module: TileModule; readonly run: ReturnType<typeof runSpoilt> }>();
  beforeAll(async () => {
    for (const target of [SM90, SM80]) {
      const { module } = await compileExample('simple_gla', 64, 'bf16', target);
      sound.set(target, { module, run: runSpoilt(module, target, (text) => text) });
    }
  });

  it.each([SM90, SM80])('nothing, %s', (target) => {
    const run = sound.get(target)?.run;
    expect(run?.message).toBe('');
    expect(run?.results.slice(0, 2)).toEqual(run?.results.slice(2));
    expect(run?.results.every((values) => values.length > 0)).toBe(true);
  });

  it.each(SPOILT)('%s, %s', (_, target, from, to, expected) => {
    const { module, run } = sound.get(target) ?? expect.fail();
    const spoilt = runSpoilt(module, target, (text) => {
      const at = text.search(/__global__ .*\bS_walk\(/);
      const changed = text.slice(0, at) + text.slice(at).replace(from, to);
      expect(changed).not.toBe(text);
      return changed;
    });
    expect(spoilt.message).toMatch(expected);
    if (spoilt.message === '') expect(spoilt.results).not.toEqual(run.results);
  });
});
