import { includes, sameAxes } from '../graph/typing.js';
import { ONCE, TOKEN, type Along, type Flow, type FlowResult, type FlowType, type FlowValue, type ValueId } from './flow.js';
import { needsOf, operandsOf } from './operands.js';
import { coarser, groupsOf, typeOf } from './typing.js';

/** What is wrong with a Flow, one sentence each; [] if nothing. Every complaint is a mistake of ours. */
export function verifyFlow(flow: Flow): readonly string[] {
  const problems: string[] = [];
  flow.values.forEach((value, id) => {
    for (const text of valueProblems(flow, value, id)) problems.push(`${flow.name}: value ${id} (${value.kind}) ${text}`);
  });
  const number = ({ name, axes, value }: FlowResult, domain: number | undefined): void => {
    const type: FlowType | undefined = flow.values[value]?.type;
    const fits = type?.kind === 'number' && type.where.length === 0
      && type.axes.every((axis) => includes(axes, axis)) && (domain === undefined || type.domain === domain);
    if (!fits) problems.push(`${flow.name}: ${name} does not have the value that it should`);
  };
  flow.outputs.forEach((one) => number(one, TOKEN));
  flow.losses.forEach((one) => number(one, ONCE));
  flow.counts.forEach((one) => number(one, ONCE));
  flow.checks.forEach((one) => number(one, undefined));
  [...flow.update.takes, ...flow.update.results].forEach((one) => number(one, ONCE));
  flow.backward?.gradients.forEach((one) => number(one, undefined));
  return problems;
}

function valueProblems(flow: Flow, value: FlowValue, id: ValueId): readonly string[] {
  const { domains, values } = flow;
  const needs = needsOf(value, domains);
  if (!needs.every((arg) => Number.isInteger(arg) && arg >= 0 && arg < id)) return ['reads a value that is not before it'];
  const type = (arg: ValueId): FlowType => values[arg].type;
  const problems: string[] = [];
  const check = (ok: boolean, text: string): void => {
    if (!ok) problems.push(text);
  };
  const own = value.type;
  const made = typeOf(value, { domains, inputs: flow.inputs, params: flow.params, type });
  check(sameType(own, made), 'does not have the type that follows from what it reads');
  check(new Set(own.axes.map((axis) => axis.name)).size === own.axes.length, 'has an axis twice');
  check(!own.axes.some((axis) => includes(groupsOf(domains[own.domain]), axis)), 'has an axis of the groups of its slots');
  check(own.where.every((choice) => type(choice).kind === 'choice' && (type(choice).domain === ONCE || type(choice).domain === own.domain)
    && type(choice).axes.every((axis) => includes(own.axes, axis))), 'is present by what is no choice of its own');
  const reads = operandsOf(value).map(type);
  switch (value.kind) {
    case 'gather': check(coarser(domains, value.to, reads[0].domain) || coarser(domains, reads[0].domain, value.to),
      'goes to a domain that is not finer'); break;
    case 'softmax': check(reads.length < 2 || [ONCE, value.along.to].includes(reads[1].domain), 'has a sink of another domain'); break;
    case 'top': check(reads[1].domain === ONCE || reads[1].domain === value.along.to, 'has counts of another domain'); break;
    default: {
      const fine = reads.map(({ domain }) => domain).filter((domain) => domain !== ONCE);
      check(new Set(fine).size <= 1, 'reads values of several domains');
    }
  }
  if ('along' in value) alongProblems(flow, value.along, reads, value.kind === 'contract').forEach((text) => check(false, text));
  return problems;
}

function alongProblems({ domains }: Flow, { axes, to, kept }: Along, reads: readonly FlowType[], both: boolean): readonly string[] {
  const from = Math.max(...reads.slice(0, both ? 2 : 1).map(({ domain }) => domain));
  const problems: string[] = [];
  if (to !== from && !coarser(domains, to, from)) problems.push('folds into a domain that is not coarser');
  if (!kept.every((axis) => includes(groupsOf(domains[from]), axis))) problems.push('keeps groups that its rows do not have');
  const has = both ? reads.slice(0, 2) : reads.slice(0, 1);
  if (!axes.every((axis) => has.some((read) => includes(read.axes, axis)))) problems.push('folds an axis that it does not have');
  return problems;
}

function sameType(a: FlowType, b: FlowType): boolean {
  return a.kind === b.kind && a.domain === b.domain && sameAxes(a.axes, b.axes) && a.where.join() === b.where.join();
}
