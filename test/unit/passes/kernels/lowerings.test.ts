import { expect, it } from 'vitest';
import { emitCuda } from '../../../../src/backends/cuda/emit.js';
import { templates } from '../../cuda/templates.js';
import { exampleGraph } from '../../interp/graph/texts.js';
import { MIXTURES } from '../flow/mixtures.js';
import { madeOf } from './judge.js';

/** Mixtures of the examples at their own sizes, and a layer. */
const GRAPHS = [
  ...[...new Map(MIXTURES.map(([file, name]) => [name, file]))].map(([name, file]) => exampleGraph(`moe/${file}`, name, {}, true)),
  exampleGraph('layers/feed_forward', 'swiglu', { D: 1024, F: 2816 }),
];

/** Kernels by lowering, and why those that are plain are: what falls back shows in a review of this list. */
it('every kernel of mixtures has the lowering that it had', async () => {
  const lines = GRAPHS.flatMap((graph) => {
    const { lowered } = madeOf(graph, 64);
    if (lowered === undefined) return [];
    return (['cuda.sm80', 'cuda.sm90'] as const).flatMap((target) => {
      const source = { hash: '', compiler: '', command: '' };
      const { plan } = emitCuda(lowered.module, { target, dtype: 'bf16', source, doc: '', templates });
      return plan.kernels.map(({ name, lowering, plainWhy }) => (
        `${graph.name} ${target} ${name}: ${lowering}${plainWhy === undefined ? '' : ` (${plainWhy})`}`
      ));
    });
  });
  expect(lines.length).toBeGreaterThan(100);
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('golden/lowerings.txt');
});
