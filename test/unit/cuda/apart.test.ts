import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { ROW } from '../../../src/ir/common/axes.js';
import { loadedBuffers, storedBuffers } from '../../../src/ir/tile/buffers.js';
import { buildKernel, type KernelBuilder } from '../../../src/ir/tile/build.js';
import type { TileBuffer, TileKernel, TileModule } from '../../../src/ir/tile/tile.js';
import { verifyTiles } from '../../../src/ir/tile/verify.js';
import { scanPrograms, TOKENS } from '../../../src/passes/chunk/programs.js';
import { productsApart } from '../../../src/backends/cuda/tensor-cores/apart.js';
import { compiler, emulate } from './emulate.js';
import { templates } from './templates.js';

const rows = (name: string, axes: readonly string[], role: TileBuffer['role'], dtype: TileBuffer['dtype'] = 'f32'): TileBuffer => (
  { name, outer: 'row', domain: TOKENS, inner: 'once', axes, dtype, role }
);
const param = (name: string, role: TileBuffer['role'], dtype: TileBuffer['dtype'], ...axes: readonly string[]): TileBuffer => (
  { name, outer: 'once', inner: 'once', axes, dtype, role }
);
const [x, z, y, most] = [
  rows('x', ['D'], 'input', 'io'), rows('z', ['G', 'M'], 'output'), rows('y', ['G', 'M'], 'output'), rows('most', [], 'output'),
];
const [dz, gate] = [rows('dz', ['G', 'M'], 'input'), param('gate', 'param', 'io', 'D', 'G', 'M')];
const dx = rows('dx', ['D'], 'output', 'io');
const [dgate, dw] = [param('dgate', 'output', 'f32', 'D', 'G', 'M'), param('dw', 'output', 'f32', 'D')];
const BUFFERS = [x, dz, gate, z, y, most, dx, dgate, dw];

const chunked = (name: string, split: string | undefined, write: (k: KernelBuilder) => void): TileKernel => (
  buildKernel({ name, doc: 'A kernel.', outer: 'chunk', domain: TOKENS, inner: 'once', split }, write)
);
const largest = (k: KernelBuilder, scores: number) => k.reduce('max', 'M', k.reduce('max', 'G', scores));
const KERNELS: Readonly<Record<string, TileKernel>> = {
  scores: chunked('scores', undefined, (k) => {
    const scores = k.contract(k.load(x), k.load(gate), 'D');
    k.store(z, scores);
    k.store(y, k.exp(k.sub(scores, largest(k, scores))));
  }),
  unstored: chunked('unstored', undefined, (k) => k.store(most, largest(k, k.contract(k.load(x), k.load(gate), 'D')))),
  rows: chunked('rows', 'D', (k) => k.store(dx, k.reduce('sum', 'M', k.contract(k.load(dz), k.load(gate), 'G')))),
  sums: buildKernel({ name: 'sums', doc: 'Sums.', outer: 'once', domain: TOKENS, inner: 'once', split: 'D' }, (k) => {
    const [of, all] = k.loop('chunks', false, [k.zeros(['G', 'M', 'D']), k.zeros(['D'])], ([a, b]) => {
      const own = k.keep(k.load(x));
      return [k.add(a, k.contract(k.keep(k.load(dz)), own, ROW)), k.add(b, k.reduce('sum', ROW, own))];
    });
    k.store(dgate, of);
    k.store(dw, all);
  }),
};

function moduleOf(kernel: TileKernel): TileModule {
  const touched = [...loadedBuffers(kernel.body), ...storedBuffers(kernel.body)];
  const buffers = BUFFERS.filter(({ name }) => touched.includes(name));
  return {
    name: 'm', chunk: 64, sizes: new Map([['D', 192], ['G', 3], ['M', 8]]), domains: [TOKENS], buffers, kernels: [kernel],
    programs: scanPrograms(buffers, { forward: [kernel.name] }),
  };
}

describe('products beside what they are not made for', () => {
  it.each([
    ['scores', [['scores_product', 'tensor cores'], ['scores', 'plain']]],
    ['unstored', [['unstored_product', 'tensor cores'], ['unstored', 'plain']]],
    ['rows', [['rows', 'tensor cores']]], ['sums', [['sums_product', 'tensor cores'], ['sums', 'plain']]],
  ] as const)('%s', (name, wanted) => {
    const module = moduleOf(KERNELS[name]);
    expect(verifyTiles(module)).toEqual([]);
    expect(verifyTiles(productsApart(module))).toEqual([]);
    const source = { hash: '', compiler: '', command: '' };
    const { plan } = emitCuda(module, { target: 'cuda.sm90', dtype: 'bf16', source, doc: '', templates });
    const found = plan.kernels.map((kernel) => [kernel.name, kernel.lowering === 'tensor cores' ? kernel.lowering : 'plain']);
    expect(found).toEqual(wanted);
    expect(plan.programs.forward.launches.map(({ kernel }) => kernel)).toEqual(wanted.map(([kernel]) => kernel));
  });

  it.skipIf(!compiler).each(Object.keys(KERNELS))('%s: gives what the tile interpreter gives (skipped without g++)', (name) => {
    const options = { plain: false, call: { heads: 1, groups: 1, lengths: [70, 0, 99] }, longest: 1, programs: ['forward'], orders: ['0'] };
    const errors = emulate(moduleOf(KERNELS[name]), { ...options, dtype: 'bf16', target: 'cuda.sm80' });
    expect(errors.size).toBeGreaterThan(0);
    for (const [what, error] of errors) expect([what, error < 5e-3]).toEqual([what, true]);
  });
});
