import { along, flowBuilder, map } from '../../ir/flow/build.js';
import { ONCE, TOKEN, type Flow, type FlowResult, type FlowValue } from '../../ir/flow/flow.js';
import { allNeeded } from '../../ir/flow/operands.js';

type Choice = Extract<FlowValue, { kind: 'top' }>;

/**
 * A flow that says where a choice has scores that are no numbers: of each token, not 0. The kernels that choose have the scores anyway,
 * and hosts that do not ask read nothing back.
 */
export function withChecks(flow: Flow): Flow {
  const b = flowBuilder(flow);
  const checks = choicesIn(flow).flatMap((choice): FlowResult[] => {
    const { arg, origin, along: group } = choice;
    const { domain, axes } = b.typeOf(arg);
    if (flow.domains[domain].kind === 'pair') return [];
    const scores = b.add({ kind: 'lift', arg }, origin);
    // Their maximum is no number either, and is made where the choice is.
    const most = axes.length === 0 ? scores : b.add({ kind: 'fold', op: 'max', arg: scores, along: along(axes, domain) }, origin);
    const wrong = map(b, 'nan', [most], origin);
    const to = flow.domains[domain].kind === 'slot' ? TOKEN : domain === TOKEN ? domain : ONCE;
    const value = to === domain ? wrong : b.add({ kind: 'fold', op: 'sum', arg: wrong, along: along([], to) }, origin);
    return [{ name: nameOf(group), axes: [], value }];
  });
  return { ...flow, values: b.values, checks };
}

/** Those that forward makes. */
function choicesIn(flow: Flow): readonly Choice[] {
  const { outputs, losses, counts, update, backward } = flow;
  const given = [...outputs, ...losses, ...counts, ...update.takes].map(({ value }) => value);
  return allNeeded(flow, [...given, ...backward?.kept ?? []]).flatMap((id) => {
    const value = flow.values[id];
    return value.kind === 'top' ? [value] : [];
  });
}

/** As formulas say it: `top[E]`; of a part that is called with its path, `top[ffn.E]`. */
function nameOf({ axes, to }: Choice['along']): string {
  return `top[${[...(to === TOKEN ? [] : to === ONCE ? ['tokens'] : ['time']), ...axes.map(({ name }) => name)].join(', ')}]`;
}
