import type { FoldOp, GraphNode } from '../../ir/graph/graph.js';
import { below } from '../../ir/graph/paths.js';
import type { Axis } from '../../ir/graph/types.js';
import type { Context } from './context.js';
import { countsOf, foldValue, groupsOf } from './fold.js';
import type { Evaluation, GraphTensors } from './machine.js';
import { computeNode } from './node.js';
import { coneOf, openScope, valuesOf, type Scope } from './scope.js';
import { makeValue, presence, sizeOf, spread, type Value } from './value.js';

/**
 * New values of the buffers that have updates, by path, after the calls of one optimiser step (evaluations by `train`), all from the
 * values before it. What is not folded over `calls` is that of the last call.
 */
export function update(calls: readonly Evaluation[], buffers: GraphTensors): Map<string, Float64Array> {
  const evaluations = new Map<string, Scope[]>();
  for (const { tape } of calls) {
    for (const [key, scopes] of tape.scope.run.updated) evaluations.set(key, [...(evaluations.get(key) ?? []), ...scopes]);
  }
  const next = new Map<string, Float64Array>();
  for (const scopes of evaluations.values()) {
    const [{ graph, path, lane, tokens }] = scopes;
    const step = stepScope(scopes, calls.length);
    for (const { param, value } of graph.updates) {
      const { name, axes } = graph.params[param];
      const place = below(path, name);
      const before = buffers.get(place);
      if (before === undefined) throw new Error(`buffer ${place} is missing`);
      const after = next.get(place) ?? before.slice();
      after.set(spread(tokens, valuesOf(step, [value])[0], tokens.one, axes), lane.index * sizeOf(axes));
      next.set(place, after);
    }
  }
  return next;
}

/** The last evaluation, but with values over all calls where they are folded, and what depends on those. */
function stepScope(scopes: readonly Scope[], calls: number): Scope {
  const last = scopes[scopes.length - 1];
  const { graph } = last;
  const valueOf = (scope: Scope, id: number): Value => {
    const node = graph.nodes[id];
    return (scope.values[id] ??= foldsCalls(node) ? callsValue(scopes, node, calls)
      : coneOf(graph, [id]).some((below) => foldsCalls(graph.nodes[below])) ? computeNode(scope, id) : valuesOf(last, [id])[0]);
  };
  return openScope({ ...last.run, tape: undefined, valueOf }, graph, last);
}

function foldsCalls(node: GraphNode): boolean {
  return (node.kind === 'fold' && node.silent.includes('calls')) || (node.kind === 'count' && node.of === 'calls');
}

function callsValue(scopes: readonly Scope[], node: GraphNode, calls: number): Value {
  const { tokens } = scopes[0];
  if (node.kind !== 'fold') return makeValue(tokens.one, [], Float64Array.of(calls));
  const parts = scopes.map((scope) => ({ context: { tokens: scope.tokens, tape: undefined }, arg: valuesOf(scope, [node.arg])[0] }));
  const inner = (op: FoldOp): Value => {
    return stacked(tokens, parts.map(({ context: own, arg }) => foldValue(own, op, arg, node.axes, node.silent)));
  };
  const context: Context = { tokens, tape: undefined };
  if (node.op !== 'mean') return foldValue(context, node.op, inner(node.op), [CALLS(scopes.length)], []);
  const sums = foldValue(context, 'sum', inner('sum'), [CALLS(scopes.length)], []);
  const counts = new Float64Array(sums.data.length);
  for (const { context: own, arg } of parts) countsOf(groupsOf(own, arg, node.axes, node.silent)).forEach((count, i) => {
    counts[i] += count;
  });
  return { ...sums, data: sums.data.map((sum, i) => (counts[i] === 0 ? 0 : sum / counts[i])) };
}

const CALLS = (size: number): Axis => ({ name: '%calls', size, past: false });

/** Values of calls, one each, along an axis of calls. */
function stacked(tokens: Scope['tokens'], values: readonly Value[]): Value {
  const [{ axes, cell }] = values;
  const all = [CALLS(values.length), ...axes];
  const data = new Float64Array(values.length * cell);
  const there = new Float64Array(data.length).fill(1);
  values.forEach((value, n) => {
    if (value.frame.level !== 'one') throw new Error('what is folded over calls has one value a call');
    data.set(spread(tokens, { ...value, frame: tokens.one }, tokens.one, axes), n * cell);
    const own = presence(tokens, value.masks.map((mask) => ({ ...mask, of: { ...mask.of, frame: tokens.one } })), tokens.one, axes, false);
    if (own !== undefined) there.set(own, n * cell);
  });
  return makeValue(tokens.one, all, data, { masks: there.includes(0) ? [{ of: makeValue(tokens.one, all, there), picked: false }] : [] });
}
