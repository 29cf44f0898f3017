import { describe, expect, it } from 'vitest';
import type { CudaContext } from '../../../src/backends/cuda/lowered.js';
import { isRefused } from '../../../src/backends/cuda/refused.js';
import { blockParts } from '../../../src/backends/cuda/tensor-cores/block-parts.js';
import { buildKernel, type KernelBuilder } from '../../../src/ir/tile/build.js';
import { printLet, printStore } from '../../../src/ir/tile/print.js';
import type { TileBuffer, TileModule, TileStmt } from '../../../src/ir/tile/tile.js';
import { scanPrograms, TOKENS } from '../../../src/passes/chunk/programs.js';

const rows = (name: string, axes: readonly string[], role: TileBuffer['role'], dtype: TileBuffer['dtype'] = 'io'): TileBuffer => (
  { name, outer: 'row', domain: TOKENS, inner: 'once', axes, dtype, role }
);
const param = (name: string, ...axes: readonly string[]): TileBuffer => (
  { name, outer: 'once', inner: 'once', axes, dtype: 'io', role: 'param' }
);
const [x, weight, source] = [rows('x', ['D'], 'input'), rows('weight', [], 'input', 'f32'), rows('source', [], 'input', 'i32')];
const [rest, y, scores] = [rows('rest', ['F'], 'input'), rows('y', ['F'], 'output'), rows('scores', ['E'], 'input')];
const [w, v] = [param('w', 'D', 'F'), param('v', 'E', 'F')];
const BUFFERS = [x, weight, source, rest, y, scores, w, v];

function parted(write: (k: KernelBuilder) => void, D = 128) {
  const kernel = buildKernel({ name: 'k', doc: 'A kernel.', outer: 'chunk', domain: TOKENS, inner: 'once', split: 'F' }, write);
  const module: TileModule = {
    name: 'm', chunk: 64, sizes: new Map([['D', D], ['E', 64], ['F', 128]]), domains: [TOKENS], buffers: BUFFERS, kernels: [kernel],
    programs: scanPrograms(BUFFERS, { forward: ['k'] }),
  };
  const cx: CudaContext = { module, target: 'cuda.sm90', dtype: 'bf16' };
  const found = blockParts(cx, kernel);
  if (isRefused(found)) return found.why;
  const text = (stmt: TileStmt) => (
    stmt.kind === 'let' ? printLet(kernel, stmt.tile, stmt.op) : stmt.kind === 'store' ? printStore(stmt) : ''
  ).replace(/^%\d+ \[.*?\] = /, '');
  return {
    before: found.before.map(text), inside: found.loops.map(({ inside }) => inside.map(text)).flat(), after: found.after.map(text),
    sums: [...found.sums.values()],
  };
}

describe('a kernel of blocks', () => {
  it('has before its loop what steps need, in it what has the summed axis, after it the rest', () => {
    expect(parted((k) => {
      const scaled = k.mul(k.load(x), k.exp(k.load(weight)));
      k.store(y, k.add(k.contract(scaled, k.load(w), 'D'), k.load(rest)));
    })).toEqual({
      before: ['load weight row', 'exp %1'],
      inside: ['load x row', 'mul %0, %2', 'load w', 'contract[D] %3, %4'],
      after: ['load rest row', 'add %5, %6', 'store y, %7'],
      sums: [5],
    });
  });

  it('adds products up where nobody else reads them, or their sums', () => {
    const product = (k: KernelBuilder, from: number) => k.contract(from === 0 ? k.load(x) : k.gather(x, source), k.load(w), 'D');
    const both = parted((k) => k.store(y, k.add(product(k, 0), product(k, 1))));
    expect(both).toMatchObject({ after: ['store y, %5'], sums: [5, 5] });
    const apart = parted((k) => {
      const [one, other] = [product(k, 0), product(k, 1)];
      k.store(y, k.mul(k.add(one, other), other));
    });
    expect(apart).toMatchObject({ sums: [2, 4] });
  });

  it('has a loop for each axis that products sum over', () => {
    const found = parted((k) => k.store(y, k.add(k.contract(k.load(x), k.load(w), 'D'), k.contract(k.load(scores), k.load(v), 'E'))));
    expect(found).toEqual({
      before: [], inside: ['load x row', 'load w', 'contract[D] %0, %1', 'load scores row', 'load v', 'contract[E] %3, %4'],
      after: ['store y, %6'], sums: [6, 6],
    });
  });

  it.each<[string, (k: KernelBuilder) => void, number?]>([
    ['reduce over D', (k) => k.store(y, k.mul(k.contract(k.load(x), k.load(w), 'D'), k.reduce('sum', 'D', k.load(x))))],
    ['cumsum in a block', (k) => k.store(y, k.contract(k.decaySums(k.load(x)), k.load(w), 'D'))],
    ['operands along D, which is no multiple of 64', (k) => k.store(y, k.contract(k.exp(k.load(x)), k.load(w), 'D')), 72],
    ['a block that reads what it stores', (k) => {
      k.store(y, k.contract(k.load(x), k.load(w), 'D'));
      k.store(y, k.add(k.load(y), k.load(rest)));
    }],
    ['gathered rows beside products', (k) => k.store(y, k.add(k.contract(k.load(x), k.load(w), 'D'), k.gather(rest, source)))],
    ['blocks of products of products', (k) => {
      const first = k.contract(k.load(x), k.load(w), 'D');
      k.store(y, k.contract(k.mul(k.load(x), k.pick(first, 'first')), k.load(w), 'D'));
    }],
  ])('is refused with a reason: %s', (why, write, D) => expect(parted(write, D)).toBe(why));
});
