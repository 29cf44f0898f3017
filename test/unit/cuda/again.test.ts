import { describe, expect, it } from 'vitest';
import { loadedAgain, madeAgain, PATIENCE } from '../../../src/backends/cuda/tensor-cores/again.js';
import { ROW } from '../../../src/ir/common/axes.js';
import { buildKernel } from '../../../src/ir/tile/build.js';
import type { TileBuffer, TileKernel } from '../../../src/ir/tile/tile.js';
import { TOKENS } from '../../../src/passes/chunk/programs.js';
import { rowBuffer } from './row-buffer.js';

const tensor = (name: string): TileBuffer => ({
  name, outer: 'row', domain: TOKENS, inner: 'head', axes: ['K'], dtype: 'io', role: 'input',
});

/** A vector over a number, read at once and again after some other work. */
function kernelWith(work: number): TileKernel {
  return buildKernel({ name: 'f', doc: 'A test.', outer: 'chunk', domain: TOKENS, inner: 'head' }, (k) => {
    const q = k.load(tensor('q'));
    const scaled = k.mul(q, k.reduce('sum', 'K', q));
    k.store(tensor('a'), k.exp(scaled));
    let other = k.load(tensor('k'));
    for (let i = 0; i < work; i++) other = k.exp(other);
    k.store(tensor('b'), k.mul(scaled, other));
  });
}

const products = ({ body, tiles }: TileKernel) => body.filter((stmt) =>
  stmt.kind === 'let' && stmt.op.op === 'map' && stmt.op.fn === 'mul' && tiles[stmt.tile].axes.includes(ROW)).length;

describe('matrices that take little', () => {
  it('are made again where nobody has read them for a while', () => {
    expect(products(madeAgain(kernelWith(PATIENCE + 1), () => true))).toBe(products(kernelWith(PATIENCE + 1)) + 1);
  });
  it('are kept where they are read soon, or where what they are made of is not at hand', () => {
    expect(madeAgain(kernelWith(1), () => true)).toEqual(kernelWith(1));
    expect(madeAgain(kernelWith(PATIENCE + 1), () => false)).toEqual(kernelWith(PATIENCE + 1));
  });
});

/** A function of a tensor of f32, before and behind so much work. */
const gateWith = (work: number) => buildKernel({ name: 'f', doc: 'A test.', outer: 'chunk', domain: TOKENS, inner: 'head' }, (k) => {
  const gate = k.map('sigmoid', k.load(rowBuffer('g', ['K'], 'f32')));
  k.store(tensor('a'), gate);
  let other = k.load(tensor('k'));
  for (let i = 0; i < work; i++) other = k.exp(other);
  k.store(tensor('b'), k.mul(gate, other));
});
const loadsOf = ({ body }: TileKernel) => body.flatMap((stmt) => (stmt.kind === 'let' && stmt.op.op === 'load' ? [stmt.op.buffer] : []));
const isGate = (name: string) => name === 'g';

describe('what is made of tensors of f32', () => {
  it('is made again of what is loaded again, long after it was read', () => {
    const made = loadedAgain(gateWith(40), isGate);
    expect(loadsOf(made)).toEqual(['g', 'k', 'g']);
    expect(made.body.filter((stmt) => stmt.kind === 'let' && stmt.op.op === 'map' && stmt.op.fn === 'sigmoid')).toHaveLength(2);
  });

  it('is kept where it is read soon', () => {
    expect(loadsOf(loadedAgain(gateWith(4), isGate))).toEqual(['g', 'k']);
  });

  it('is kept where the kernel stores to the tensor', () => {
    const stored = buildKernel({ name: 'f', doc: 'A test.', outer: 'chunk', domain: TOKENS, inner: 'head' }, (k) => {
      const gate = k.exp(k.load(rowBuffer('g', ['K'], 'f32')));
      k.store(rowBuffer('g', ['K'], 'f32'), gate);
      let other = gate;
      for (let i = 0; i < 40; i++) other = k.exp(other);
      k.store(tensor('b'), k.mul(gate, other));
    });
    expect(loadedAgain(stored, isGate)).toEqual(stored);
  });
});
