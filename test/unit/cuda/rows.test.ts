import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { ROW } from '../../../src/ir/common/axes.js';
import { buildKernel, type KernelBuilder } from '../../../src/ir/tile/build.js';
import type { TileBuffer, TileModule } from '../../../src/ir/tile/tile.js';
import { TOKENS } from '../../../src/passes/chunk/programs.js';
import { compiler, emulate } from './emulate.js';
import { templates } from './templates.js';

const LENGTHS = [11, 0, 26];
const TOKENS_IN_ALL = 37;
/** D is no multiple of what warps take at once, E none of a warp, M one; G and S are what every lane has. */
const SIZES = new Map([['D', 520], ['E', 70], ['G', 2], ['M', 64], ['S', 3], ['B', 4]]);

const row = (name: string, axes: readonly string[], role: TileBuffer['role'], dtype: TileBuffer['dtype'] = 'f32'): TileBuffer => (
  { name, outer: 'row', domain: TOKENS, inner: 'once', axes, dtype, role }
);
const B = {
  x: row('x', ['D'], 'input', 'io'), z: row('z', ['E'], 'input'), g: row('g', ['G', 'M'], 'input'), n: row('n', [], 'input'),
  parts: row('parts', ['B'], 'input'), slots: row('slots', ['S'], 'input', 'i32'), place: row('place', ['E'], 'input', 'i32'),
  w: { ...row('w', ['E'], 'param'), outer: 'once', domain: undefined } as TileBuffer,
  sum: row('sum', ['D'], 'output', 'io'), p: row('p', ['E'], 'output'), best: row('best', ['G', 'M'], 'output'),
  rank: row('rank', ['E'], 'output'), most: row('most', ['G'], 'output'), seats: row('seats', ['S'], 'output'),
  gone: row('gone', [], 'output'), seen: row('seen', ['E'], 'output'), twice: row('twice', [], 'output'), all: row('all', [], 'output'),
};
const kernel = (name: string, write: (k: KernelBuilder) => void) => (
  buildKernel({ name, doc: 'Rows by themselves.', outer: 'chunk', domain: TOKENS, inner: 'once' }, write)
);
const KERNELS = [
  kernel('combined', (k) => k.store(B.sum, k.reduce('sum', 'S', k.gather(B.x, B.slots)))),
  kernel('softened', (k) => {
    const z = k.load(B.z);
    const e = k.exp(k.sub(z, k.reduce('max', 'E', z)));
    k.store(B.p, k.map('div', k.mul(e, k.index('E')), k.contract(e, k.load(B.w), 'E')));
  }),
  kernel('chosen', (k) => {
    const g = k.load(B.g);
    const holds = k.top(['G', 'M'], g, k.literal(5));
    k.store(B.best, holds);
    k.store(B.most, k.reduce('max', 'M', k.mul(holds, g)));
  }),
  kernel('ranked', (k) => {
    const one = k.map('less', k.literal(0), k.load(B.z));
    const rank = k.cumsum(one, { exclusive: true, axis: 'E' });
    k.store(B.rank, rank);
    // The places of the first three that are above 0.
    const here = k.map('max', k.literal(0), k.sub(k.literal(1), k.map('abs', k.sub(rank, k.index('S')))));
    k.store(B.seats, k.reduce('sum', 'E', k.mul(k.mul(one, k.index('E')), here)));
  }),
  kernel('brought', (k) => {
    k.scatter(B.gone, k.number('row'), B.place);
    k.store(B.seen, k.reduce('sum', 'B', k.gather(B.parts, B.place)));
  }),
  kernel('numbers', (k) => k.store(B.twice, k.add(k.load(B.n), k.number('place')))),
  kernel('met', (k) => k.store(B.all, k.add(k.load(B.n), k.reduce('sum', ROW, k.keep(k.load(B.n)))))),
];
const module: TileModule = {
  name: 'rows', chunk: 16, sizes: SIZES, domains: [TOKENS], buffers: Object.values(B), kernels: KERNELS,
  programs: {
    forward: {
      takes: Object.values(B).filter(({ role }) => role === 'input' || role === 'param').map(({ name }) => name),
      gives: Object.values(B).filter(({ role }) => role === 'output').map(({ name }) => name), launches: KERNELS.map(({ name }) => name),
    },
  },
};

/** Of every token three rows, some of none; of every row, the one column that has its number. */
const given = new Map([
  ['slots', Float64Array.from({ length: TOKENS_IN_ALL * 3 }, (_, i) => (i % 5 === 3 ? -1 : i * 7 % TOKENS_IN_ALL))],
  ['place', Float64Array.from({ length: TOKENS_IN_ALL * 70 }, (_, i) => {
    const [token, e] = [Math.floor(i / 70), i % 70];
    return e === token * 3 % 70 ? (token * 5 + 2) % TOKENS_IN_ALL : -1;
  })],
]);

describe('rows by themselves as CUDA', () => {
  it('have the lowering of rows, and those that meet have not', () => {
    const { plan, files } = emitCuda(
      module, { target: 'cuda.sm90', dtype: 'bf16', source: { hash: '', compiler: '', command: '' }, doc: '', templates },
    );
    const lowerings = new Map(plan.kernels.map(({ name, lowering }) => [name, lowering]));
    expect(['combined', 'softened', 'chosen', 'ranked', 'brought'].map((name) => lowerings.get(name))).toEqual(Array(5).fill('rows'));
    expect(lowerings.get('met')).not.toBe('rows');
    // Neighbours come and go in 16 bytes.
    expect([...files.values()].join('\n')).toMatch(/ldn<8>\(\w+, p_x .*\n[^]*stn<8>\(p_sum/);
  });

  it.skipIf(!compiler).each(['f32', 'bf16', 'f16'] as const)('give what tiles give in %s (skipped without g++)', (dtype) => {
    const call = { heads: 1, groups: 1, lengths: LENGTHS };
    const errors = emulate(module, { dtype, plain: false, call, longest: 2, programs: ['forward'], given });
    expect(errors.size).toBe(module.programs.forward.gives.length);
    // Sums are in f32: what is stored in 16 bits has their last digit.
    for (const [what, error] of errors) expect([
      what, error < (what === 'forward sum' && dtype !== 'f32' ? 2e-2 : 1e-5),
    ]).toEqual([what, true]);
  });
});

describe('the largest of the numbers of a row as CUDA', () => {
  /** What lies in its lanes in such a way that few of them, or all, have what is chosen; equals; what is none. */
  const PATTERNS: readonly ((e: number) => number)[] = [
    (e) => Math.sin(e * 12.9898 + 1) * 43758.5453 % 1, (e) => e % 32, (e) => -(e % 32), (e) => e % 3, () => 1, () => -Infinity,
    (e) => (e % 97 === 5 ? e : -Infinity), (e) => (e === 40 ? Infinity : -e), (e) => (e < 64 ? -0 : 0),
    (e) => 1 + (e % 32 === 7 ? 0 : -e * 1e-7), (e) => (e % 16 === 3 ? 2 : e / 1000), (e) => Math.floor(e / 9),
  ];
  const COUNTS = [0, 1, 2, 10, 16, 17, 40, 300];
  const tokens = PATTERNS.length * COUNTS.length;
  const sized = (E: number): TileModule => ({
    name: 'largest', chunk: 16, sizes: new Map([['E', E]]), domains: [TOKENS], buffers: [B.z, B.n, B.p],
    kernels: [kernel('largest', (k) => k.store(B.p, k.top(['E'], k.load(B.z), k.load(B.n))))],
    programs: { forward: { takes: ['z', 'n'], gives: ['p'], launches: ['largest'] } },
  });

  it.skipIf(!compiler).each([20, 64, 70, 256])('is marked among %i (skipped without g++)', (E) => {
    const values = new Map([
      ['z', Float64Array.from({ length: tokens * E }, (_, i) => Math.fround(PATTERNS[Math.floor(i / E) % PATTERNS.length](i % E)))],
      ['n', Float64Array.from({ length: tokens }, (_, i) => COUNTS[Math.floor(i / PATTERNS.length)])],
    ]);
    const call = { heads: 1, groups: 1, lengths: [tokens] };
    const errors = emulate(sized(E), { dtype: 'bf16', plain: false, call, longest: 2, programs: ['forward'], given: values });
    expect([...errors]).toEqual([['forward p', 0]]);
  });
});
