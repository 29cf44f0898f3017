import { describe, expect, it } from 'vitest';
import type { Flow } from '../../../../src/ir/flow/flow.js';
import { clustersOf } from '../../../../src/passes/cluster/cluster.js';
import type { Clusters, Kernel, KernelForm } from '../../../../src/passes/cluster/kernel.js';
import { printClusters } from '../../../../src/passes/cluster/print.js';
import { verifyKernels } from '../../../../src/passes/cluster/verify.js';
import { adjointOf } from '../../../../src/passes/flow/adjoint.js';
import { isRefused } from '../../../../src/passes/flow/flow.js';
import { flowFor } from '../flow/judge.js';
import { MIXTURES, mixture } from '../flow/mixtures.js';
import { exampleGraph } from '../../interp/graph/texts.js';

const SLOTS = 3;

function withGradients(flow: Flow): Flow {
  const made = adjointOf(flow);
  if (isRefused(made)) throw new Error(made.refusals.map(({ reason }) => reason).join());
  return made;
}

function kernelsOf(flow: Flow): Clusters {
  const made = clustersOf(flow);
  if (isRefused(made)) throw new Error(made.refusals.map(({ reason }) => reason).join());
  return made;
}

function at(kernels: readonly Kernel[], form: KernelForm, rows: number): readonly Kernel[] {
  return kernels.filter((kernel) => kernel.form === form && kernel.rows === rows);
}

describe('kernels of mixtures', () => {
  for (const one of MIXTURES) {
    const [, name, numbers] = one;
    it(`${name} ${JSON.stringify(numbers)}: two products of slots forward, four backward, each sum of slots once`, () => {
      const flow = withGradients(flowFor(mixture(one, true)));
      const { forward, backward } = kernelsOf(flow);
      const [up, down] = at(forward, 'product', SLOTS);
      expect(at(forward, 'product', SLOTS)).toHaveLength(2);
      // All products of the rows of tokens are in one kernel, which reads them where they are.
      expect(up.anchors.length).toBe(new Set(flow.params.filter(({ path }) => /^(all\.)?expert\.(gate|up)$/.test(path))).size);
      expect(up.loads.every((id) => flow.values[id].type.domain !== SLOTS || flow.values[id].type.axes.length === 0)).toBe(true);
      expect(down.anchors).toHaveLength(1);
      expect(at(forward, 'collect', 2)).toHaveLength(1);
      expect(at(backward, 'product', SLOTS)).toHaveLength(2);
      expect(at(backward, 'groups', SLOTS)).toHaveLength(2);
      expect(at(backward, 'collect', 2)).toHaveLength(1);
      // Lists are made again: a choice is less than they are.
      expect(at(backward, 'tables', SLOTS)).toHaveLength(1);
      // A gradient of a bias that is weighed wants the rows of the cotangent once more.
      const bias = flow.params.some(({ path }) => path === 'expert.down_bias');
      expect(at(forward, 'rows', SLOTS)).toHaveLength(0);
      expect(at(backward, 'rows', SLOTS).length > 0).toBe(bias);
    });
  }

  it('nothing else than a softmax mixture needs: router, lists, up, down, sum', async () => {
    const flow = withGradients(flowFor(exampleGraph('moe/softmax', 'mixtral', {}, true)));
    const clusters = kernelsOf(flow);
    expect(clusters.forward.map(({ form }) => form)).toEqual(['product', 'tables', 'product', 'product', 'collect']);
    await expect(printClusters(flow, clusters)).toMatchFileSnapshot('./golden/mixtral.txt');
  });

  it('dense products are the case of one group', () => {
    const flow = withGradients(flowFor(exampleGraph('layers/feed_forward', 'swiglu')));
    const { forward, backward } = kernelsOf(flow);
    expect(forward.map(({ form, rows, anchors }) => [form, rows, anchors.length])).toEqual([['product', 2, 2], ['product', 2, 1]]);
    expect(backward.map(({ form }) => form)).toEqual(['product', 'groups', 'groups', 'product']);
  });
});

describe('kernels of layers', () => {
  it('a layer of products, norms and scans has kernels, each with what it reads', () => {
    for (const [file, name] of [['gla', 'seed_gla'], ['rwkv7', 'time_mix'], ['memories', 'mom'], ['norms', 'norm']] as const) {
      const { forward, backward } = kernelsOf(withGradients(flowFor(exampleGraph(`layers/${file}`, name, { D: 8 }))));
      expect(forward.length).toBeGreaterThan(0);
      expect(backward.length).toBeGreaterThan(0);
    }
  });

  it('what sees the past is refused', () => {
    const made = clustersOf(flowFor(exampleGraph('layers/attention', 'gqa', { D: 8 })));
    expect(isRefused(made) && made.refusals.map(({ reason }) => reason)).toEqual(['what sees the past']);
  });
});

describe('the verifier of kernels', () => {
  const flow = flowFor(exampleGraph('moe/softmax', 'mixtral', {}, false));
  const { forward } = kernelsOf(flow);
  const border = { roots: flow.outputs.map(({ value }) => value), given: new Set<never>() };
  it('has nothing against kernels that were made', () => expect(verifyKernels(flow, forward, border)).toEqual([]));
  it('sees what is read before it is there', () => {
    const text = verifyKernels(flow, [...forward].reverse(), border).join('\n');
    expect(text).toContain('which is not there');
    expect(text).toContain('before its slots are listed');
  });
  it('sees what nobody loads, and results that nobody stores', () => {
    expect(verifyKernels(flow, forward.map((kernel) => ({ ...kernel, loads: [] })), border).join()).toContain('without value');
    expect(verifyKernels(flow, forward.slice(0, -1), border).join()).toContain('is never stored');
  });
});
