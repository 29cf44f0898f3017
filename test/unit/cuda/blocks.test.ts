import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { sharedLimit, type CudaTarget } from '../../../src/backends/cuda/lowered.js';
import type { IoDtype } from '../../../src/ir/common/dtype.js';
import { buildKernel, type KernelBuilder, type KernelHead } from '../../../src/ir/tile/build.js';
import type { Domain } from '../../../src/ir/tile/domain.js';
import type { TileBuffer, TileId, TileModule } from '../../../src/ir/tile/tile.js';
import { verifyTiles } from '../../../src/ir/tile/verify.js';
import { scanPrograms, TOKENS } from '../../../src/passes/chunk/programs.js';
import { SLOTS } from '../mixture.js';
import { compiler, emulate, type EmulateOptions } from './emulate.js';
import { templates } from './templates.js';

type Rows = Record<string, TileBuffer>;

const rows = (name: string, axis: string, role: TileBuffer['role'], domain = TOKENS): TileBuffer => (
  { name, outer: 'row', domain, inner: 'once', axes: [axis], dtype: 'io', role }
);
const param = (name: string, ...axes: readonly string[]): TileBuffer => (
  { name, outer: 'once', inner: 'once', axes, dtype: axes.length === 1 ? 'f32' : 'io', role: 'param' }
);
/** A matrix for each run of rows, as experts have theirs. */
const perRun = (name: string, domain: Domain): TileBuffer => (
  { name, outer: 'run', domain, inner: 'once', axes: ['D', 'F'], dtype: 'io', role: 'param' }
);

/** A module of one kernel over blocks: 64 rows and some columns of F. */
function moduleOf(
  name: string, [D, F]: readonly [number, number], buffers: readonly TileBuffer[],
  value: (k: KernelBuilder, b: Rows) => TileId, domain = TOKENS,
): TileModule {
  const y = rows('y', 'F', 'output', domain);
  const all = [...buffers, y];
  const byName = Object.fromEntries(all.map((buffer) => [buffer.name, buffer]));
  const head: KernelHead = { name, doc: 'Rows times a matrix.', outer: 'chunk', domain, inner: 'once', split: 'F' };
  const kernel = buildKernel(head, (k) => {
    k.store(y, value(k, byName));
  });
  return {
    name, chunk: 64, sizes: new Map([['D', D], ['F', F], ['E', 200], ['half', 4]]), domains: [...new Set([TOKENS, domain])],
    buffers: all, kernels: [kernel], programs: scanPrograms(all, { forward: [name] }),
  };
}

const x = rows('x', 'D', 'input');
/** The token of a slot. */
const SOURCE: TileBuffer = { name: 'source', outer: 'row', domain: SLOTS, inner: 'once', axes: [], dtype: 'i32', role: 'input' };
/** Whole numbers of rows. */
const NUMBER: TileBuffer = { name: 'number', outer: 'row', domain: TOKENS, inner: 'once', axes: [], dtype: 'f32', role: 'input' };
const silu = (k: KernelBuilder, z: TileId) => k.map('div', z, k.add(k.literal(1), k.exp(k.neg(z))));

/** What a layer is made of: products with something pointwise before, between and after them. */
const MODULES: Readonly<Record<string, (sizes: readonly [number, number]) => TileModule>> = {
  product: (sizes) => moduleOf('product', sizes, [x, param('w', 'D', 'F')], (k, { x, w }) => k.contract(k.load(x), k.load(w), 'D')),
  transposed: (sizes) => moduleOf('transposed', sizes, [x, param('w', 'F', 'D')], (k, { x, w }) => k.contract(k.load(x), k.load(w), 'D')),
  gated: (sizes) => moduleOf('gated', sizes, [x, param('gate', 'D', 'F'), param('up', 'D', 'F')], (k, { x, gate, up }) => (
    k.mul(silu(k, k.contract(k.load(x), k.load(gate), 'D')), k.contract(k.load(x), k.load(up), 'D'))
  )),
  grouped: (sizes) => moduleOf('grouped', sizes, [x, perRun('w', TOKENS)], (k, { x, w }) => k.contract(k.load(x), k.load(w), 'D')),
  gathered: (sizes) => moduleOf('gathered', sizes, [x, SOURCE, perRun('w', SLOTS)], (k, { x, source, w }) => (
    k.contract(k.gather(x, source), k.load(w), 'D')
  ), SLOTS),
  added: (sizes) => moduleOf(
    'added', sizes, [x, rows('z', 'D', 'input'), param('w', 'F', 'D'), param('v', 'F', 'D'), param('u', 'D', 'F'), param('bias', 'F')],
    (k, { x, z, w, v, u, bias }) => k.add(k.add(
      k.add(k.contract(k.load(x), k.load(w), 'D'), k.contract(k.load(z), k.load(v), 'D')), k.contract(k.load(z), k.load(u), 'D'),
    ), k.load(bias)),
  ),
  twofold: (sizes) => moduleOf(
    'twofold', sizes, [x, rows('e', 'E', 'input'), param('w', 'D', 'F'), param('v', 'F', 'E')],
    (k, { x, e, w, v }) => k.add(k.contract(k.load(x), k.load(w), 'D'), k.contract(k.load(e), k.load(v), 'E')),
  ),
  drawn: (sizes) => moduleOf(
    'drawn', sizes, [x, param('w', 'D', 'F'), param('key', 'half'), param('index', 'F'), NUMBER], (k, { x, w, key, index, number }) => {
      const drawn = k.draw(
        k.load(key), 'half', { element: k.load(index), position: k.load(number), sequence: k.literal(3), lane: k.literal(0) },
      );
      return k.mul(k.contract(k.load(x), k.load(w), 'D'), drawn);
    },
  ),
  sloped: (sizes) => moduleOf(
    'sloped', sizes, [x, rows('rest', 'F', 'input'), rows('more', 'F', 'input'), NUMBER, param('w', 'F', 'D')],
    (k, { x, rest, more, number, w }) => {
      const [z, u, one] = [k.load(rest), k.load(more), k.literal(1)];
      const slope = k.mul(k.map('sigmoid', z), k.add(one, k.map('chain', z, k.map('sigmoid', k.neg(z)))));
      const out = k.mul(k.contract(k.load(x), k.load(w), 'D'), k.mul(k.load(number), k.literal(1 / 64)));
      return k.add(k.mul(k.mul(out, u), slope), k.map('silu', z));
    },
  ),
  picked: (sizes) => moduleOf(
    'picked', sizes, [
      x, SOURCE, rows('rest', 'F', 'input', SLOTS), rows('more', 'F', 'input', SLOTS), { ...perRun('w', SLOTS), axes: ['F', 'D'] },
    ], (k, { x, source, rest, more, w }) => (
      k.mul(k.mul(k.contract(k.gather(x, source), k.load(w), 'D'), k.load(rest)), k.load(more))
    ), SLOTS,
  ),
  around: (sizes) => moduleOf(
    'around', sizes, [x, rows('rest', 'F', 'input'), param('norm', 'D'), param('bias', 'F'), param('w', 'D', 'F')],
    (k, { x, rest, norm, bias, w }) => k.add(
      k.load(rest), k.add(k.contract(silu(k, k.mul(k.load(x), k.load(norm))), k.load(w), 'D'), k.load(bias)),
    ),
  ),
};

const emitted = (module: TileModule, target: CudaTarget, dtype: IoDtype) => emitCuda(
  module, { target, dtype, source: { hash: '', compiler: '', command: '' }, doc: '', templates },
);

describe('products in blocks', () => {
  it.each(Object.keys(MODULES))('have tensor cores on every architecture: %s', (name) => {
    const module = MODULES[name]([4096, 11008]);
    expect(verifyTiles(module)).toEqual([]);
    for (const target of ['cuda.sm80', 'cuda.sm86', 'cuda.sm90'] as const) {
      // Behind what copies gathered rows, if there is such a kernel.
      const kernel = emitted(module, target, 'bf16').plan.kernels.find((one) => one.name === name);
      expect(kernel).toMatchObject({ lowering: 'tensor cores' });
      expect(kernel?.sharedBytes).toBeLessThanOrEqual(sharedLimit(target));
      // Blocks of columns beside each other, one after the other for each 64 rows.
      expect(kernel?.grid[0][0]).toBeLessThanOrEqual(11008 / 64);
    }
  });

  it('have 128 rows where that reads less, and no more than one chunk where chunks are told apart', () => {
    const rowsOf = (module: TileModule, target: CudaTarget) => {
      const text = [...emitted(module, target, 'bf16').files.values()].join('\n');
      return /(?:tile_load|pipe_rows)<(\d+), 1(?:, \d+)?>\(\(?to/.exec(text)?.[1];
    };
    expect(rowsOf(MODULES.product([4096, 11008]), 'cuda.sm90')).toBe('128');
    expect(rowsOf(MODULES.product([4096, 11008]), 'cuda.sm80')).toBe('128');
    const scale: TileBuffer = { name: 'scale', outer: 'chunk', domain: TOKENS, inner: 'once', axes: [], dtype: 'f32', role: 'input' };
    const each = moduleOf('each', [4096, 11008], [x, param('w', 'D', 'F'), scale], (k, { x, w, scale }) => (
      k.mul(k.contract(k.load(x), k.load(w), 'D'), k.load(scale))
    ));
    expect(verifyTiles(each)).toEqual([]);
    expect(rowsOf(each, 'cuda.sm90')).toBe('64');
  });

  it('on sm_90a multiply out of a ring what is read as it is, with blocks for all multiprocessors at once', () => {
    const piped = (name: string, target: CudaTarget, sizes: readonly [number, number] = [4096, 7936]) => {
      const { plan: { kernels: [{ grid }] }, files } = emitted(MODULES[name](sizes), target, 'bf16');
      return [[...files.values()].some((text) => text.includes('pipe_mma<')), grid[0][0] === 132];
    };
    for (const name of Object.keys(MODULES)) {
      const is = name !== 'around';
      expect([name, ...piped(name, 'cuda.sm90')]).toEqual([name, is, is]);
      expect([name, ...piped(name, 'cuda.sm80')]).toEqual([name, false, false]);
    }
    // Where there is little to sum up, results are what takes time.
    expect(piped('product', 'cuda.sm90', [128, 11008])).toEqual([false, false]);
    expect(piped('product', 'cuda.sm90', [136, 11008])).toEqual([true, true]);
  });

  it('that add up do so in the same registers', () => {
    const { files } = emitted(MODULES.added([4096, 11008]), 'cuda.sm90', 'bf16');
    const text = [...files.values()].join('\n');
    const sums = [...text.matchAll(/\b(?:pipe_)?mma<[^>]*>\((\w+),/g)].map(([, sum]) => sum);
    expect(sums.length).toBe(3);
    expect(new Set(sums).size).toBe(1);
  });

  it('that multiply the same rows are one product, as wide as both; slopes are one function', () => {
    const textOf = (name: string) => [...emitted(MODULES[name]([4096, 11008]), 'cuda.sm90', 'bf16').files.values()].join('\n');
    expect([...textOf('gated').matchAll(/pipe_mma<(\d+)/g)].map(([, columns]) => columns)).toEqual(['256']);
    expect([...textOf('added').matchAll(/pipe_mma<(\d+)/g)].length).toBe(3);
    const sloped = textOf('sloped').split('pipe_mma<256')[1].split('// %').map((text) => text.slice(text.indexOf('\n'))).join('');
    expect(sloped).toContain('m_silu_slope(');
    expect(sloped).not.toContain('m_chain(');
  });

  it('are plain in f32, and where one product needs another', () => {
    const chained = moduleOf('chained', [128, 128], [x, param('w', 'D', 'F'), param('v', 'F', 'D')], (k, { x, w, v }) => (
      k.contract(k.contract(k.load(x), k.load(v), 'D'), k.load(w), 'D')
    ));
    expect(emitted(MODULES.product([128, 128]), 'cuda.sm90', 'f32').plan.kernels[0]).toMatchObject({ plainWhy: 'f32 operands' });
    expect(verifyTiles(chained)).not.toEqual([]);
  });
});

const LENGTHS = [70, 0, 9];
type How = Pick<EmulateOptions, 'races' | 'spoil'>;

/** Experts of several chunks and of none; tokens of several slots, slots of none. */
const COUNTS = [3, 0, 130, 40];
const TOKEN_OF = Float64Array.from({ length: 173 }, (_, slot) => (slot % 5 === 2 ? -1 : (slot * 37) % 79));

const upTo = (n: number) => Float64Array.from({ length: n }, (_, i) => i);
const GIVEN = new Map([['source', TOKEN_OF], ['number', upTo(79)], ['index', upTo(136)], ['key', Float64Array.of(7, 4000, 65535, 1)]]);

const emulated = (module: TileModule, target: CudaTarget, dtype: IoDtype, how: How = {}) => emulate(module, {
  dtype, target, plain: false, call: { heads: 1, groups: 1, lengths: LENGTHS, others: { slot: COUNTS } }, longest: 1,
  programs: ['forward'], orders: how.races === true ? ['0'] : ['0', '1'], given: GIVEN, ...how,
});
const run = (module: TileModule, target: CudaTarget, dtype: IoDtype, how: How = {}) => {
  expect(emitted(module, target, dtype).plan.kernels.map(({ lowering }) => lowering)).toEqual(['tensor cores']);
  const errors = emulated(module, target, dtype, how);
  expect([...errors.keys()]).toEqual(['forward y']);
  expect([...errors].filter(([, error]) => !(error < 5e-3))).toEqual([]);
};
const RACES: How = { races: true };
/** As where there are blocks for all multiprocessors: these tests have few, which are narrow for that. */
const whole = (text: string) => {
  const made = text.replaceAll('<= (int)gridDim.x) ++narrow', '<= 0) ++narrow');
  expect(made).not.toBe(text);
  return made;
};
const runWhole = (module: TileModule, dtype: IoDtype, how: How = {}) => run(module, 'cuda.sm90', dtype, { ...how, spoil: whole });

describe.skipIf(!compiler)('products in blocks against the tile interpreter (skipped where g++ is missing)', () => {
  it('steps and blocks that are not full, two architectures', () => {
    run(MODULES.product([136, 200]), 'cuda.sm80', 'bf16');
    run(MODULES.product([136, 200]), 'cuda.sm90', 'bf16');
  });
  it('rows that do not begin on 16 bytes', () => run(MODULES.gated([77, 73]), 'cuda.sm80', 'bf16'));
  it('a matrix that lies across', () => run(MODULES.transposed([136, 72]), 'cuda.sm80', 'bf16'));
  it('a matrix for each run of rows', () => run(MODULES.grouped([256, 72]), 'cuda.sm80', 'bf16'));
  it('rows that an index names, a matrix for each run of them', () => run(MODULES.gathered([136, 72]), 'cuda.sm80', 'bf16'));
  it('the same without a race in shared memory', () => run(MODULES.gathered([320, 136]), 'cuda.sm90', 'bf16', RACES));
  it('three products that add up', () => run(MODULES.added([128, 72]), 'cuda.sm90', 'bf16'));
  it('products along two axes', () => run(MODULES.twofold([320, 136]), 'cuda.sm90', 'bf16'));
  it('the same without a race in shared memory', () => run(MODULES.twofold([136, 72]), 'cuda.sm80', 'bf16', RACES));
  it('a product with draws', () => run(MODULES.drawn([128, 136]), 'cuda.sm90', 'bf16'));
  it('numbers of rows, once for all slices of a block and block after block', () => {
    const spoil = (text: string) => {
      expect(text.split('ld(p_number').length).toBe(2);
      expect(text.indexOf('ld(p_number')).toBeLessThan(text.indexOf('UNROLL for (int slice'));
      return whole(text).replaceAll('block += gridDim.x', 'block += 1');
    };
    run(MODULES.drawn([192, 136]), 'cuda.sm90', 'bf16', { ...RACES, spoil });
  });
  it('results that read what lies beside them, the next slice meanwhile', () => {
    run(MODULES.sloped([192, 136]), 'cuda.sm90', 'bf16', RACES);
    runWhole(MODULES.sloped([192, 584]), 'f16');
    runWhole(MODULES.sloped([320, 328]), 'bf16', RACES);
    const spoil = (text: string) => whole(text).replaceAll('block += gridDim.x', 'block += 1');
    run(MODULES.sloped([192, 264]), 'cuda.sm90', 'bf16', { ...RACES, spoil });
    for (const pattern of [/pipe_come\(\);/, /pipe_take\(p\w+, [^;]*;/]) {
      const without = (text: string) => whole(text).replace(pattern, '');
      expect(() => run(MODULES.sloped([192, 136]), 'cuda.sm90', 'bf16', { ...RACES, spoil: without })).toThrow();
    }
  });
  it('gathered rows out of a short ring, results that read what lies beside them', () => {
    const spoil = (text: string) => {
      expect(text).toContain('if (++at == 3)');
      return whole(text).replaceAll('block += gridDim.x', 'block += 1');
    };
    run(MODULES.picked([640, 264]), 'cuda.sm90', 'bf16', { spoil });
    run(MODULES.picked([640, 264]), 'cuda.sm90', 'bf16', { ...RACES, spoil });
  });
  it('two products and what joins them', () => run(MODULES.gated([192, 72]), 'cuda.sm90', 'f16'));
  it('operands and results that are worked out', () => run(MODULES.around([320, 136]), 'cuda.sm80', 'bf16'));
  it('without a race in shared memory', () => run(MODULES.around([320, 72]), 'cuda.sm90', 'bf16', RACES));
  it('out of a ring: matrices that lie across, or one for each run of rows, all columns or some, rows that an index names', () => {
    run(MODULES.transposed([136, 264]), 'cuda.sm90', 'bf16');
    run(MODULES.grouped([320, 328]), 'cuda.sm90', 'f16');
    run(MODULES.gathered([136, 72]), 'cuda.sm90', 'f16');
  });
  it('whole blocks of it and a narrow one at the end', () => {
    runWhole(MODULES.transposed([136, 328]), 'bf16', RACES);
    runWhole(MODULES.gated([192, 136]), 'f16');
    runWhole(MODULES.gathered([320, 264]), 'bf16');
  });
  it('half a block of it without rows, products that go through the ring one after the other', () => {
    run(MODULES.added([640, 72]), 'cuda.sm90', 'bf16');
    runWhole(MODULES.added([640, 72]), 'bf16');
  });
  it('the same without a race in shared memory', () => {
    run(MODULES.grouped([320, 136]), 'cuda.sm90', 'bf16', RACES);
    run(MODULES.gated([320, 136]), 'cuda.sm90', 'bf16', RACES);
  });
  it('whole blocks and halves, one after the other out of the same ring', () => {
    const spoil = (text: string) => whole(text).replaceAll('block += gridDim.x', 'block += 1');
    for (const module of [MODULES.gathered([640, 136]), MODULES.grouped([640, 136])]) {
      for (const [what, error] of emulated(module, 'cuda.sm90', 'bf16', { spoil })) expect([what, error < 5e-3]).toEqual([what, true]);
    }
  });
  it('a wait, an arrival or a fence of the ring that is left out is noticed', () => {
    const module = MODULES.gathered([640, 136]);
    const without = (pattern: RegExp, by = '') => () => emulated(module, 'cuda.sm90', 'bf16', {
      races: true, spoil: (text) => {
        const spoilt = text.replace(pattern, by);
        expect(spoilt).not.toBe(text);
        return spoilt;
      },
    });
    expect(without(/bar_wait\(full [^;]*;/)).toThrow(/nobody waits|without/);
    expect(without(/bar_wait\(empty [^;]*;/)).toThrow(/without a barrier between them/);
    expect(without(/cp_arrive\(bar\);/)).toThrow(/for ever/);
    expect(without(/if \(n > 0\) release\(\);/)).toThrow(/for ever/);
    expect(without(/(lap\);\s*)proxy_fence\(\);/, '$1')).toThrow(/without a fence after it/);
    expect(without(/bar_expect\(bar, \((\d)/, 'bar_expect(bar, (1$1')).toThrow(/for ever/);
    expect(without(/bar_expect\(bar, \((\d+) >> narrow\)/, 'bar_expect(bar, $1')).toThrow(/for ever/);
  });
  it('a barrier or a wait that is left out is noticed', () => {
    const module = MODULES.product([320, 72]);
    const spoil = (pattern: RegExp, by: string) => (text: string) => {
      const spoilt = text.replace(pattern, by);
      expect(spoilt).not.toBe(text);
      return spoilt;
    };
    const [wait, barrier] = ['cp_wait<\\d>\\(\\);', 'team_sync\\(1[^)]*\\);'];
    const without = { barrier: spoil(RegExp(`(${wait}\\s*)${barrier}`), '$1'), wait: spoil(RegExp(`${wait}(\\s*${barrier})`), '$1') };
    expect(() => emulated(module, 'cuda.sm80', 'bf16', { races: true, spoil: without.barrier })).toThrow(/without a barrier between them/);
    const [error] = emulated(module, 'cuda.sm80', 'bf16', { spoil: without.wait }).values();
    expect(error < 5e-3).toBe(false);
  });
});
