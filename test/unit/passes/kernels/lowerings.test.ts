import { expect, it } from 'vitest';
import { emitCuda } from '../../../../src/backends/cuda/emit.js';
import type { CudaTarget } from '../../../../src/backends/cuda/lowered.js';
import type { IoDtype } from '../../../../src/ir/common/dtype.js';
import type { TileModule } from '../../../../src/ir/tile/tile.js';
import { templates } from '../../cuda/templates.js';
import { exampleGraph } from '../../interp/graph/texts.js';
import { MIXTURES } from '../flow/mixtures.js';
import { madeOf } from './judge.js';

/** Mixtures of the examples at their own sizes, and a layer. */
const GRAPHS = [
  ...[...new Map(MIXTURES.map(([file, name]) => [name, file]))].map(([name, file]) => exampleGraph(`moe/${file}`, name, {}, true)),
  exampleGraph('layers/feed_forward', 'swiglu', { D: 1024, F: 2816 }),
];

const MADE = GRAPHS.flatMap((graph) => {
  const { lowered } = madeOf(graph, 64);
  return lowered === undefined ? [] : [{ name: graph.name, module: lowered.module }];
});

const kernelsOf = (module: TileModule, target: CudaTarget, dtype: IoDtype) => emitCuda(
  module, { target, dtype, source: { hash: '', compiler: '', command: '' }, doc: '', templates },
).plan.kernels;

it.each([['bf16', 'cuda.sm86'], ['f16', 'cuda.sm80'], ['f16', 'cuda.sm90']] as const)('no product is plain: %s, %s', (dtype, target) => {
  const plain = MADE.flatMap(({ name, module }) => kernelsOf(module, target, dtype).flatMap((kernel) => (
    kernel.plainWhy === undefined || kernel.plainWhy === 'no matrix product' ? [] : [`${name} ${kernel.name}: ${kernel.plainWhy}`]
  )));
  expect(plain).toEqual([]);
});

/** Kernels by lowering, and why those that are plain are: what falls back shows in a review of this list. */
it('every kernel of mixtures has the lowering that it had', async () => {
  const lines = MADE.flatMap((made) => (['cuda.sm80', 'cuda.sm90'] as const).flatMap((target) => (
    kernelsOf(made.module, target, 'bf16').map(({ name, lowering, plainWhy }) => (
      `${made.name} ${target} ${name}: ${lowering}${plainWhy === undefined ? '' : ` (${plainWhy})`}`
    ))
  )));
  expect(lines.length).toBeGreaterThan(100);
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('golden/lowerings.txt');
});
