import { runsOf } from '../../ir/common/axes.js';
import { ONCE, SEQUENCE, TOKEN, type DomainId, type Flow, type FlowType, type ValueId } from '../../ir/flow/flow.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileBuffer, TileId } from '../../ir/tile/tile.js';
import type { Kernel } from '../cluster/kernel.js';
import type { Refusal } from '../flow/scope.js';
import { BLOCK, bufferOf, groupsIn, names, seatAxis, tableBuffer, wordAxis, type Memory } from './memory.js';

/**
 * From where a value is seen. `own`: the rows that a body stands on. `token`: from slots, the value of their token. `slots`, `place`: from
 * tokens, values of their slots, one behind the other or each at its group.
 */
export interface View {
  readonly kind: 'own' | 'token' | 'slots' | 'place';
  /** The domain that is seen. */
  readonly domain: DomainId;
}

/** A body of a kernel that is written: what its rows are, and what is computed in it already. */
export interface Frame {
  readonly k: KernelBuilder;
  readonly memory: Memory;
  readonly flow: Flow;
  readonly domain: DomainId;
  /** Of a slot, or of all in one group: values of groups are those of this one. */
  readonly grouped: DomainId | undefined;
  readonly loads: ReadonlySet<ValueId>;
  readonly known: Map<string, TileId>;
  readonly refusals: Refusal[];
}

/** What frames of one kernel have in common. */
export interface Setting {
  readonly memory: Memory;
  readonly flow: Flow;
  readonly kernel: Pick<Kernel, 'loads'>;
  readonly refusals: Refusal[];
}

/** A frame in which nothing is computed yet. */
export function frameOn({ memory, flow, kernel, refusals }: Setting, k: KernelBuilder, domain: DomainId, grouped?: DomainId): Frame {
  return { k, memory, flow, domain, grouped, loads: new Set(kernel.loads), known: new Map(), refusals };
}

export const ownView = ({ domain }: Frame): View => ({ kind: 'own', domain });

export const keyOf = ({ kind, domain }: View, id: ValueId): string => `${kind} ${domain} ${id}`;

export const typeIn = ({ flow }: Frame, id: ValueId): FlowType => flow.values[id].type;

/** Notes why a value has no kernel; what is written in its place is never launched. */
export function refuse({ k, refusals, flow }: Frame, id: ValueId, reason: string, form?: Refusal['form']): TileId {
  refusals.push({ reason, origin: flow.values[id].origin, ...(form && { form }) });
  return k.literal(0);
}

/** A value from memory; sums that lie there block by block are added up. */
export function loaded(frame: Frame, id: ValueId, view: View): TileId {
  const { k, memory } = frame;
  const tile = cell(frame, id, view);
  const summed = memory.partial.get(id);
  const whole = summed === undefined ? tile : k.reduce('sum', runsOf(wordAxis(summed.name), BLOCK), tile);
  return view.kind === 'place' && typeIn(frame, id).domain === view.domain ? atGroups(frame, whole, view.domain) : whole;
}

/** What a view sees of a buffer of rows of its domain. */
export function rowsOf({ k, memory, domain }: Frame, buffer: TileBuffer, view: View): TileId {
  switch (view.kind) {
    case 'own': return k.load(buffer);
    case 'token': return k.gather(buffer, tableBuffer(memory, 'token', domain));
    case 'slots': case 'place': return k.gather(buffer, tableBuffer(memory, 'slots', view.domain));
  }
}

/** What a token has for its slots, one behind the other, at their groups instead. */
export function atGroups({ k, flow, memory }: Pick<Frame, 'k' | 'flow' | 'memory'>, x: TileId, domain: DomainId): TileId {
  const groups = groupsIn(flow, domain);
  return k.unpack(names(groups), seatAxis(domain), x, k.load(tableBuffer(memory, 'seats', domain)));
}

function cell(frame: Frame, id: ValueId, view: View): TileId {
  const { k, memory, grouped } = frame;
  const { domain } = typeIn(frame, id);
  const owner = memory.byGroup.get(id);
  if (owner !== undefined && owner !== grouped) return refuse(frame, id, 'what lies group by group is read as a whole');
  const buffer = bufferOf(memory, id);
  if (domain === ONCE) return k.load(buffer);
  if (domain === SEQUENCE) {
    return view.kind === 'own' && (frame.domain === TOKEN || frame.domain === SEQUENCE)
      ? k.load(buffer) : refuse(frame, id, 'slots do not know their sequences yet');
  }
  if (domain !== view.domain) return refuse(frame, id, 'rows of a domain that has no way to it');
  return rowsOf(frame, buffer, view);
}

/** x where `holds` is 1, and 0 where it is 0, whatever x is there. */
export function selected({ k }: Frame, x: TileId, holds: TileId | undefined): TileId {
  return holds === undefined ? x : k.map('chain', x, holds);
}
