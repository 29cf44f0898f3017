import { describe, expect, it } from 'vitest';
import { foldsTogether } from '../../../src/backends/cuda/tensor-cores/tail-order.js';
import { buildKernel, type KernelBuilder } from '../../../src/ir/tile/build.js';
import { operandsOf } from '../../../src/ir/tile/facts.js';
import type { TileBuffer, TileKernel, TileStmt } from '../../../src/ir/tile/tile.js';
import { TOKENS } from '../../../src/passes/chunk/programs.js';

const buffer = (name: string, axes: readonly string[]): TileBuffer => ({
  name, outer: 'row', domain: TOKENS, inner: 'head', axes: [...axes], dtype: 'io', role: 'input',
});
const kernel = (write: (k: KernelBuilder) => void) => buildKernel(
  { name: 'f', doc: 'A test.', outer: 'chunk', domain: TOKENS, inner: 'head' }, write,
);

/** A vector over its norm, twice, between products; the first norm's sum is a number for a matrix, the second is stored as it is. */
const twoNorms = () => kernel((k) => {
  const [q, v] = [k.load(buffer('q', ['K'])), k.load(buffer('v', ['V']))];
  const made = k.exp(q);
  k.store(buffer('a', ['K']), k.mul(made, k.reduce('sum', 'K', k.mul(made, q))));
  k.store(buffer('c', []), k.reduce('sum', 'K', k.mul(k.exp(made), q)));
  k.store(buffer('d', []), k.reduce('sum', 'V', k.mul(v, v)));
  k.store(buffer('b', ['V']), k.contract(k.contract(q, k.swap(q), 'K'), k.swap(v), '%col'));
});

const isFold = (stmt: TileStmt) => stmt.kind === 'let' && stmt.op.op === 'reduce';
const isProduct = (stmt: TileStmt) => stmt.kind === 'let' && stmt.op.op === 'contract';
const positions = ({ body }: TileKernel, of: (stmt: TileStmt) => boolean) => body.flatMap((stmt, at) => (of(stmt) ? [at] : []));

/** Does everything come after what it is made of? */
function inOrder({ body }: TileKernel): boolean {
  const known = new Set<number>();
  return body.every((stmt) => {
    const read = stmt.kind === 'let' ? operandsOf(stmt.op) : stmt.kind === 'store' ? [stmt.value] : [];
    if (stmt.kind === 'let') known.add(stmt.tile);
    return read.every((tile) => known.has(tile));
  });
}

describe('folds of a kernel in straight code', () => {
  it('come behind its products, and what is made of them behind all of them', () => {
    const found = foldsTogether(twoNorms(), true);
    expect(Math.min(...positions(found, isFold))).toBeGreaterThan(Math.max(...positions(found, isProduct)));
    const last = Math.max(...positions(found, isFold));
    expect(positions(found, (stmt) => stmt.kind === 'store' && ['a', 'c', 'd'].includes(stmt.buffer)).every((at) => at > last)).toBe(true);
  });

  it('stay where they are if matrices are made of them and registers are short; numbers that are only stored wait', () => {
    const found = foldsTogether(twoNorms(), false);
    const [first, ...others] = positions(found, isFold);
    const products = Math.max(...positions(found, isProduct));
    expect(first).toBeLessThan(products);
    expect(Math.min(...others)).toBeGreaterThan(products);
  });

  it.each([true, false])('bring nothing before what it is made of, and leave nothing out', (matrices) => {
    const [before, after] = [twoNorms(), foldsTogether(twoNorms(), matrices)];
    expect(inOrder(after)).toBe(true);
    expect(new Set(after.body.map((stmt) => JSON.stringify(stmt)))).toEqual(new Set(before.body.map((stmt) => JSON.stringify(stmt))));
  });

  it('keep their places where there is one alone', () => {
    const one = kernel((k) => {
      const q = k.load(buffer('q', ['K']));
      k.store(buffer('c', []), k.reduce('sum', 'K', q));
    });
    expect(foldsTogether(one, true)).toEqual(one);
  });
});
