import type { Span } from '../../ir/common/span.js';
import { along, at, contract, gather, literal, map, restrict, together, type FlowBuilder } from '../../ir/flow/build.js';
import { ONCE, SEQUENCE, TOKEN, type Along, type DomainId, type ValueId } from '../../ir/flow/flow.js';
import type { FoldOp, GraphNode } from '../../ir/graph/graph.js';
import type { Axis, Silent } from '../../ir/graph/types.js';
import { elements, union, without } from '../../ir/graph/typing.js';
import { axesOf, low, pastDomain, plainAxes, refuse, type Low, type Scope } from './scope.js';
import { groupsAt, meets, slotsOf } from './slots.js';

type Of<K extends GraphNode['kind']> = Extract<GraphNode, { kind: K }>;

/**
 * Folds axes and tokens. Where the argument stands under a choice and has axes besides those of the choice, it is computed at the slots of
 * the choice only; numbers of one index each, such as scores, stay dense. `given`: the argument is there already, and keeps its domain.
 */
export function foldOf(scope: Scope, node: Of<'fold'>, given?: Low): Low {
  const { making: { b } } = scope;
  if (node.silent.includes('calls')) return refuse(scope, 'it is folded over the calls of a step', node);
  const { x, group, picked } = foldedParts(scope, node, given);
  const { op, origin } = node;
  const id = op === 'mean' ? meanOf(b, x, group, origin) : folded(b, op, x, group, origin);
  const folds = plainAxes(scope, node.axes);
  return { id, picked: picked.map((choice) => allOf(b, choice, folds, origin)) };
}

/** What a fold folds, on the domain that it goes from, and how; and picks that it leaves. */
export function foldedParts(
  scope: Scope, node: Of<'fold'>, given?: Low,
): { readonly x: ValueId; readonly group: Along; readonly picked: readonly ValueId[] } {
  const { making } = scope;
  const { b } = making;
  const { origin, silent } = node;
  const folds = plainAxes(scope, node.axes);
  const past = pastDomain(scope, node.axes);
  const tokens = silentDomains(scope, silent);
  const seen = scope.graph.nodes[node.arg].type.axes.some((axis) => axis.past);
  if (seen && tokens !== undefined) refuse(scope, 'it folds tokens that see the past', node, 'past');
  if (tokens !== undefined && scope.some) refuse(scope, 'it folds the tokens of a call on some of them', node);
  const slots = given === undefined ? slotsFor(scope, [node.arg], tokens !== undefined ? 'all' : folds, origin) : undefined;
  const arg = given ?? (slots === undefined ? making.value(scope, node.arg) : making.at(scope, node.arg, slots));
  const groups = slots === undefined ? [] : groupsAt(b, slots);
  const from = slots ?? tokens?.from;
  const whole = from === undefined ? arg.id : gather(b, arg.id, from, origin);
  const picks = tokens === undefined ? [] : arg.picked;
  const x = picks.reduce((value, choice) => restrict(b, value, choice, origin), whole);
  const to = tokens?.to ?? (slots === undefined && past === undefined ? b.typeOf(x).domain : TOKEN);
  const group = along(without(folds, groups), to, { kept: without(groups, folds), ranks: silent.includes('ranks') });
  return { x, group, picked: tokens === undefined && slots === undefined ? arg.picked : [] };
}

/** What folding silent axes leaves: the domain, and that from which it goes. */
function silentDomains({ domain }: Scope, silent: readonly Silent[]): { readonly from: DomainId; readonly to: DomainId } | undefined {
  const time = silent.includes('tokens') || silent.includes('time');
  const batch = silent.includes('tokens') || silent.includes('batch');
  if (!time && !batch) return undefined;
  return { from: time ? domain : SEQUENCE, to: batch ? ONCE : SEQUENCE };
}

/** The slots at which an argument of a fold is needed: there are some if it has axes besides those of the choices that the fold ends. */
function slotsFor(scope: Scope, args: readonly number[], folds: readonly Axis[] | 'all', origin: Span): DomainId | undefined {
  const { making: { b, value }, graph: { nodes }, domain } = scope;
  const restricted = [...new Set(args.flatMap((arg) => nodes[arg].type.restricted))];
  if (domain !== TOKEN || restricted.length === 0 || args.some((arg) => nodes[arg].type.axes.some((axis) => axis.past))) return undefined;
  const choices = restricted.map((choice) => value(scope, choice).id);
  const groups = union(...choices.map((choice) => b.typeOf(choice).axes));
  const wide = without(union(...args.map((arg) => axesOf(scope, arg))), groups).length > 0;
  return wide && (folds === 'all' || meets(folds, groups)) ? slotsOf(b, choices, origin) : undefined;
}

/** A fold, absent where it folds nothing if nothing has no value. */
function folded(b: FlowBuilder, op: Exclude<FoldOp, 'mean'>, x: ValueId, group: Along, origin: Span): ValueId {
  const made = b.add({ kind: 'fold', op, arg: x, along: group }, origin);
  if (op === 'sum' || op === 'prod' || neverNothing(b, x, group)) return made;
  const some = b.add({ kind: 'compare', op: '>', left: countOf(b, x, group, origin), right: literal(b, 0, origin) }, origin);
  return restrict(b, made, some, origin);
}

function neverNothing(b: FlowBuilder, x: ValueId, group: Along): boolean {
  const { domain, where } = b.typeOf(x);
  // A token sees itself at least.
  if (group.to !== domain) return b.domains[domain].kind === 'pair' && where.length === 0;
  const ended = where.filter((choice) => meets(b.typeOf(choice).axes, group.axes));
  const [only] = ended.map((choice) => b.values[choice]);
  if (ended.length === 0) return true;
  if (ended.length > 1 || only.kind !== 'top' || b.typeOf(only.arg).where.length > 0 || only.along.to !== domain) return false;
  const count = b.values[only.count];
  return count.kind === 'literal' && count.value >= 1 && without(only.along.axes, group.axes).length === 0;
}

function meanOf(b: FlowBuilder, x: ValueId, group: Along, origin: Span): ValueId {
  const sum = b.add({ kind: 'fold', op: 'sum', arg: x, along: group }, origin);
  const count = countOf(b, x, group, origin);
  const known = b.values[count].kind === 'literal';
  return map(b, 'div', [sum, known ? count : map(b, 'max', [count, literal(b, 1, origin)], origin)], origin);
}

/** How many elements a fold has. */
export function countOf(b: FlowBuilder, x: ValueId, group: Along, origin: Span): ValueId {
  const { domain, where } = b.typeOf(x);
  const ended = where.filter((choice) => group.to !== domain || meets(b.typeOf(choice).axes, group.axes));
  if (ended.length === 0 && group.to === domain && !group.ranks) return literal(b, elements(group.axes), origin);
  if (ended.length === 0 && domain === TOKEN && group.to === ONCE && !group.ranks) {
    return map(b, 'mul', [b.add({ kind: 'count', of: 'tokens' }, origin), literal(b, elements(group.axes), origin)], origin);
  }
  if (ended.length === 0 && group.axes.length === 0 && domain === SEQUENCE && group.to === ONCE && !group.ranks) {
    return b.add({ kind: 'count', of: 'batch' }, origin);
  }
  const slots = b.domains[domain];
  if (ended.length === 0 && slots.kind === 'slot' && group.to === TOKEN) {
    // A token has a slot for each index that it chose.
    const chosen = b.typeOf(slots.choice);
    const mask = b.add({ kind: 'mask', choice: slots.choice }, origin);
    const own = without(chosen.axes, group.kept);
    const many = own.length === 0 ? mask : b.add({ kind: 'fold', op: 'sum', arg: mask, along: along(own, chosen.domain) }, origin);
    return group.axes.length === 0 ? many : map(b, 'mul', [many, literal(b, elements(group.axes), origin)], origin);
  }
  const ones = gather(b, literal(b, 1, origin, group.axes), domain, origin);
  const there = ended.reduce((value, choice) => restrict(b, value, choice, origin), ones);
  return b.add({ kind: 'fold', op: 'sum', arg: there, along: group }, origin);
}

/** Where a choice holds at all indices of axes: a pick that is folded has picked nothing if one of its elements has. */
function allOf(b: FlowBuilder, choice: ValueId, axes: readonly Axis[], origin: Span): ValueId {
  const type = b.typeOf(choice);
  const own = without(type.axes, without(type.axes, axes));
  if (own.length === 0) return choice;
  const least = b.add({ kind: 'fold', op: 'min', arg: b.add({ kind: 'mask', choice }, origin), along: along(own, type.domain) }, origin);
  return b.add({ kind: 'compare', op: '>', left: least, right: literal(b, 0, origin) }, origin);
}

/** A product that is summed over an axis of a choice is the sum of a token's slots. */
export function productOf(scope: Scope, node: Of<'contract'>): Low {
  const { making } = scope;
  const { b } = making;
  const { origin } = node;
  const axes = plainAxes(scope, node.axes);
  const past = pastDomain(scope, node.axes);
  const slots = slotsFor(scope, [node.left, node.right], axes, origin);
  const [left, right] = [node.left, node.right].map((id) => (slots === undefined ? making.value(scope, id) : making.at(scope, id, slots)));
  if (slots === undefined) {
    const [l, r] = together(b, [left.id, right.id], origin);
    const id = past === undefined ? contract(b, l, r, axes, origin)
      : b.add({ kind: 'contract', left: l, right: r, along: along(axes, TOKEN) }, origin);
    return { id, picked: low(id, left, right).picked.map((choice) => allOf(b, choice, axes, origin)) };
  }
  const groups = groupsAt(b, slots);
  const rest = without(axes, groups);
  const product = rest.length > 0 ? contract(b, left.id, right.id, rest, origin) : map(b, 'mul', [left.id, right.id], origin);
  const x = at(b, product, slots, origin);
  const id = b.add({ kind: 'fold', op: 'sum', arg: x, along: along([], TOKEN, { kept: without(groups, axes) }) }, origin);
  return { id, picked: [] };
}

/** `sum[](x)`: slots go back to where they came from. */
export function liftedOf(scope: Scope, node: Of<'lift'>): Low {
  const { making } = scope;
  const { b } = making;
  const { origin } = node;
  const slots = slotsFor(scope, [node.arg], 'all', origin);
  if (slots === undefined) {
    const arg = making.value(scope, node.arg);
    return low(b.add({ kind: 'lift', arg: arg.id }, origin), arg);
  }
  const arg = b.add({ kind: 'lift', arg: gather(b, making.at(scope, node.arg, slots).id, slots, origin) }, origin);
  return { id: b.add({ kind: 'fold', op: 'sum', arg, along: along([], TOKEN, { kept: groupsAt(b, slots) }) }, origin), picked: [] };
}

export function topOf(scope: Scope, node: Of<'top'>): Low {
  const { making: { b, value } } = scope;
  const { origin, silent } = node;
  const past = pastDomain(scope, node.axes);
  const tokens = silentDomains(scope, silent);
  if (tokens !== undefined && scope.some) return refuse(scope, 'it chooses among the tokens of a call on some of them', node, 'choice');
  const [arg, count] = [value(scope, node.arg), value(scope, node.count)];
  const [x0, c0] = tokens === undefined && past === undefined
    ? together(b, [arg.id, count.id], origin)
    : [tokens === undefined ? arg.id : gather(b, arg.id, tokens.from, origin), count.id];
  const x = (tokens === undefined ? [] : arg.picked).reduce((id, choice) => restrict(b, id, choice, origin), x0);
  const group = along(
    plainAxes(scope, node.axes), tokens?.to ?? (past === undefined ? b.typeOf(x).domain : TOKEN), { ranks: silent.includes('ranks') },
  );
  return { id: b.add({ kind: 'top', arg: x, count: c0, along: group }, origin), picked: [] };
}
