import { along, gather, literal } from '../../ir/flow/build.js';
import { ONCE, type Flow, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import { groupsOf } from '../../ir/flow/typing.js';
import { sameAxes } from '../../ir/graph/typing.js';
import { pruned } from '../flow/prune.js';
import { rebuilt } from '../flow/rebuild.js';

/**
 * A flow (forward alone) in which the tokens of a choice that has slots are counted by these: slots are counted anyway, and nobody has to
 * look at all that might have been chosen.
 */
export function countedBySlots(flow: Flow): Flow {
  const { values, domains } = flow;
  const slotsOf = (value: FlowValue): number => {
    if (value.kind !== 'fold' || value.op !== 'sum' || value.along.to !== ONCE || value.along.axes.length > 0) return -1;
    const arg = values[value.arg];
    return arg.kind !== 'mask' ? -1 : domains.findIndex((domain) => (
      domain.kind === 'slot' && domain.choice === arg.choice && sameAxes(groupsOf(domain), value.type.axes)
    ));
  };
  if (values.every((value) => slotsOf(value) < 0)) return flow;
  return pruned(rebuilt(flow, (b, value, to): ValueId | undefined => {
    const domain = domains[slotsOf(value)];
    if (domain?.kind !== 'slot' || value.kind !== 'fold') return undefined;
    const slots = b.domain({ ...domain, choice: to(domain.choice) });
    const one = gather(b, literal(b, 1, value.origin), slots, value.origin);
    return b.add(
      { kind: 'fold', op: 'sum', arg: one, along: along([], ONCE, { kept: value.type.axes, ranks: value.along.ranks }) }, value.origin,
    );
  }));
}
