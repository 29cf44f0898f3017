import { describe, expect, it } from 'vitest';
import { sunk } from '../../../src/backends/cuda/tensor-cores/sink.js';
import { buildKernel } from '../../../src/ir/tile/build.js';
import type { TileKernel } from '../../../src/ir/tile/tile.js';
import { TOKENS } from '../../../src/passes/chunk/programs.js';
import { rowBuffer } from './row-buffer.js';

/** A product of a tensor and an exponential, before other work; `again`: the exponential is read behind that, too. */
const kernelWith = (again: boolean): TileKernel => buildKernel(
  { name: 'f', doc: 'A test.', outer: 'chunk', domain: TOKENS, inner: 'head' },
  (k) => {
    const [q, v] = [k.load(rowBuffer('q', ['K'])), k.load(rowBuffer('v', ['K']))];
    const made = k.exp(k.contract(k.contract(q, k.swap(q), 'K'), k.swap(q), '%col'));
    const product = k.mul(made, q);
    const other = k.contract(k.contract(v, k.swap(q), 'K'), k.swap(v), '%col');
    k.store(rowBuffer('a', ['K']), other);
    k.store(rowBuffer('b', ['K']), k.add(product, other));
    if (again) k.store(rowBuffer('c', ['K']), k.mul(made, other));
  },
);

const names = ({ body }: TileKernel) => body.map((stmt) => (
  stmt.kind === 'let' ? (stmt.op.op === 'map' ? stmt.op.fn : stmt.op.op) : stmt.kind === 'store' ? stmt.buffer : stmt.kind
));

describe('what is made of matrices element by element', () => {
  it('is made where it is read, if these stay until then', () => {
    const found = names(sunk(kernelWith(true)));
    expect(found.indexOf('mul')).toBe(found.indexOf('add') - 1);
    expect(found.indexOf('mul')).toBeGreaterThan(found.indexOf('a'));
  });

  it('stays where one of them ends with it', () => {
    expect(names(sunk(kernelWith(false)))).toEqual(names(kernelWith(false)));
  });

  it.each([true, false])('is neither more nor less: %s', (again) => {
    expect(new Set(sunk(kernelWith(again)).body)).toEqual(new Set(kernelWith(again).body));
  });
});
