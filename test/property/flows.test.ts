import { describe, expect, it } from 'vitest';
import type { Graph } from '../../src/ir/graph/graph.js';
import { adjointOf } from '../../src/passes/flow/adjoint.js';
import { flowOf, isRefused } from '../../src/passes/flow/flow.js';
import { frontend } from '../../src/passes/frontend.js';
import { someCall } from '../unit/interp/graph/make-graph.js';
import { judgeBackward, judgeForward } from '../unit/passes/flow/judge.js';
import { draftLayer } from './layers.js';

const DRAFTS = Number(process.env.DRAFTS ?? 150);
const FIRST = Number(process.env.FIRST_DRAFT ?? 1);

describe('drafted layers as flows', () => {
  it('mean what their graphs mean, forward and backward, unless they are refused with a reason', () => {
    let [judged, slots] = [0, 0];
    const reasons = new Map<string, number>();
    for (let seed = FIRST; seed < FIRST + DRAFTS; seed++) {
      const { text, name } = draftLayer(seed);
      const { parts, diagnostics } = frontend('draft.lmoe', text);
      const graph: Graph | undefined = diagnostics.some(({ severity }) => severity === 'error') ? undefined
        : parts.elaborate(name, new Map(), true).graph;
      if (graph === undefined) continue;
      try {
        const flow = flowOf(graph);
        const made = isRefused(flow) ? flow : adjointOf(flow);
        if (isRefused(made)) {
          for (const { reason } of made.refusals) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
          continue;
        }
        const call = someCall(graph, [4, 1, 3], seed);
        if (!/\[v\d+\]/.test(text)) call.inputs.get('i')?.set([-1], seed % 8);
        judgeForward(graph, call, 1e-9, false);
        judgeBackward(graph, call, 1e-9);
        judged++;
        if (made.domains.some(({ kind }) => kind === 'slot')) slots++;
      } catch (error) {
        throw new Error(`draft ${seed}: ${String(error)}\n${text}`, { cause: error });
      }
    }
    expect(judged, JSON.stringify([...reasons])).toBeGreaterThan(DRAFTS / 4);
    expect(slots).toBeGreaterThan(DRAFTS / 50);
  });
});
