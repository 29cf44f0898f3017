import { describe, expect, it } from 'vitest';
import { numbersFirst } from '../../../src/backends/cuda/tensor-cores/numbers-first.js';
import { buildKernel } from '../../../src/ir/tile/build.js';
import type { TileStmt } from '../../../src/ir/tile/tile.js';
import { rowBuffer } from './row-buffer.js';
import { TOKENS } from '../../../src/passes/chunk/programs.js';

/**
 * A product times a running sum of a gate and over a norm in memory; a number that is only stored, norms of two tensors, a sum over scores.
 */
const kernel = buildKernel({ name: 'f', doc: 'A test.', outer: 'chunk', domain: TOKENS, inner: 'head' }, (k) => {
  const [q, v] = [k.load(rowBuffer('q', ['K'])), k.load(rowBuffer('v', ['V']))];
  const scores = k.contract(q, k.swap(q), 'K');
  const decays = k.exp(k.decaySums(k.load(rowBuffer('g', [], 'f32'))));
  const scaled = k.mul(k.mul(scores, decays), k.map('div', k.literal(1), k.load(rowBuffer('norm', [], 'f32'))));
  k.store(rowBuffer('a', ['V']), k.contract(scaled, k.swap(v), '%col'));
  k.store(rowBuffer('b', [], 'f32'), k.map('sigmoid', k.load(rowBuffer('beta', [], 'f32'))));
  k.store(rowBuffer('c', ['K']), k.mul(q, k.map('sqrt', k.reduce('sum', 'K', k.mul(q, q)))));
  k.store(rowBuffer('d', ['V']), k.mul(v, k.map('sqrt', k.reduce('sum', 'V', k.mul(v, v)))));
  k.store(rowBuffer('e', ['K']), k.mul(q, k.reduce('sum', '%col', scores)));
});

const isLet = (of: (op: Extract<TileStmt, { kind: 'let' }>['op']) => boolean) => (stmt: TileStmt) => stmt.kind === 'let' && of(stmt.op);

describe('vectors and numbers of a kernel in straight code', () => {
  const { body } = numbersFirst(kernel);
  const at = (of: Parameters<typeof isLet>[0]) => body.findIndex(isLet(of));
  const product = at((op) => op.op === 'contract');

  it('come first, if matrices read them and they are made of tensors in memory alone', () => {
    expect(at((op) => op.op === 'cumsum')).toBeLessThan(product);
    expect(at((op) => op.op === 'map' && op.fn === 'exp')).toBeLessThan(product);
    expect(at((op) => op.op === 'map' && op.fn === 'div')).toBeLessThan(product);
  });

  it('have all sums over matrices in memory beside each other, behind what waits for no matrix', () => {
    const sums = body.flatMap((stmt, place) => (isLet((op) => op.op === 'reduce' && op.axis !== '%col')(stmt) ? [place] : []));
    const root = at((op) => op.op === 'map' && op.fn === 'sqrt');
    expect(sums).toHaveLength(2);
    expect(Math.max(...sums)).toBeLessThan(root);
    expect(root).toBeLessThan(product);
    expect(at((op) => op.op === 'cumsum')).toBeLessThan(Math.min(...sums));
  });

  it('stay where they are, if they are only stored or made of products', () => {
    expect(at((op) => op.op === 'map' && op.fn === 'sigmoid')).toBeGreaterThan(product);
    expect(at((op) => op.op === 'reduce' && op.axis === '%col')).toBeGreaterThan(product);
  });

  it('are neither more nor fewer', () => {
    expect(new Set(body)).toEqual(new Set(kernel.body));
  });
});
