import { ROW, type Axis } from '../../../src/ir/common/axes.js';
import { buildKernel, type KernelBuilder, type KernelHead } from '../../../src/ir/tile/build.js';
import type { BufferRole, TileBuffer, TileModule } from '../../../src/ir/tile/tile.js';
import { scanPrograms, TOKENS } from '../../../src/passes/chunk/programs.js';

const made = (name: string, outer: TileBuffer['outer'], axes: readonly Axis[], role: BufferRole): TileBuffer => ({
  name, outer, domain: TOKENS, inner: 'once', axes, dtype: 'f32', role,
});
const [a, b, s] = ([['a', ['M']], ['b', ['N']], ['s', []]] as const).map(([name, axes]) => made(name, 'row', axes, 'input'));
const [w, u] = ([['w', ['M', 'N']], ['u', ['N', 'M']]] as const).map(([name, axes]) => made(name, 'run', axes, 'initial'));
const row = (name: string, ...axes: readonly Axis[]) => made(name, 'row', axes, 'output');
const out = {
  up: row('up', 'N'), gated: row('gated', 'N'), runs: row('runs', 'N/24'), scores: row('scores', 'N'), most: row('most'),
  back: row('back', 'M'), few: row('few', 'P'),
};
const sums = { w: made('d_w', 'run', ['M', 'N'], 'output'), u: made('d_u', 'run', ['N', 'M'], 'output') };
const part = made('part', 'segment', ['M', 'N'], 'output');
const v = made('v', 'run', ['M', 'P'], 'initial');

const head = (name: string, outer: KernelHead['outer'], split?: Axis): KernelHead => (
  { name, doc: `Tests ${name}.`, outer, domain: TOKENS, inner: 'once', split }
);
const kernels: readonly (readonly [KernelHead, (k: KernelBuilder) => void])[] = [
  // Two products that share an operand, one of them of a matrix that lies the other way round; what is pointwise behind them, and a fold.
  [head('gate', 'chunk', 'N'), (k) => {
    const rows = k.load(a);
    const [gate, up] = [k.contract(rows, k.load(w), 'M'), k.contract(rows, k.load(u), 'M')];
    const gated = k.mul(k.map('silu', gate), up);
    k.store(out.up, up);
    k.store(out.gated, k.mul(k.load(s), gated));
    k.store(out.runs, k.runs('N', 24, gated));
  }],
  // A product that others read at other indices too.
  [head('choose', 'chunk'), (k) => {
    const scores = k.contract(k.mul(k.load(s), k.load(a)), k.load(w), 'M');
    k.store(out.scores, scores);
    k.store(out.most, k.reduce('max', 'N', scores));
  }],
  [head('both', 'chunk', 'M'), (k) => {
    const rows = k.load(b);
    k.store(out.back, k.add(k.contract(rows, k.load(w), 'N'), k.contract(k.mul(rows, rows), k.load(u), 'N')));
  }],
  // Blocks that have fewer columns than panels want.
  [head('narrow', 'chunk', 'P'), (k) => k.store(out.few, k.contract(k.load(a), k.load(v), 'M'))],
  [head('sums', 'run', 'N'), (k) => {
    const zeros = k.zeros(['M', 'N']);
    const [plain, scaled] = k.loop('chunks', false, [zeros, zeros], ([x, y]) => {
      const [left, right] = [k.keep(k.load(a)), k.load(b)];
      return [k.add(x, k.contract(left, right, ROW)), k.add(y, k.contract(k.mul(left, k.load(s)), right, ROW))];
    });
    k.store(sums.w, plain);
    k.store(sums.u, scaled);
  }],
  [head('parts', 'segment', 'M'), (k) => {
    const [sum] = k.loop('chunks', false, [k.zeros(['M', 'N'])], ([x]) => [k.add(x, k.contract(k.load(a), k.load(b), ROW))]);
    k.store(part, k.mul(sum, k.literal(0.5)));
  }],
];

/** Products that go through panels: of layers, that is, of what is there once. */
export const panels: TileModule = {
  name: 'panels', chunk: 16, sizes: new Map([['M', 80], ['N', 72], ['P', 6]]), domains: [TOKENS],
  buffers: [a, b, s, w, u, v, ...Object.values(out), ...Object.values(sums), part],
  kernels: kernels.map(([one, write]) => buildKernel(one, write)),
  programs: scanPrograms(
    [a, b, s, w, u, v, ...Object.values(out), ...Object.values(sums), part], { forward: kernels.map(([{ name }]) => name) },
  ),
};
