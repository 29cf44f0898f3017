import { literal, map, restrict } from '../../ir/flow/build.js';
import { ONCE, type FlowResult, type FlowTake, type ValueId } from '../../ir/flow/flow.js';
import { operandsOf } from '../../ir/graph/operands.js';
import type { GraphNode } from '../../ir/graph/graph.js';
import { below } from '../../ir/graph/paths.js';
import { sameAxes } from '../../ir/graph/typing.js';
import { countOf, foldedParts } from './folds.js';
import { low, refuse, type Low, type Scope } from './scope.js';

/** New values of a part's buffers. What is folded over the calls of a step is summed by call, and then over them. */
export function updatesOf(before: Scope): readonly FlowResult[] {
  const { making, graph, path, family, lanes, named } = before;
  const { b } = making;
  if (!sameAxes(family, lanes) || making.updated.filter((other) => other.path === path).length > 1) {
    refuse(before, 'a part with updates is called several times', graph.nodes[graph.updates[0].value]);
    return [];
  }
  const scope: Scope = { ...before, before, made: new Map(), calls: new Map() };
  return graph.updates.map(({ param, value, origin }): FlowResult => {
    const { name, axes } = graph.params[param];
    const { id } = making.value(scope, value);
    return { name: below(path, name), axes: [...family, ...axes.map(named)], value: b.add({ kind: 'lift', arg: id }, origin) };
  });
}

/** What an update takes from calls in place of a node; undefined: it is made of such values, or of params. */
export function takenOf(scope: Scope, before: Scope, id: number): Low | undefined {
  const { making: { b, value }, graph: { nodes } } = scope;
  const node = nodes[id];
  const { origin } = node;
  if (node.kind === 'count' && node.of === 'calls') return low(take(scope, literal(b, 1, origin), 'sum', node));
  if (node.kind === 'fold' && node.silent.includes('calls')) return sumOf(scope, before, node);
  if (node.type.level === 'static' || dependsOnCalls(nodes, id)) return undefined;
  return low(take(scope, b.add({ kind: 'lift', arg: value(before, id).id }, origin), 'last', node));
}

function sumOf(scope: Scope, before: Scope, node: Extract<GraphNode, { kind: 'fold' }>): Low {
  const { making: { b } } = scope;
  const { op, origin } = node;
  if (op !== 'sum' && op !== 'mean') return refuse(scope, `its ${op} is taken over the calls of a step`, node);
  const { x, group } = foldedParts(before, { ...node, silent: node.silent.filter((name) => name !== 'calls') });
  const { domain, where } = b.typeOf(x);
  const alone = group.axes.length === 0 && group.to === domain;
  const lift = (arg: ValueId): ValueId => b.add({ kind: 'lift', arg }, origin);
  const sum = take(scope, lift(alone ? x : b.add({ kind: 'fold', op: 'sum', arg: x, along: group }, origin)), 'sum', node);
  if (op === 'sum') return low(sum);
  const one = where.reduce((value, choice) => restrict(b, value, choice, origin), literal(b, 1, origin));
  const count = take(scope, lift(alone ? one : countOf(b, x, group, origin)), 'sum', node);
  return low(map(b, 'div', [sum, map(b, 'max', [count, literal(b, 1, origin)], origin)], origin));
}

/** The input that has a value of the calls. */
function take(scope: Scope, value: ValueId, over: FlowTake['over'], node: GraphNode): ValueId {
  const { making: { b, takes } } = scope;
  const { axes, domain } = b.typeOf(value);
  if (domain !== ONCE) return refuse(scope, 'an update takes what a call has once', node).id;
  const known = takes.find((one) => one.value === value && one.over === over);
  const name = known?.name ?? `calls.${takes.length}`;
  if (known === undefined) takes.push({ name, axes, value, over });
  return b.input({ name, domain: ONCE, axes, of: undefined }, node.origin);
}

function dependsOnCalls(nodes: readonly GraphNode[], id: number): boolean {
  const seen = new Set<number>();
  const open = [id];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    const node = nodes[at];
    if ((node.kind === 'fold' && node.silent.includes('calls')) || (node.kind === 'count' && node.of === 'calls')) return true;
    open.push(...operandsOf(node));
  }
  return false;
}
