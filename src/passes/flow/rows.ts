import type { Span } from '../../ir/common/span.js';
import { along, at, gather, literal, map, type FlowBuilder } from '../../ir/flow/build.js';
import { ONCE, TOKEN, type DomainId, type ValueId } from '../../ir/flow/flow.js';
import { readUnder } from '../../ir/graph/demand.js';
import { factsOf } from '../../ir/graph/facts.js';
import type { GraphNode } from '../../ir/graph/graph.js';
import type { Axis } from '../../ir/graph/types.js';
import { elements, includes, without } from '../../ir/graph/typing.js';
import { refuse, type Scope } from './scope.js';
import { groupsAt } from './slots.js';

type CallNode = Extract<GraphNode, { kind: 'call' }>;

/** Counts the rows of each index of a family when its call is first asked for, and again when it is computed on another domain too. */
export function countRows(scope: Scope, id: number, call: CallNode, inner: Scope): void {
  const { making: { counted, counts, b } } = scope;
  const known = counted.get(inner.place);
  if (known !== undefined && known.scope !== scope) {
    refuse(scope, 'its rows are counted, and the part around it is computed at several lists of slots', call, 'choice');
    return;
  }
  const { origin } = call;
  const slots = known === undefined && inner.domain !== scope.domain;
  const rows = slots ? rowsOf(scope, inner.domain, inner.family, origin) : readRows(scope, id, call, inner);
  const missing = without(inner.family, b.typeOf(rows).axes);
  const spread = missing.length === 0 ? rows : map(b, 'mul', [rows, literal(b, 1, origin, missing)], origin);
  // A part that looks at other tokens is evaluated once for each other index that it is mapped over; another one once for all.
  const times = factsOf(inner.graph).tokenwise ? 1 : elements(without(call.mapped, scope.graph.instances[call.instance].family));
  const result = { name: inner.path, axes: inner.family, value: map(b, 'mul', [literal(b, times, origin), spread], origin) };
  if (known === undefined) counted.set(inner.place, { at: counts.push(result) - 1, scope });
  else counts[known.at] = result;
}

/** All rows of a domain, by the groups that they belong to. */
function rowsOf({ making: { b } }: Scope, domain: DomainId, family: readonly Axis[], origin: Span): ValueId {
  if (domain === TOKEN) return b.add({ kind: 'count', of: 'tokens' }, origin);
  const slots = b.domains[domain];
  const groups = groupsAt(b, domain);
  if (slots.kind === 'slot' && groups.some((axis) => !includes(family, axis))) return heldRows(b, slots.choice, TOKEN, family, origin);
  const one = gather(b, literal(b, 1, origin), domain, origin);
  return b.add({ kind: 'fold', op: 'sum', arg: one, along: along([], ONCE, { kept: groups }) }, origin);
}

/** Rows of the caller at which a call is read and its arguments are there; what is computed besides counts for nothing. */
function readRows(scope: Scope, id: number, call: CallNode, { graph: part, family }: Scope): ValueId {
  const { making: { b, value }, graph: { nodes, instances }, domain } = scope;
  const { origin } = call;
  const lanes = [...instances[call.instance].family, ...call.mapped];
  const given = call.args.flatMap((arg) => nodes[arg].type.restricted)
    .filter((choice) => nodes[choice].type.axes.every((axis) => includes(lanes, axis)));
  const reads = factsOf(part).tokenwise ? readUnder(scope.graph, id) ?? [] : [];
  const alternatives = (reads.length === 0 ? [[]] : reads).map((choices) => [...new Set([...given, ...choices])]);
  if (alternatives.some((choices) => choices.length === 0)) return rowsOf(scope, domain, family, origin);
  const there = (choice: number): ValueId => b.add({ kind: 'lift', arg: at(b, value(scope, choice).id, domain, origin) }, origin);
  const all = alternatives.map((choices) => joined(b, 'and', choices.map(there), origin));
  return heldRows(b, joined(b, 'or', all, origin), domain, family, origin);
}

function joined(b: FlowBuilder, op: 'and' | 'or', args: readonly ValueId[], origin: Span): ValueId {
  return args.length === 1 ? args[0] : b.add({ kind: 'logic', op, args }, origin);
}

/** Rows of a domain at which a choice holds at some index of axes that are no family's. */
function heldRows(b: FlowBuilder, choice: ValueId, domain: DomainId, family: readonly Axis[], origin: Span): ValueId {
  const some = b.add({ kind: 'mask', choice }, origin);
  const others = without(b.typeOf(some).axes, family);
  const held = others.length === 0 ? some : b.add({ kind: 'fold', op: 'max', arg: some, along: along(others, domain) }, origin);
  const kept = groupsAt(b, domain);
  return b.add({ kind: 'fold', op: 'sum', arg: held, along: along([], ONCE, { kept }) }, origin);
}
