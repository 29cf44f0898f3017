import type { Flow, ValueId } from '../../ir/flow/flow.js';
import { groupsOf } from '../../ir/flow/typing.js';
import { elements, includes } from '../../ir/graph/typing.js';

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
