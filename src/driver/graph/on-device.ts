import type { Runtime } from '../../runtime/runtime.js';
import { hasErrors } from '../../diagnostics/diagnostic.js';
import { stepProblem } from '../../passes/graph/step.js';
import { capabilitiesOf, targetOf } from '../devices.js';
import type { Host } from '../host.js';
import type { Declaration } from '../kind.js';
import { problem, type Failed } from '../problem.js';
import { compare, distance, type Comparison } from '../run/compare.js';
import { roundedOnceMore } from '../run/once-more.js';
import type { RunRequest } from '../run/report.js';
import { movedCall, roundedCall, runOnDevice } from './device.js';
import type { GivenCall } from './given.js';
import { compileGraph, type KernelRequest } from './kernels.js';
import type { PreparedGraph } from './prepare.js';
import { meaningOf, reportOf, roleOf, type GraphReport, type Results } from './run.js';

/** So many times inputs are rounded once more. */
const ROUNDINGS = 4;

type Asked = Pick<RunRequest, 'target' | 'dtype' | 'check' | 'seed'>;

/**
 * Runs the kernels of a layer or mixture. With `check`, every result is held against what the formula means for the same rounded values.
 */
export async function runKernels(
  host: Host, declaration: Declaration, { graph, call: given }: PreparedGraph, runtime: Runtime, asked: Asked,
): Promise<GraphReport | Failed> {
  const { dtype, check, seed } = asked;
  if (given.positions !== undefined) return problem(
    'E812', '`position` is given, and kernels count positions for themselves', 'leave it out, or run it with --backend oracle',
  );
  const request: KernelRequest = {
    target: asked.target ?? targetOf(runtime), dtype, backward: true, command: 'lmoec run', capabilities: capabilitiesOf(runtime),
  };
  const compiled = await compileGraph(host, declaration.source, graph, request);
  if (!('plan' in compiled)) return compiled;
  const call = roundedCall(compiled, given);
  const results = await runOnDevice(host, runtime, compiled, call, seed);
  if ('code' in results || 'diagnostics' in results) return results;
  const where = { backend: runtime.kind, device: runtime.device, dtype };
  if (!check) return reportOf(graph, call, results, [], where);
  const expected = meaningOf(graph, call, seed);
  if ('diagnostics' in expected) return expected;
  const steps = await checkStep(host, declaration, graph.settings, call, runtime, { ...request, backward: false });
  if (!Array.isArray(steps)) return steps;
  const comparisons = compared(results, expected, dtype);
  const report = (all: readonly Comparison[]) => reportOf(graph, call, results, [...all, ...steps], where);
  if (comparisons.every(({ passed }) => passed)) return report(comparisons);
  // Is it the kernels, or is it the formula? A result of few numbers may be hit lightly by one rounding; a choice among equals by any.
  const again = roundedOnceMore(dtype, graph.name);
  const moved: Results[] = [];
  for (let n = 0; n < ROUNDINGS; n++) {
    const meaning = meaningOf(graph, movedCall(compiled, call, again), seed);
    if ('diagnostics' in meaning) return meaning;
    moved.push(meaning);
  }
  return report(comparisons.map((comparison) => {
    const wanted = expected.get(comparison.name)?.data ?? [];
    const errors = moved.map((results) => distance(results.get(comparison.name)?.data ?? [], wanted).error);
    return comparison.passed ? comparison : { ...comparison, conditioning: Math.max(...errors) };
  }));
}

/** Choices that no part is called for are counted by the interpreter only. */
function compared(found: Results, expected: Results, dtype: Asked['dtype']): readonly Comparison[] {
  return [...expected].filter(([name]) => found.has(name) || !name.startsWith('count.')).map(([name, { data }]) => {
    const role = roleOf(name);
    return compare(name, role, role, dtype, found.get(name)?.data, data);
  });
}

/** Token by token, outside of training: every token as a sequence of its own. Nothing where outputs depend on other tokens. */
async function checkStep(
  host: Host, { source, part }: Declaration, settings: ReadonlyMap<string, number | string>, call: GivenCall, runtime: Runtime,
  request: KernelRequest,
): Promise<Comparison[] | Failed> {
  const { graph, diagnostics } = source.parts.elaborate(part.name, settings, false);
  if (graph === undefined || hasErrors(diagnostics)) return { diagnostics };
  if (stepProblem(graph) !== undefined) return [];
  const compiled = await compileGraph(host, source, graph, request);
  if (!('plan' in compiled)) return compiled;
  const tokens = call.batch * call.tokens;
  const steps: GivenCall = { ...call, lengths: Array.from({ length: tokens }, () => 1), cotangents: new Map() };
  const found = await runOnDevice(host, runtime, compiled, steps, 0);
  if ('code' in found || 'diagnostics' in found) return found;
  const expected = meaningOf(graph, steps, 0);
  if ('diagnostics' in expected) return expected;
  return graph.outputs.map(({ name }) => (
    compare(name, 'step', 'output', request.dtype, found.get(name)?.data, expected.get(name)?.data ?? [])
  ));
}
