import { ROW, type Axis } from '../../../src/ir/common/axes.js';
import { buildKernel, type KernelBuilder } from '../../../src/ir/tile/build.js';
import type { BufferRole, TileBuffer, TileModule } from '../../../src/ir/tile/tile.js';

const buffer = (name: string, outer: TileBuffer['outer'], axes: readonly Axis[], role: BufferRole, dtype: TileBuffer['dtype'] = 'io'): TileBuffer => ({ name, outer, inner: 'head', axes, dtype, role });

const q = buffer('q', 'token', ['K'], 'input');
const k = buffer('k', 'token', ['K'], 'input');
const v = buffer('v', 'token', ['V'], 'input');
const o = buffer('o', 'token', ['V'], 'output');
const s0 = buffer('S0', 'sequence', ['K', 'V'], 'initial', 'f32');
const sT = buffer('S', 'sequence', ['K', 'V'], 'final', 'f32');

/** e^{G_C - G_i} and e^{G_C} from inclusive sums over the token axis. */
const tails = (b: KernelBuilder, G: number) => {
  const last = b.pick(G, 'last');
  return { tail: b.exp(b.sub(last, G)), whole: b.exp(last) };
};

/** S = e^g S + k (beta (v - k.S e^g)), o = q.S / sqrt(K) (docs/algorithms.md: the chunk, with a scalar gate), as prep + chain. */
export function gatedDelta(K: number, V: number, chunk = 64): TileModule {
  const g = buffer('g', 'token', [], 'input', 'f32');
  const beta = buffer('beta', 'token', [], 'input', 'f32');
  const P = buffer('P', 'chunk', ['%row', '%col'], 'workspace');
  const T = buffer('T', 'chunk', ['%row', '%col'], 'workspace');
  const prep = buildKernel({ name: 'prep', doc: 'Scores and the solve of every chunk.', outer: 'chunk', inner: 'head' }, (b) => {
    const kr = b.load(k);
    const kc = b.swap(kr);
    const G = b.cumsum(b.load(g));
    const decay = b.exp(b.mask(b.sub(G, b.swap(G)), false));
    const M = b.mul(b.mask(b.contract(kr, kc, 'K'), true), decay);
    const bt = b.load(beta);
    const inv = b.inverse(b.neg(b.mul(bt, M)));
    b.store(T, b.mul(inv, b.swap(bt)));
    const score = b.mul(b.mask(b.contract(b.load(q), kc, 'K'), false), decay);
    b.store(P, b.mul(score, b.literal(1 / Math.sqrt(K))));
  });
  const chain = buildKernel({ name: 'chain', doc: 'Walks the state over the chunks.', outer: 'sequence', inner: 'head', split: 'V' }, (b) => {
    const [S] = b.loop('chunks', false, [b.load(s0)], ([S]) => {
      const G = b.cumsum(b.load(g));
      const eG = b.exp(G);
      const { tail, whole } = tails(b, G);
      const kr = b.load(k);
      const R = b.sub(b.load(v), b.mul(eG, b.contract(kr, S, 'K')));
      const W = b.contract(b.load(T), b.swap(R), '%col');
      const inter = b.mul(b.mul(eG, b.literal(1 / Math.sqrt(K))), b.contract(b.load(q), S, 'K'));
      b.store(o, b.add(inter, b.contract(b.load(P), b.swap(W), '%col')));
      return [b.add(b.mul(whole, S), b.contract(b.mul(kr, tail), W, ROW))];
    });
    b.store(sT, S);
  });
  return {
    name: 'gated_delta', chunk, sizes: new Map([['K', K], ['V', V]]), buffers: [q, k, v, g, beta, P, T, s0, sT, o], kernels: [prep, chain],
    programs: { forward: ['prep', 'chain'], backward: [], step: [] },
  };
}

/** h = e^g h + x, elementwise; and its adjoint with h recomputed. */
export function elementwise(D: number, chunk = 64): TileModule {
  const x = buffer('x', 'token', ['D'], 'input');
  const g = buffer('g', 'token', ['D'], 'input');
  const h = buffer('h', 'token', ['D'], 'output');
  const h0 = buffer('h0', 'sequence', ['D'], 'initial', 'f32');
  const hT = buffer('final.h', 'sequence', ['D'], 'final', 'f32');
  const scan = buildKernel({ name: 'scan', doc: 'The recurrence.', outer: 'sequence', inner: 'head', split: 'D' }, (b) => {
    const [last] = b.loop('chunks', false, [b.load(h0)], ([state]) => {
      const rows = b.recur(b.exp(b.load(g)), b.load(x), state, false);
      b.store(h, rows);
      return [b.pick(rows, 'last')];
    });
    b.store(hT, last);
  });
  return {
    name: 'elementwise', chunk, sizes: new Map([['D', D]]), buffers: [x, g, h0, h, hT], kernels: [scan],
    programs: { forward: ['scan'], backward: [], step: [] },
  };
}
