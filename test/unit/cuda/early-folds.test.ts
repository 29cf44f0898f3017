import { describe, expect, it } from 'vitest';
import { foldsEarly } from '../../../src/backends/cuda/tensor-cores/early-folds.js';
import { buildKernel } from '../../../src/ir/tile/build.js';
import type { TileKernel, TileStmt } from '../../../src/ir/tile/tile.js';
import { TOKENS } from '../../../src/passes/chunk/programs.js';
import { rowBuffer } from './row-buffer.js';

/** A product that is scaled, stored, and summed with a tensor behind another product, which reads nothing of it. */
const kernel = (again: boolean) => buildKernel({ name: 'f', doc: 'A test.', outer: 'chunk', domain: TOKENS, inner: 'head' }, (k) => {
  const [q, v] = [k.load(rowBuffer('q', ['K'])), k.load(rowBuffer('v', ['V']))];
  const scores = k.contract(q, k.swap(q), 'K');
  const scaled = k.mul(k.contract(scores, k.swap(q), '%col'), k.load(rowBuffer('g', [], 'f32')));
  k.store(rowBuffer('a', ['K']), scaled);
  const other = k.contract(scores, k.swap(v), '%col');
  k.store(rowBuffer('b', ['V']), other);
  const sum = k.reduce('sum', 'K', k.mul(scaled, q));
  if (again) k.store(rowBuffer('c', ['K']), k.mul(scaled, scaled));
  k.store(rowBuffer('d', [], 'f32'), sum);
});

const isSum = (stmt: TileStmt) => stmt.kind === 'let' && stmt.op.op === 'reduce';
const stored = ({ body }: TileKernel, name: string) => body.findIndex((stmt) => stmt.kind === 'store' && stmt.buffer === name);

describe('sums over products of what a kernel has made', () => {
  it('stand behind whoever else reads it last', () => {
    const { body } = foldsEarly(kernel(false));
    expect(kernel(false).body.findIndex(isSum)).toBeGreaterThan(stored(kernel(false), 'b'));
    const made = { ...kernel(false), body };
    expect(body.findIndex(isSum)).toBeGreaterThan(stored(made, 'a'));
    expect(body.findIndex(isSum)).toBeLessThan(stored(made, 'b'));
    expect(body.findIndex(isSum)).toBeLessThan(stored(made, 'd'));
  });

  it('stay where they are, if registers hold it for somebody later', () => {
    expect(foldsEarly(kernel(true)).body).toEqual(kernel(true).body);
  });

  it('are neither more nor fewer statements', () => {
    const given = kernel(false);
    expect(new Set(foldsEarly(given).body)).toEqual(new Set(given.body));
  });
});
