import { flowBuilder, gather, literal, map, restrict, type FlowBuilder } from '../../ir/flow/build.js';
import { ONCE, TOKEN, type DomainId, type Flow, type FlowResult, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import { needsOf, operandsOf } from '../../ir/flow/operands.js';
import { verifyFlow } from '../../ir/flow/verify.js';
import { isSeat } from '../../ir/flow/typing.js';
import { verified } from '../../support/verified.js';
import type { Refused } from './flow.js';
import { pruned } from './prune.js';
import { fitted, pullBack } from './pull.js';
import type { Refusal } from './scope.js';

/**
 * The Flow with its gradients: of all inputs that are numbers, and of all params. Sums go to where they are read, in a fixed order: nothing
 * is added to from several places.
 */
export function adjointOf(flow: Flow): Flow | Refused {
  const b = flowBuilder(flow);
  const first = flow.values.length;
  const refusals: Refusal[] = [];
  const varies = varying(flow);
  const found = new Map<ValueId, ValueId[]>();
  const hand = (own: ValueId, d: ValueId): void => {
    if (varies[own]) found.set(own, [...found.get(own) ?? [], fitted(b, d, own)]);
  };
  const start = ({ name, axes, value }: FlowResult, prefix: string, domain: DomainId): void => {
    const { origin } = flow.values[value];
    hand(value, b.input({ name: `${prefix}${name}`, domain, axes, of: undefined }, origin));
  };
  flow.outputs.forEach((one) => start(one, 'd_', TOKEN));
  flow.losses.forEach((one) => start(one, 'd_loss.', ONCE));
  for (let id = first - 1; id >= 0; id--) {
    const all = found.get(id);
    if (all === undefined) continue;
    const { kind, type, origin } = flow.values[id];
    if (kind === 'input' || kind === 'param') continue;
    const sum = all.reduce((x, y) => map(b, 'add', [x, y], origin));
    const d = type.where.reduce((x, choice) => restrict(b, x, choice, origin), sum);
    const reason = varies[id] ? pullBack(b, id, d, hand) : undefined;
    if (reason !== undefined) refusals.push({ reason, origin });
  }
  if (refusals.length > 0) return { refusals };
  const gradients = gradientsOf(flow, b, found);
  const made = { ...flow, domains: b.domains, inputs: b.inputs, params: b.params, values: b.values, scans: b.scans };
  const kept = keptOf(made, gradients, first);
  const full = pruned({ ...made, backward: { kept, gradients } });
  return verified(`the adjoint of ${flow.name}`, full, verifyFlow(full));
}

/** Does a number that has a gradient go in? */
function varying({ values, inputs, params }: Flow): readonly boolean[] {
  const varies: boolean[] = [];
  for (const value of values) varies.push(reaches(value) && ownOrAny(value));
  function ownOrAny(value: FlowValue): boolean {
    if (value.kind === 'input') return inputs[value.input].of === undefined;
    if (value.kind === 'param') return !params[value.param].buffer;
    return operandsOf(value).some((arg) => varies[arg]);
  }
  return varies;
}

function reaches({ kind }: FlowValue): boolean {
  return !['stop', 'top', 'first', 'compare', 'logic', 'mask', 'sinkhorn'].includes(kind);
}

function gradientsOf(flow: Flow, b: FlowBuilder, found: ReadonlyMap<ValueId, readonly ValueId[]>): FlowResult[] {
  const of = (name: string, axes: FlowResult['axes'], domain: DomainId, own: number): FlowResult => {
    const all = own < 0 ? [] : found.get(own) ?? [];
    const { origin } = b.values[0];
    const sum = all.length === 0 ? literal(b, 0, origin, axes) : all.reduce((x, y) => map(b, 'add', [x, y], origin));
    return { name: `d_${name}`, axes, value: gather(b, b.add({ kind: 'lift', arg: sum }, origin), domain, origin) };
  };
  return [
    ...flow.inputs.flatMap(({ name, axes, domain, of: index }, i) => {
      // What an update takes is no input of a call.
      if (index !== undefined || domain !== TOKEN) return [];
      return [of(name, axes, domain, flow.values.findIndex((value) => value.kind === 'input' && value.input === i))];
    }),
    ...flow.params.flatMap(({ path, axes, buffer }, i) => {
      if (buffer) return [];
      return [of(path, axes, ONCE, flow.values.findIndex((value) => value.kind === 'param' && value.param === i))];
    }),
  ];
}

/** What backward reads of forward that is dear: products, choices, sums over rows. The rest it computes again, lists of slots too. */
function keptOf(made: Flow, gradients: readonly FlowResult[], first: number): ValueId[] {
  const { values, domains } = made;
  const seen = new Set<ValueId>();
  const kept = new Set<ValueId>();
  const open = gradients.map(({ value }) => value);
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    const value = values[id];
    if (id < first && isDear(value, made)) kept.add(id);
    if (kept.has(id)) continue;
    const domain = domains[value.type.domain];
    const folded = 'along' in value ? operandsOf(value).map((arg) => values[arg].type.domain) : [];
    for (const one of [value.type.domain, ...folded].map((at) => domains[at])) if (one.kind === 'slot') kept.add(one.choice);
    open.push(...needsOf(value, domains).filter(
      (arg) => domain.kind !== 'slot' || arg !== domain.choice || operandsOf(value).includes(arg)
    ));
  }
  return [...kept].sort((x, y) => x - y);
}

function isDear(value: FlowValue, { values, domains }: Flow): boolean {
  switch (value.kind) {
    case 'contract': {
      const from = Math.max(values[value.left].type.domain, values[value.right].type.domain);
      return value.type.domain !== ONCE || value.along.to !== from;
    }
    case 'top': case 'first': case 'sinkhorn': case 'scan': return true;
    case 'fold': case 'softmax': case 'others': return value.along.to !== values[value.arg].type.domain;
    // A token's number for one of its slots lies with the lists of slots.
    case 'gather': return isSeat(values[value.arg].type, value.type, domains[value.to]);
    default: return false;
  }
}
