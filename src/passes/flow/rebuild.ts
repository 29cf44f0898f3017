import { flowBuilder, type FlowBuilder } from '../../ir/flow/build.js';
import type { DomainId, Flow, FlowResult, FlowValue, ValueId } from '../../ir/flow/flow.js';
import { movedBody } from '../../ir/flow/operands.js';

/** What a Flow gives, forward and after a step, by the values that took the place of its own. */
export function movedResults(flow: Flow, to: (id: ValueId) => ValueId): Pick<Flow, 'outputs' | 'losses' | 'counts' | 'checks' | 'update'> {
  const results = <T extends FlowResult>(list: readonly T[]): T[] => list.map((one) => ({ ...one, value: to(one.value) }));
  return {
    outputs: results(flow.outputs), losses: results(flow.losses), counts: results(flow.counts), checks: results(flow.checks),
    update: { takes: results(flow.update.takes), results: results(flow.update.results) },
  };
}

/** The Flow value by value: what `instead` makes of one, told where the values before it are; undefined: as it is. */
export function rebuilt(
  flow: Flow, instead: (b: FlowBuilder, value: FlowValue, to: (id: ValueId) => ValueId) => ValueId | undefined,
): Flow {
  const { values, domains } = flow;
  const b = flowBuilder();
  const places: ValueId[] = [];
  const to = (id: ValueId): ValueId => places[id];
  const domainAt = (id: DomainId): DomainId => {
    const domain = domains[id];
    return b.domain(domain.kind === 'slot' ? { ...domain, choice: to(domain.choice) } : domain);
  };
  flow.inputs.forEach((input) => b.input(input, values[0].origin));
  flow.scans.forEach((scan) => b.scan(scan));
  flow.params.forEach((param) => b.param(param, values[0].origin));
  for (const value of values) places.push(instead(b, value, to) ?? b.add(movedBody(value, to, domainAt), value.origin));
  const { backward } = flow;
  return {
    ...flow, domains: b.domains, inputs: b.inputs, params: b.params, values: b.values, scans: b.scans, ...movedResults(flow, to),
    backward: backward && {
      kept: backward.kept.map(to), gradients: backward.gradients.map((one) => ({ ...one, value: to(one.value) })),
    },
  };
}
