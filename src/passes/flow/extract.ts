import type { Span } from '../../ir/common/span.js';
import { flowBuilder, type FlowBuilder } from '../../ir/flow/build.js';
import type { DomainId, Flow, ValueId } from '../../ir/flow/flow.js';
import { allNeeded, movedBody, needsOf } from '../../ir/flow/operands.js';
import { verifyFlow } from '../../ir/flow/verify.js';
import { verified } from '../../support/verified.js';

/** Why a Flow has no parts: `dividedIn` says it. */
export class Undivided extends Error {
  constructor(reason: string, readonly origin: Span) {
    super(reason);
  }
}

type Results = Pick<Flow, 'outputs' | 'losses' | 'counts' | 'update'>;

export function made({ name, training }: Flow, b: FlowBuilder, part: string, results: Partial<Results>): Flow {
  const flow: Flow = {
    name: `${name}_${part}`, training, domains: b.domains, inputs: b.inputs, params: b.params, scans: b.scans, values: b.values,
    outputs: [],
    losses: [], counts: [], checks: [], update: { takes: [], results: [] }, backward: undefined, ...results,
  };
  return verified(`${part} of ${name}`, flow, verifyFlow(flow));
}

/** All that reads a value. */
export function dependents({ values, domains }: Flow, root: ValueId): ReadonlySet<ValueId> {
  const found = new Set([root]);
  values.forEach((value, id) => {
    if (needsOf(value, domains).some((arg) => found.has(arg))) found.add(id);
  });
  return found;
}

export type Instead = (b: FlowBuilder, id: ValueId, to: (id: ValueId) => ValueId) => ValueId | undefined;

export interface Extracted {
  readonly b: FlowBuilder;
  readonly to: (id: ValueId) => ValueId;
}

/** Some values and what they need, as a Flow of their own. `cut`: what is made by `instead`, whatever it needs. */
export function extracted(
  flow: Flow, roots: readonly ValueId[], cut: ReadonlySet<ValueId> = new Set(),
  instead: Instead = () => undefined, domain?: (b: FlowBuilder, to: (id: ValueId) => ValueId) => DomainId,
): Extracted {
  const { values, domains, inputs, params, scans } = flow;
  const b = flowBuilder();
  const places = new Map<ValueId, ValueId>();
  const to = (id: ValueId): ValueId => places.get(id) ?? -1;
  const domainAt = (id: DomainId): DomainId => {
    const one = domains[id];
    return one.kind !== 'slot' ? b.domain(one) : domain?.(b, to) ?? b.domain({ ...one, choice: to(one.choice) });
  };
  for (const id of allNeeded(flow, roots, cut)) {
    const value = values[id];
    const own = (): ValueId => {
      if (value.kind === 'input') return b.input(inputs[value.input], value.origin);
      if (value.kind === 'param') return b.param(params[value.param], value.origin);
      if (value.kind === 'scan' || value.kind === 'unscan') b.scan(scans[value.scan]);
      return b.add(movedBody(value, to, domainAt), value.origin);
    };
    places.set(id, instead(b, id, to) ?? own());
  }
  return { b, to };
}
