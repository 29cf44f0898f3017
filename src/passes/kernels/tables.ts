import type { Axis as Name } from '../../ir/common/axes.js';
import { ONCE, TOKEN, type Flow, type ValueId } from '../../ir/flow/flow.js';
import { elements, includes } from '../../ir/graph/typing.js';
import type { Axis } from '../../ir/graph/types.js';
import { buildKernel, type KernelBuilder } from '../../ir/tile/build.js';
import type { TileId, TileKernel } from '../../ir/tile/tile.js';
import type { Kernel } from '../cluster/kernel.js';
import type { Refusal } from '../flow/scope.js';
import { at, holding } from './compute.js';
import { atGroups, frameOn, ownView, refuse, type Setting } from './frame.js';
import { boundAxis, bufferOf, groupsIn, names, seatAxis, seatBuffer, tableBuffer, tileDomain, type Memory } from './memory.js';
import { elementOf, same } from './numbering.js';

interface Listing extends Setting {
  readonly kernel: Kernel;
  /** Groups of the slots, as tiles have them. */
  readonly groups: readonly Name[];
}

type Write = (k: KernelBuilder) => void;

/**
 * Where the slots of a choice are: the groups of each token, and what it has for them, one behind the other; with these alone slots are
 * counted segment by segment, summed over segments, numbered and brought to the slots. Every call has the same order. `listed`: the lists
 * are there; numbers alone are brought to their slots.
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
  const brought = kernel.stores.filter((id) => flow.values[id].kind === 'gather');
  const seats = launch('seats', 'chunk', `Of each token the groups of its ${row}s.`, (k) => {
    const one = listed ? seatedIn(listing, k) : held(listing, k);
    if (!listed) k.store(tableBuffer(memory, 'seats', kernel.rows), seated(listing, k, elementOf(k, groupsIn(flow, kernel.rows)), one));
    for (const id of brought) k.store(seatBuffer(memory, id, kernel.rows), seated(listing, k, ownOf(listing, k, id), one));
  });
  const lists = launch('lists', 'chunk', `Brings numbers of tokens to their ${row}s.`, (k) => {
    const slots = tableBuffer(memory, 'slots', kernel.rows);
    if (!listed) k.scatter(tableBuffer(memory, 'token', kernel.rows), k.number('row'), slots);
    for (const id of brought) k.scatter(bufferOf(memory, id), k.load(seatBuffer(memory, id, kernel.rows)), slots);
  });
  if (listed) {
    for (const id of kernel.stores) if (flow.values[id].kind !== 'gather') note(listing, id, 'sums of slots that are listed already');
    return { kernels: brought.length > 0 ? [seats, lists] : [], refusals };
  }
  return {
    kernels: [
      seats,
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

/** The same of slots that are listed. */
function seatedIn(listing: Listing, k: KernelBuilder): TileId {
  const { flow, memory, kernel: { rows } } = listing;
  return atGroups({ k, flow, memory }, k.add(k.zeros([seatAxis(rows)]), k.literal(1)), rows);
}

/** What a token has at the groups where the choice holds, in their order. */
function seated({ kernel, groups }: Listing, k: KernelBuilder, x: TileId, one: TileId): TileId {
  return k.pack(groups, seatAxis(kernel.rows), x, one);
}

/** The number that a token has for each of its groups. Where it is absent it may be anything. */
function ownOf(listing: Listing, k: KernelBuilder, id: ValueId): TileId {
  const value = listing.flow.values[id];
  const frame = frameOn(listing, k, TOKEN);
  return value.kind === 'gather' ? at(frame, value.arg) : refuse(frame, id, 'what is no number of a token');
}

const seatsIn = ({ memory, kernel }: Listing, k: KernelBuilder): TileId => k.load(tableBuffer(memory, 'seats', kernel.rows));

function countSegment(listing: Listing, k: KernelBuilder): void {
  const { memory, kernel, groups } = listing;
  const [total] = k.loop('chunks', false, [k.zeros(groups)], ([sum]) => [k.add(sum, k.tally(groups, seatsIn(listing, k)))]);
  k.store(tableBuffer(memory, 'counts', kernel.rows), total);
}

function sumSegments(listing: Listing, k: KernelBuilder): void {
  const { flow, memory, kernel: { rows, stores }, groups } = listing;
  const [all] = k.loop('segments', false, [k.zeros(groups)], ([before]) => {
    k.store(tableBuffer(memory, 'before', rows), before);
    return [k.add(before, k.load(tableBuffer(memory, 'counts', rows)))];
  });
  const starts = rankOf(k, all, groups);
  k.store(tableBuffer(memory, 'starts', rows), starts);
  // Behind the starts of all groups how many there are.
  const bound = boundAxis(rows);
  const last = same(k, k.index(bound), k.literal(elements(groupsIn(flow, rows))));
  const total = groups.reduce((tile, axis) => k.reduce('sum', axis, tile), all);
  const ones = k.add(k.zeros(groups), k.literal(1));
  k.store(tableBuffer(memory, 'offsets', rows), k.add(k.pack(groups, bound, starts, ones), k.mul(last, total)));
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
  const { memory, kernel: { rows }, groups } = listing;
  const first = k.add(k.load(tableBuffer(memory, 'starts', rows)), k.load(tableBuffer(memory, 'before', rows)));
  k.loop('chunks', false, [first], ([next]) => {
    const seats = seatsIn(listing, k);
    k.store(tableBuffer(memory, 'slots', rows), k.queue(groups, seats, next));
    return [k.add(next, k.tally(groups, seats))];
  });
}

/** How many before each, along several axes row by row. */
function rankOf(k: KernelBuilder, one: TileId, axes: readonly Name[]): TileId {
  const [last, ...rest] = [...axes].reverse();
  const within = k.cumsum(one, { exclusive: true, axis: last });
  return rest.length === 0 ? within : k.add(within, rankOf(k, k.reduce('sum', last, one), rest.reverse()));
}
