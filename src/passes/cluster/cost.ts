import { ONCE, type DomainId, type Flow, type ValueId } from '../../ir/flow/flow.js';
import { groupsOf } from '../../ir/flow/typing.js';
import { elements, includes, union } from '../../ir/graph/typing.js';
import type { Cost } from './kernel.js';

/** Bytes of a row of a value in memory. Numbers of one index each are f32, and stored for the indices of a choice only, if it has one. */
export function bytesOf({ values, domains }: Flow, id: ValueId): number {
  const { axes, kind, where } = values[id].type;
  const slots = domains.filter((domain) => domain.kind === 'slot');
  const narrow = slots.find((domain) => axes.every((axis) => includes(groupsOf(domain), axis)));
  const few = slots.find((domain) => kind === 'choice' ? domain.choice === id : where.includes(domain.choice));
  if (few !== undefined && few.kind === 'slot' && narrow === few) return 4 * few.perToken;
  if (kind === 'choice') return elements(axes);
  return elements(axes) * (narrow !== undefined || axes.length === 0 ? 4 : 2);
}

export function costOf(flow: Flow, values: readonly ValueId[], loads: readonly ValueId[], stores: readonly ValueId[]): Cost {
  const [flops, bytes] = [new Map<DomainId, number>(), new Map<DomainId, number>()];
  const add = (to: Map<DomainId, number>, domain: DomainId, n: number): Map<DomainId, number> => to.set(domain, (to.get(domain) ?? 0) + n);
  const type = (id: ValueId) => flow.values[id].type;
  for (const id of [...loads, ...stores]) add(bytes, type(id).domain, bytesOf(flow, id));
  for (const id of values) {
    const value = flow.values[id];
    switch (value.kind) {
      case 'contract': {
        const [left, right] = [type(value.left), type(value.right)];
        add(flops, Math.max(left.domain, right.domain), 2 * elements(union(left.axes, right.axes)));
        break;
      }
      case 'gather': case 'restrict': case 'literal': case 'stop': case 'f32': break;
      case 'fold': case 'softmax': case 'top': case 'first':
      case 'others': add(flops, type(value.arg).domain, elements(type(value.arg).axes)); break;
      default: add(flops, value.type.domain, elements(value.type.axes));
    }
  }
  return { flops, bytes };
}

export function total(of: ReadonlyMap<DomainId, number>, rows: (domain: DomainId) => number): number {
  return [...of].reduce((sum, [domain, n]) => sum + n * (domain === ONCE ? 1 : rows(domain)), 0);
}
