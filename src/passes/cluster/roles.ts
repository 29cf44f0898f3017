import { ONCE, TOKEN, type Flow, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import { operandsOf } from '../../ir/flow/operands.js';
import { groupsOf, isSeat } from '../../ir/flow/typing.js';
import { sameAxes } from '../../ir/graph/typing.js';

/**
 * What a value is for whoever makes kernels. `leaf`: there, or made of nothing. `view`: another value read at other rows. `light`:
 * arithmetic on what a row has. `part`: a product that is added to another one, in its kernel. The others each need a kernel around them.
 */
export type Role = 'leaf' | 'view' | 'light' | 'part' | 'product' | 'groups' | 'collect' | 'sums' | 'seats';

/** Roles of the values of a program. `given`: what is there when it begins. */
export function rolesOf(flow: Flow, needed: ReadonlySet<ValueId>, given: ReadonlySet<ValueId>): ReadonlyMap<ValueId, Role> {
  const { values } = flow;
  const readers = new Map<ValueId, ValueId[]>();
  for (const id of needed) for (const arg of operandsOf(values[id])) readers.set(arg, [...readers.get(arg) ?? [], id]);
  const roles = new Map<ValueId, Role>();
  const order = [...needed].sort((a, b) => a - b);
  for (const id of order) {
    const value = values[id];
    // How a value is read, not another one.
    const alias = (value.kind === 'f32' || value.kind === 'stop') && ['leaf', 'view'].includes(roles.get(value.arg) ?? '');
    const role = given.has(id) ? 'leaf' : alias ? 'view' : roleOf(flow, value);
    // Slots of another choice read rows of a token, which have to be there.
    const rows = role === 'view' && value.kind === 'fold' && goesOn(flow, readers, id);
    roles.set(id, rows ? 'collect' : role);
  }
  for (const id of order) {
    const value = values[id];
    if (value.kind !== 'map' || value.fn !== 'add') continue;
    const parts = value.args.filter((arg) => ['product', 'groups'].includes(roles.get(arg) ?? '') && readers.get(arg)?.length === 1);
    const [first, second] = parts.map((arg) => values[arg]);
    if (parts.length !== 2 || parts[0] === parts[1] || first.type.domain !== value.type.domain || second.type.domain !== value.type.domain
      || !sameAxes(first.type.axes, second.type.axes) || roles.get(parts[0]) !== roles.get(parts[1])
      || !sameRows(flow, first, second)) continue;
    roles.set(id, roles.get(parts[0]) ?? 'light');
    for (const part of parts) roles.set(part, 'part');
  }
  return roles;
}

/** Is it read at slots, as rows of their tokens? */
function goesOn(flow: Flow, readers: ReadonlyMap<ValueId, readonly ValueId[]>, id: ValueId): boolean {
  return (readers.get(id) ?? []).some((reader) => {
    const value = flow.values[reader];
    if (value.kind === 'f32' || value.kind === 'stop') return goesOn(flow, readers, reader);
    return value.kind === 'gather' && roleOf(flow, value) === 'view';
  });
}

/** Do two products go from the same rows, by the same groups? One loop makes both then. */
function sameRows({ values }: Flow, a: FlowValue, b: FlowValue): boolean {
  const from = (value: FlowValue): number => Math.max(...operandsOf(value).map((arg) => values[arg].type.domain));
  const kept = (value: FlowValue) => ('along' in value ? value.along.kept : []);
  return from(a) === from(b) && sameAxes(kept(a), kept(b));
}

function roleOf({ values, domains }: Flow, value: FlowValue): Role {
  switch (value.kind) {
    case 'literal': case 'input': case 'param': case 'count': case 'index': case 'draw': return 'leaf';
    case 'gather': {
      // Written with the lists of slots, by whoever knows the token's.
      return isSeat(values[value.arg].type, value.type, domains[value.to]) ? 'seats' : 'view';
    }
    // One element of many is not 0: whoever sums them reads that one.
    case 'place': return 'view';
    case 'contract': {
      const from = Math.max(values[value.left].type.domain, values[value.right].type.domain);
      if (value.along.to !== from) return value.along.to === ONCE ? 'groups' : 'collect';
      return from === ONCE ? 'light' : 'product';
    }
    case 'fold': case 'softmax': case 'top': case 'first': case 'others': {
      const from = values[value.arg].type.domain;
      const { to, kept } = value.along;
      if (to === from) return 'light';
      // The numbers of a token's slots, at their places.
      if (
        value.kind === 'fold' && value.op === 'sum' && sameAxes(kept, groupsOf(domains[from])) && kept.length > 0 && to === TOKEN
      ) return 'view';
      if (
        domains[from].kind === 'slot' && to === ONCE && values[value.arg].kind === 'gather' && isNumber(values, value.arg)
      ) return 'seats';
      return domains[from].kind === 'slot' && to !== ONCE ? 'collect' : 'sums';
    }
    case 'scan': case 'unscan': case 'sinkhorn': case 'untap': case 'taps': return 'sums';
    case 'map': case 'restrict': case 'lift': case 'compare': case 'logic': case 'mask': case 'pick': case 'stop': case 'f32':
    case 'rounded': case 'rope': return 'light';
  }
}

/** The same number for every slot: its sum is how many there are. */
function isNumber(values: readonly FlowValue[], id: ValueId): boolean {
  const value = values[id];
  return value.kind === 'literal' || (value.kind === 'gather' && isNumber(values, value.arg));
}
