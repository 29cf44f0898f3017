import { describe, expect, it } from 'vitest';
import type { Graph } from '../../src/ir/graph/graph.js';
import { clustersOf } from '../../src/passes/cluster/cluster.js';
import { adjointOf } from '../../src/passes/flow/adjoint.js';
import { flowOf, isRefused } from '../../src/passes/flow/flow.js';
import { frontend } from '../../src/passes/frontend.js';
import { countedBySlots } from '../../src/passes/kernels/counted.js';
import { kernelsOf } from '../../src/passes/kernels/kernels.js';
import { namesOf } from '../../src/passes/kernels/names.js';
import { withoutPicks } from '../../src/passes/kernels/picks.js';
import { forKernels } from '../../src/passes/kernels/results.js';
import { generateLayers } from '../fuzz/layers.js';
import { someCall } from '../unit/interp/graph/make-graph.js';
import { emitCuda } from '../../src/backends/cuda/emit.js';
import { templates } from '../unit/cuda/templates.js';
import { judgeKernels, madeOf } from '../unit/passes/kernels/judge.js';
import { generateGoals } from './goal-forms.js';
import { IMPORTED } from './goals.js';
import { draftLayer } from './layers.js';
import { routedMixture } from './mixtures.js';

interface Program {
  readonly text: string;
  readonly imported: string;
  readonly last: string;
}

/** Makers of programs, from which seed on, how many, and how many of these have kernels at least. */
const MAKERS: readonly (readonly [name: string, make: (seed: number) => Program, first: number, count: number, judged: number])[] = [
  ['drafted', (seed) => {
    const { text, name } = draftLayer(seed);
    return { text, imported: '', last: name };
  }, 1, 200, 15],
  ['made goal first', (seed) => generateGoals(seed, seed % 3 === 0), 41, 50, 12],
  ['well typed', (seed) => ({ ...generateLayers(seed), imported: '' }), 61, 40, 12],
  ['by their routing', (seed) => {
    const { text, name } = routedMixture(seed);
    return { text, imported: '', last: name };
  }, 1, 60, 50],
];

function graphOf({ text, imported, last }: Program): Graph | undefined {
  const { parts, diagnostics } = frontend('random.lmoe', text, (path) => (path === IMPORTED ? imported : undefined));
  const wrong = diagnostics.some(({ severity }) => severity === 'error');
  return wrong ? undefined : parts.elaborate(last, new Map(), true).graph;
}

/** Does the tile interpreter give what the flow gives? False where there are no kernels, which is said with a reason. */
function judged(graph: Graph, seed: number): boolean {
  const there = flowOf(graph);
  const whole = isRefused(there) ? there : adjointOf(countedBySlots(withoutPicks(there)));
  if (isRefused(whole)) return saidWhy(whole.refusals);
  const flow = forKernels(whole);
  const clusters = clustersOf(flow);
  if (isRefused(clusters)) return saidWhy(clusters.refusals);
  const lowered = kernelsOf(flow, clusters, 4);
  if (isRefused(lowered)) return saidWhy(lowered.refusals);
  const names = namesOf(flow, lowered);
  if (isRefused(names)) return saidWhy(names.refusals);
  for (const lengths of [[4, 1, 3], [2, 0, 5]]) {
    judgeKernels({ flow, clusters, lowered, refusals: [] }, someCall(graph, lengths, seed), 1e-9);
  }
  return true;
}

function saidWhy(refusals: readonly { readonly reason: string }[]): false {
  expect(refusals.every(({ reason }) => reason.length > 0) && refusals.length > 0).toBe(true);
  return false;
}

/** Pointers that kernels, and functions that are parts of one, name and are not given. */
function strangers(text: string): readonly string[] {
  return text.split(/__global__|\nDEV void /).slice(1).flatMap((kernel) => {
    const [head] = kernel.split('{', 1);
    return [...new Set(kernel.match(/\bp_\w+/g))].filter((name) => !new RegExp(`\\b${name}\\b`).test(head));
  });
}

it('random mixtures as CUDA name no tensor that their kernels do not take', () => {
  let texts = 0;
  for (let seed = 101; seed < 131; seed++) {
    const { text, name: last } = routedMixture(seed);
    const graph = graphOf({ text, imported: '', last });
    const { lowered } = graph === undefined ? { lowered: undefined } : madeOf(graph, 16);
    if (lowered === undefined) continue;
    const options = { target: 'cuda.sm90', dtype: 'f32', source: { hash: '', compiler: '', command: '' }, doc: '', templates } as const;
    for (const file of emitCuda(lowered.module, options).files.values()) {
      expect([seed, strangers(file)]).toEqual([seed, []]);
      if (file.includes('__global__')) texts++;
    }
  }
  expect(texts).toBeGreaterThan(20);
}, 120_000);

describe('random parts have kernels that give what their flows give, or none for a reason', () => {
  it.each(MAKERS)('%s', (_, make, first, count, wanted) => {
    let made = 0;
    for (let seed = first; seed < first + count; seed++) {
      const program = make(seed);
      const graph = graphOf(program);
      if (graph === undefined) continue;
      try {
        if (judged(graph, seed)) made++;
      } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}\n${program.imported}\n${program.text}`, { cause: error });
      }
    }
    expect(made).toBeGreaterThan(wanted);
  }, 120_000);
});
