import type { Span } from '../../ir/common/span.js';
import { along, at, gather, literal, map, type FlowBuilder } from '../../ir/flow/build.js';
import { ONCE, TOKEN, type Along, type DomainId, type ValueId } from '../../ir/flow/flow.js';
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
  // Tokens of a part are those of its caller, at every index over which it is mapped if it looks at other tokens too.
  const { lanes, family } = factsOf(inner.graph).tokenwise ? scope : inner;
  const apart = without(lanes, family);
  const slots = known === undefined && inner.domain !== scope.domain;
  const counting: Counting = { b, family: inner.family, apart, domain: slots ? inner.domain : scope.domain, origin };
  const there = slots ? inner.there() : readAt(scope, id, call);
  const { value: rows, summed } = there === undefined ? allRows(counting) : heldRows(counting, there);
  const missing = without(inner.family, b.typeOf(rows).axes);
  const spread = missing.length === 0 ? rows : map(b, 'mul', [rows, literal(b, 1, origin, missing)], origin);
  const times = elements(without(apart, summed));
  const result = { name: inner.path, axes: inner.family, value: map(b, 'mul', [literal(b, times, origin), spread], origin) };
  if (known === undefined) counted.set(inner.place, { at: counts.push(result) - 1, scope });
  else counts[known.at] = result;
}

/** Where the tokens of a called part are, besides on its domain: where its caller's are, and the call is read; undefined: everywhere. */
export function thereOf(scope: Scope, id: number, call: CallNode, domain: DomainId): ValueId | undefined {
  if (domain === scope.domain) return readAt(scope, id, call);
  const around = scope.there();
  return around === undefined ? undefined : at(scope.making.b, around, domain, call.origin);
}

/** Rows of the caller at which a call is read and its arguments are there; what is computed besides counts for nothing. */
function readAt(scope: Scope, id: number, call: CallNode): ValueId | undefined {
  const { making: { b, value }, graph: { nodes, instances }, domain } = scope;
  const { origin } = call;
  const { part, family } = instances[call.instance];
  const lanes = [...family, ...call.mapped];
  const around = scope.there();
  const given = call.args.flatMap((arg) => nodes[arg].type.restricted)
    .filter((choice) => nodes[choice].type.axes.every((axis) => includes(lanes, axis)));
  const reads = part.kind !== 'scan' && factsOf(part).tokenwise ? readUnder(scope.graph, id) ?? [] : [];
  const alternatives = (reads.length === 0 ? [[]] : reads).map((choices) => [...new Set([...given, ...choices])]);
  if (alternatives.some((choices) => choices.length === 0)) return around;
  const there = (choice: number): ValueId => b.add({ kind: 'lift', arg: at(b, value(scope, choice).id, domain, origin) }, origin);
  const all = joined(b, 'or', alternatives.map((choices) => joined(b, 'and', choices.map(there), origin)), origin);
  return around === undefined ? all : joined(b, 'and', [around, all], origin);
}

/** What rows are counted for: by family, and for each index of the axes over which parts around are mapped. */
interface Counting {
  readonly b: FlowBuilder;
  readonly family: readonly Axis[];
  readonly apart: readonly Axis[];
  readonly domain: DomainId;
  readonly origin: Span;
}

/** Numbers of rows by family, and those of the others that are in them already. */
interface Rows {
  readonly value: ValueId;
  readonly summed: readonly Axis[];
}

/** All rows of a domain, by the groups that they belong to. */
function allRows(counting: Counting): Rows {
  const { b, family, domain, origin } = counting;
  if (domain === TOKEN) return { value: b.add({ kind: 'count', of: 'tokens' }, origin), summed: [] };
  const slots = b.domains[domain];
  const groups = groupsAt(b, domain);
  if (slots.kind === 'slot' && groups.some((axis) => !includes(family, axis))) {
    return heldRows({ ...counting, domain: TOKEN }, slots.choice);
  }
  const one = gather(b, literal(b, 1, origin), domain, origin);
  return { value: b.add({ kind: 'fold', op: 'sum', arg: one, along: along([], ONCE, { kept: groups }) }, origin), summed: [] };
}

function joined(b: FlowBuilder, op: 'and' | 'or', args: readonly ValueId[], origin: Span): ValueId {
  return args.length === 1 ? args[0] : b.add({ kind: 'logic', op, args }, origin);
}

/** Rows of a domain at which a choice holds at some index of axes that are no family's; at each of those apart. */
function heldRows(counting: Counting, choice: ValueId): Rows {
  const { b, family, apart, domain, origin } = counting;
  const fold = (op: 'sum' | 'max', arg: ValueId, group: Along): ValueId => b.add({ kind: 'fold', op, arg, along: group }, origin);
  const mask = b.add({ kind: 'mask', choice }, origin);
  const groups = groupsAt(b, domain);
  // Slots of other groups besides: their tokens count, at all of them.
  const seen = groups.some((axis) => !includes(family, axis));
  const [some, rows, kept] = seen ? [fold('sum', mask, along([], TOKEN, { kept: groups })), TOKEN, []] : [mask, domain, groups];
  const others = without(b.typeOf(some).axes, family);
  const shared = without(others, apart);
  const held = shared.length === 0 ? some : fold('max', some, along(shared, rows));
  const summed = without(others, shared);
  return { value: fold('sum', held, along(summed, ONCE, { kept })), summed };
}
