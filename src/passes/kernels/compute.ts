import type { Comparison } from '../../ir/graph/graph.js';
import type { Axis } from '../../ir/common/axes.js';
import type { Axis as FlowAxis } from '../../ir/graph/types.js';
import { includes, without } from '../../ir/graph/typing.js';
import { ONCE, SEQUENCE, TOKEN, type DomainId, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import { groupsOf } from '../../ir/flow/typing.js';
import type { TileId } from '../../ir/tile/tile.js';
import { folded, multiplied, ofOwnGroup, ordered, reduced, softened } from './folds.js';
import { counted, drawn } from './numbers.js';
import { tapped } from './taps.js';
import { keyOf, loaded, ownView, refuse, selected, typeIn, type Frame, type View } from './frame.js';
import { groupBuffer, inFront, names, seatAxis } from './memory.js';

export type Of<K extends FlowValue['kind']> = Extract<FlowValue, { kind: K }>;

/** The tile of a value as a view sees it: loaded, or computed from what the kernel loads. */
export function at(frame: Frame, id: ValueId, view: View = ownView(frame)): TileId {
  // What there is once looks the same from everywhere.
  const key = keyOf(typeIn(frame, id).domain === ONCE ? { kind: 'own', domain: ONCE } : view, id);
  const known = frame.known.get(key);
  if (known !== undefined) return known;
  const made = frame.loads.has(id) ? loaded(frame, id, view) : computed(frame, id, view);
  frame.known.set(key, made);
  return made;
}

function computed(frame: Frame, id: ValueId, view: View): TileId {
  const { k, flow } = frame;
  const value = flow.values[id];
  const of = (arg: ValueId): TileId => at(frame, arg, view);
  switch (value.kind) {
    case 'input': case 'param': return loaded(frame, id, view);
    case 'literal': return k.literal(value.value);
    case 'count': return value.of === 'ranks' ? k.literal(1) : loaded(frame, id, view);
    case 'index': return counted(frame, id, value, view);
    case 'map': return value.fn === '%' ? refuse(frame, id, 'remainders') : k.map(value.fn, ...value.args.map(of));
    case 'contract': return contracted(frame, id, value, view);
    case 'fold': return foldedIn(frame, id, value, view);
    case 'softmax': return value.along.to === value.type.domain
      ? softened(frame, {
        x: of(value.arg), there: present(frame, value.arg, view), axes: names(value.along.axes),
        sink: value.sink === undefined ? undefined : of(value.sink),
      }) : refuse(frame, id, 'a softmax over rows');
    case 'top': case 'first': {
      const axes = value.type.axes.filter((axis) => includes(value.along.axes, axis));
      if (value.along.to !== value.type.domain) return refuse(frame, id, 'a choice among rows', 'choice');
      const x = value.kind === 'first' && value.op === 'min' ? k.neg(of(value.arg)) : of(value.arg);
      const scores = k.add(ordered(frame, x, present(frame, value.arg, view)), k.zeros(names(axes)));
      return k.top(names(axes), scores, value.kind === 'top' ? of(value.count) : k.literal(1));
    }
    case 'gather': return gathered(frame, id, value, view);
    case 'restrict': case 'stop': case 'f32': return of(value.arg);
    case 'rounded': return k.round(of(value.arg));
    case 'lift': return selected(frame, of(value.arg), present(frame, value.arg, view));
    case 'mask': return holding(frame, value.choice, view);
    case 'compare': return heldTrue(frame, value, of(value.left), of(value.right));
    case 'logic': {
      if (value.op === 'not') return k.sub(k.literal(1), of(value.args[0]));
      return value.args.map((arg) => holding(frame, arg, view)).reduce((a, b) => k.map(value.op === 'and' ? 'min' : 'max', a, b));
    }
    case 'draw': return drawn(frame, id, value, view);
    case 'others': return refuse(frame, id, 'products of all others');
    case 'pick': case 'place': return refuse(frame, id, 'elements by their numbers');
    case 'taps': case 'untap': return tapped(frame, id, value, view);
    case 'rope': return refuse(frame, id, 'rotations');
    case 'scan': case 'unscan': return refuse(frame, id, 'scans');
    case 'sinkhorn': return refuse(frame, id, 'a plan within other kernels');
  }
}

/** 1 where a value is present; undefined: everywhere. */
export function present(frame: Frame, id: ValueId, view: View): TileId | undefined {
  const { where } = typeIn(frame, id);
  if (where.length === 0) return undefined;
  return where.map((choice) => holding(frame, choice, view)).reduce((a, b) => frame.k.mul(a, b));
}

/** 1 where a choice is present and holds. */
export function holding(frame: Frame, choice: ValueId, view: View): TileId {
  return selected(frame, at(frame, choice, view), present(frame, choice, view));
}

/** Where several are. */
export function jointly(frame: Frame, ids: readonly ValueId[], view: View): TileId | undefined {
  const all = ids.flatMap((id) => present(frame, id, view) ?? []);
  return all.length === 0 ? undefined : all.reduce((a, b) => frame.k.mul(a, b));
}

/** NaN is less, more and equal to nothing, itself neither. */
function heldTrue(frame: Frame, { op, left, right }: Of<'compare'>, x: TileId, y: TileId): TileId {
  const { k, flow } = frame;
  const plain = compared(frame, op, x, y);
  if (op === '<' || op === '>') return plain;
  const none = [[left, x], [right, y]].flatMap(([id, tile]) => (flow.values[id].kind === 'literal' ? [] : [k.map('nan', tile)]));
  if (op === '!=') return none.reduce((all, one) => k.map('max', all, one), plain);
  return none.reduce((all, one) => k.mul(all, k.sub(k.literal(1), one)), plain);
}

/** Of numbers. */
export function compared({ k }: Frame, op: Comparison, x: TileId, y: TileId): TileId {
  const not = (a: TileId): TileId => k.sub(k.literal(1), a);
  const [less, more] = [(): TileId => k.map('less', x, y), (): TileId => k.map('less', y, x)];
  switch (op) {
    case '<': return less();
    case '>': return more();
    case '<=': return not(more());
    case '>=': return not(less());
    case '==': return k.mul(not(less()), not(more()));
    case '!=': return k.map('max', less(), more());
  }
}

/** Is it what a view sees of itself, so that a fold of its axes stays on its rows? */
const stays = (to: DomainId, from: DomainId): boolean => to === from || (to === TOKEN && from === ONCE);

function contracted(frame: Frame, id: ValueId, { left, right, along }: Of<'contract'>, view: View): TileId {
  const { flow } = frame;
  const from = Math.max(flow.values[left].type.domain, flow.values[right].type.domain);
  const seen = stays(along.to, from) ? view : ofSlots(frame, along.to, from, view, along.kept.length > 0);
  if (seen === undefined) return refuse(frame, id, 'sums of rows in a body of others');
  const there = jointly(frame, [left, right], seen);
  const [x, y] = [left, right].map((arg) => selected(frame, at(frame, arg, seen), there));
  return multiplied(frame, x, y, [...names(along.axes), ...seatsOf(frame, seen, along.kept)]);
}

function foldedIn(frame: Frame, id: ValueId, { op, arg, along }: Of<'fold'>, view: View): TileId {
  const from = typeIn(frame, arg).domain;
  if (op === 'prod') return refuse(frame, id, 'products of elements');
  if (stays(along.to, from)) {
    return folded(frame, op, at(frame, arg, view), present(frame, arg, view), names(along.axes));
  }
  const seen = ofSlots(frame, along.to, from, view, along.kept.length > 0);
  // Slots that a token does not have are rows of 0, if nothing is computed of them.
  if (seen === undefined || op !== 'sum' || !frame.loads.has(arg)) return refuse(frame, id, 'sums of rows in a body of others');
  const x = selected(frame, at(frame, arg, seen), present(frame, arg, seen));
  return reduced(frame, 'sum', x, [...names(along.axes), ...seatsOf(frame, seen, along.kept)]);
}

/** The axes along which a token sees its slots, and does not tell them apart. */
function seatsOf({ flow }: Frame, { kind, domain }: View, kept: readonly FlowAxis[]): readonly Axis[] {
  return kind === 'slots' ? [seatAxis(domain)] : kind === 'place' ? names(without(groupsOf(flow.domains[domain]), kept)) : [];
}

function ofSlots(frame: Frame, to: DomainId, from: DomainId, view: View, kept: boolean): View | undefined {
  if (to !== TOKEN || frame.domain !== TOKEN || view.kind !== 'own' || frame.flow.domains[from].kind !== 'slot') return undefined;
  return { kind: kept ? 'place' : 'slots', domain: from };
}

/** A value of a coarser domain: from memory group by group where it lies so, else with the groups of which a slot takes its own. */
function gathered(frame: Frame, id: ValueId, { arg, to }: Of<'gather'>, view: View): TileId {
  const { k, flow, memory, loads } = frame;
  const from = typeIn(frame, arg);
  const groups = groupsOf(flow.domains[to]).filter((axis) => includes(from.axes, axis));
  if (from.domain === ONCE && groups.length === 0) return at(frame, arg, view);
  if (from.domain === ONCE && frame.grouped === to && view.kind === 'own') {
    const source = sourceOf(frame, arg);
    const whole = groupsOf(flow.domains[to]).length === groups.length && from.axes.length > groups.length;
    const lies = memory.byGroup.has(source)
      || (flow.values[source].kind === 'param' && inFront(groupsOf(flow.domains[to]), flow.values[source].type.axes));
    if (whole && lies && loads.has(source)) return k.load(groupBuffer(memory, source, to));
  }
  if (to === TOKEN && (from.domain === SEQUENCE || from.domain === ONCE)) return at(frame, arg, view);
  if (view.kind === 'place' && view.domain === to) return at(frame, arg, from.domain === TOKEN ? ownView(frame) : view);
  if (view.kind === 'slots' && view.domain === to && groups.length === 0) return at(frame, arg, ownView(frame));
  if (frame.grouped !== to || view.kind !== 'own' || from.domain === SEQUENCE) return refuse(frame, id, 'rows seen from rows of others');
  const x = at(frame, arg, from.domain === ONCE ? view : { kind: 'token', domain: TOKEN });
  if (groups.length === 0) return x;
  return ofOwnGroup(frame, x, to, groups);
}

/** The value whose memory is read as another one. */
function sourceOf(frame: Frame, id: ValueId): ValueId {
  const value = frame.flow.values[id];
  return (value.kind === 'f32' || value.kind === 'stop') && !frame.loads.has(id) ? sourceOf(frame, value.arg) : id;
}
