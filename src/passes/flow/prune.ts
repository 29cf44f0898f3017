import type { Flow, ValueId } from '../../ir/flow/flow.js';
import { allNeeded, movedBody, resultsOf } from '../../ir/flow/operands.js';
import { movedResults } from './rebuild.js';

/** The Flow without what nothing needs; inputs and params stay. */
export function pruned(flow: Flow): Flow {
  const { values, domains, backward } = flow;
  const after = [...flow.update.results, ...(backward?.gradients ?? [])].map(({ value }) => value);
  const ids = allNeeded(flow, [...resultsOf(flow), ...after]);
  const at = new Map(ids.map((id, i) => [id, i]));
  const to = (id: ValueId): ValueId => at.get(id) ?? -1;
  const used = domains.flatMap((_, i) => (i < 3 || ids.some((id) => values[id].type.domain === i) ? [i] : []));
  const domainAt = new Map(used.map((id, i) => [id, i]));
  const domain = (id: number): number => domainAt.get(id) ?? -1;
  const moved = ids.map((id) => {
    const { type, origin } = values[id];
    return { ...movedBody(values[id], to, domain), type: { ...type, domain: domain(type.domain), where: type.where.map(to) }, origin };
  });
  return {
    ...flow, values: moved,
    domains: used.map((id) => {
      const one = domains[id];
      return one.kind === 'slot' ? { ...one, choice: to(one.choice) } : one;
    }),
    ...movedResults(flow, to),
    backward: backward && {
      kept: backward.kept.filter((id) => at.has(id)).map(to),
      gradients: backward.gradients.map((one) => ({ ...one, value: to(one.value) })),
    },
  };
}
