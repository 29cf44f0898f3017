import { expect, it } from 'vitest';
import { frontend } from '../../src/passes/frontend.js';
import { flowOf, isRefused } from '../../src/passes/flow/flow.js';
import { someCall } from '../unit/interp/graph/make-graph.js';
import { judgeKernels, madeOf } from '../unit/passes/kernels/judge.js';
import { judgeBackward, judgeForward, judgeUpdate } from '../unit/passes/flow/judge.js';
import { nest } from './nests.js';

const NESTS = Number(process.env.NESTS ?? 24);
const FIRST = Number(process.env.FIRST_NEST ?? 100);

/** Graph, flow and tiles; a reason where there are none. */
function judged(text: string, name: string, seed: number): string | undefined {
  const { parts, diagnostics } = frontend('nest.lmoe', text);
  expect(diagnostics.filter(({ severity }) => severity === 'error').map(({ title }) => title)).toEqual([]);
  const { graph } = parts.elaborate(name, new Map(), true);
  if (graph === undefined) throw new Error('no graph');
  const flow = flowOf(graph);
  if (isRefused(flow)) return flow.refusals[0].reason;
  const made = madeOf(graph);
  for (const lengths of [[5, 3], [1], [3, 0, 1]]) {
    const call = someCall(graph, lengths, seed, { program: 'train' });
    judgeForward(graph, call, 1e-9);
    judgeBackward(graph, call, 1e-9);
    judgeUpdate(graph, [call, call], 1e-9);
    if (made.lowered !== undefined) judgeKernels(made, call, 1e-9);
  }
  return made.refusals[0]?.reason;
}

it('mixtures within mixtures mean the same as graphs, flows and kernels, or are refused with a reason', () => {
  const reasons: string[] = [];
  for (let seed = FIRST; seed < FIRST + NESTS; seed++) {
    const { text, name } = nest(seed);
    try {
      const reason = judged(text, name, seed);
      if (reason !== undefined) reasons.push(reason);
    } catch (error) {
      throw new Error(`nest ${seed}: ${String(error)}\n${text}`, { cause: error });
    }
  }
  expect(reasons.length, reasons.join('\n')).toBeLessThan(NESTS / 6);
}, 300_000);
