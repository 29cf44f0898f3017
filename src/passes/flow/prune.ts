import type { Flow, ValueId } from '../../ir/flow/flow.js';
import { movedBody, needsOf } from '../../ir/flow/operands.js';
import { movedResults } from './rebuild.js';

/** The Flow without what nothing needs; inputs and params stay. */
export function pruned(flow: Flow): Flow {
  const { values, domains, backward } = flow;
  const needed = new Set<ValueId>();
  const open = [...flow.outputs, ...flow.losses, ...flow.counts, ...flow.checks, ...flow.update.takes, ...flow.update.results,
    ...(backward?.gradients ?? [])].map(({ value }) => value);
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (needed.has(id)) continue;
    needed.add(id);
    open.push(...needsOf(values[id], domains));
  }
  const ids = [...needed].sort((a, b) => a - b);
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
      kept: backward.kept.filter((id) => needed.has(id)).map(to),
      gradients: backward.gradients.map((one) => ({ ...one, value: to(one.value) })),
    },
  };
}
