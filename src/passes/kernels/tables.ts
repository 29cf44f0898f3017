import { ROW, type Axis as Name } from '../../ir/common/axes.js';
import { ONCE, TOKEN, type Flow, type ValueId } from '../../ir/flow/flow.js';
import { includes } from '../../ir/graph/typing.js';
import type { Axis } from '../../ir/graph/types.js';
import { buildKernel, type KernelBuilder } from '../../ir/tile/build.js';
import type { TileId, TileKernel } from '../../ir/tile/tile.js';
import type { Kernel } from '../cluster/kernel.js';
import type { Refusal } from '../flow/scope.js';
import { at, holding } from './compute.js';
import { numberOf, same } from './folds.js';
import { frameOn, ownView, refuse, type Setting } from './frame.js';
import { boundAxis, bufferOf, groupsIn, names, seatAxis, tableBuffer, tileDomain, type Memory } from './memory.js';

interface Listing extends Setting {
  readonly kernel: Kernel;
  /** Groups of the slots, as tiles have them. */
  readonly groups: readonly Name[];
}

type Write = (k: KernelBuilder) => void;

/**
 * Where the slots of a choice are: counted segment by segment, a running sum over segments, then the number of every slot, and with it the
 * lists by token and by slot. Without atomics, so that every call has the same. `listed`: the lists are there; numbers alone are brought to
 * their slots.
 */
export function tableLaunches(
  flow: Flow, memory: Memory, kernel: Kernel, name: string, listed: boolean,
): { readonly kernels: readonly TileKernel[]; readonly refusals: readonly Refusal[] } {
  const refusals: Refusal[] = [];
  const listing: Listing = { flow, memory, kernel, refusals, groups: names(groupsIn(flow, kernel.rows)) };
  const { row } = tileDomain(flow, kernel.rows);
  const domain = tileDomain(flow, TOKEN);
  const launch = (what: string, outer: TileKernel['outer'], doc: string, write: Write): TileKernel => (
    buildKernel({ name: `${name}_${what}`, doc, outer, domain, inner: 'once' }, write)
  );
  const lists = launch('lists', 'chunk', `Brings numbers of tokens to their ${row}s.`, (k) => {
    if (!listed) listSlots(listing, k);
    for (const id of kernel.stores) if (flow.values[id].kind === 'gather') seat(listing, k, id);
  });
  if (listed) {
    for (const id of kernel.stores) if (flow.values[id].kind !== 'gather') note(listing, id, 'sums of slots that are listed already');
    return { kernels: [lists], refusals };
  }
  return {
    kernels: [
      launch('counts', 'segment', `Counts the ${row}s of each group.`, (k) => countSegment(listing, k)),
      launch('offsets', 'once', `Sums the numbers of ${row}s.`, (k) => sumSegments(listing, k)),
      launch('places', 'segment', `Numbers the ${row}s.`, (k) => placeSegment(listing, k)),
      lists,
    ],
    refusals,
  };
}

function note({ flow, refusals }: Listing, id: ValueId, reason: string): void {
  refusals.push({ reason, origin: flow.values[id].origin });
}

/** [ROW, groups]: 1 where the choice holds. */
function held(listing: Listing, k: KernelBuilder): TileId {
  const { flow, kernel, groups } = listing;
  const frame = frameOn(listing, k, TOKEN);
  const domain = flow.domains[kernel.rows];
  const one = domain.kind === 'slot' ? holding(frame, domain.choice, ownView(frame)) : k.literal(0);
  return k.keep(groups.every((axis) => k.axesOf(one).includes(axis)) ? one : k.add(one, k.zeros(groups)));
}

function countSegment(listing: Listing, k: KernelBuilder): void {
  const [total] = k.loop('chunks', false, [k.zeros(listing.groups)], ([sum]) => [k.add(sum, k.reduce('sum', ROW, held(listing, k)))]);
  k.store(tableBuffer(listing.memory, 'counts', listing.kernel.rows), total);
}

function sumSegments(listing: Listing, k: KernelBuilder): void {
  const { flow, memory, kernel: { rows, stores }, groups } = listing;
  const [all] = k.loop('segments', false, [k.zeros(groups)], ([before]) => {
    k.store(tableBuffer(memory, 'before', rows), before);
    return [k.add(before, k.load(tableBuffer(memory, 'counts', rows)))];
  });
  const number = numberOf(k, groupsIn(flow, rows));
  const before = k.mul(k.map('less', number, k.index(boundAxis(rows))), all);
  k.store(tableBuffer(memory, 'starts', rows), rankOf(k, all, groups));
  k.store(tableBuffer(memory, 'offsets', rows), groups.reduce((tile, axis) => k.reduce('sum', axis, tile), before));
  for (const id of stores) if (flow.values[id].kind !== 'gather') k.store(bufferOf(memory, id), sumOf(listing, k, id, all));
}

/** The sum of one number over all slots: how many there are, times that. */
function sumOf(listing: Listing, k: KernelBuilder, id: ValueId, all: TileId): TileId {
  const { flow, kernel } = listing;
  const value = flow.values[id];
  const number = value.kind === 'fold' && value.op === 'sum' ? literalIn(flow, value.arg) : undefined;
  if (value.kind !== 'fold' || number === undefined) return refuse(frameOn(listing, k, ONCE), id, 'sums of numbers that differ');
  const { axes, kept } = value.along;
  const times = axes.filter((axis) => includes(number.axes, axis)).reduce((n, { size }) => n * size, number.value);
  const gone = groupsIn(flow, kernel.rows).filter((axis) => !includes(kept, axis));
  return k.mul(k.literal(times), names(gone).reduce((tile, axis) => k.reduce('sum', axis, tile), all));
}

function literalIn(flow: Flow, id: ValueId): { readonly value: number; readonly axes: readonly Axis[] } | undefined {
  const value = flow.values[id];
  return value.kind === 'literal' ? value : value.kind === 'gather' ? literalIn(flow, value.arg) : undefined;
}

function placeSegment(listing: Listing, k: KernelBuilder): void {
  const { memory, kernel: { rows } } = listing;
  const first = k.add(k.load(tableBuffer(memory, 'starts', rows)), k.load(tableBuffer(memory, 'before', rows)));
  k.loop('chunks', false, [first], ([next]) => {
    const one = held(listing, k);
    const place = k.add(next, k.cumsum(one, { exclusive: true }));
    k.store(tableBuffer(memory, 'place', rows), orNone(k, one, place));
    return [k.add(next, k.reduce('sum', ROW, one))];
  });
}

/** A number where `one` is 1, and -1 where it is 0. */
const orNone = (k: KernelBuilder, one: TileId, number: TileId): TileId => (
  k.sub(k.mul(one, k.add(number, k.literal(1))), k.literal(1))
);

/** Of every slot its token, and of every token its slots: the one that so many come before in `seat`. */
function listSlots({ memory, kernel: { rows }, groups }: Listing, k: KernelBuilder): void {
  const places = tableBuffer(memory, 'place', rows);
  k.scatter(tableBuffer(memory, 'token', rows), k.number('row'), places);
  const place = k.load(places);
  const one = k.map('less', k.literal(-0.5), place);
  const own = k.mul(k.mul(one, k.add(place, k.literal(1))), same(k, rankOf(k, one, groups), k.index(seatAxis(rows))));
  const slot = [...groups].reverse().reduce((tile, axis) => k.reduce('sum', axis, tile), own);
  k.store(tableBuffer(memory, 'slots', rows), k.sub(slot, k.literal(1)));
}

/** How many before each, along several axes row by row. */
function rankOf(k: KernelBuilder, one: TileId, axes: readonly Name[]): TileId {
  const [last, ...rest] = [...axes].reverse();
  const within = k.cumsum(one, { exclusive: true, axis: last });
  return rest.length === 0 ? within : k.add(within, rankOf(k, k.reduce('sum', last, one), rest.reverse()));
}

/** Brings the number that a token has for each of its groups to the slots. Where it is absent it may be anything. */
function seat(listing: Listing, k: KernelBuilder, id: ValueId): void {
  const { flow, memory, kernel } = listing;
  const value = flow.values[id];
  const frame = frameOn(listing, k, TOKEN);
  const own = value.kind === 'gather' ? at(frame, value.arg) : refuse(frame, id, 'what is no number of a token');
  k.scatter(bufferOf(memory, id), own, tableBuffer(memory, 'place', kernel.rows));
}
