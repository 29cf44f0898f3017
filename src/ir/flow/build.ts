import type { MathName } from '../common/dag.js';
import type { Span } from '../common/span.js';
import type { Axis } from '../graph/types.js';
import { keyOf } from '../../support/key.js';
import { includes, union } from '../graph/typing.js';
import {
  ONCE, type Along, type Domain, type DomainId, type End, type Flow, type FlowBody, type FlowInput, type FlowParam, type FlowScan,
  type FlowType, type FlowValue, type ValueId,
} from './flow.js';
import { groupsOf, sorted, typeOf } from './typing.js';

/** Makes the values of a Flow. Equal values are one: draws too, which are functions of what they name. */
export interface FlowBuilder {
  readonly domains: readonly Domain[];
  readonly inputs: readonly FlowInput[];
  readonly params: readonly FlowParam[];
  readonly scans: readonly FlowScan[];
  readonly values: readonly FlowValue[];
  typeOf(id: ValueId): FlowType;
  add(body: FlowBody, origin: Span): ValueId;
  domain(domain: Domain): DomainId;
  input(input: FlowInput, origin: Span): ValueId;
  param(param: FlowParam, origin: Span): ValueId;
  scan(scan: FlowScan): number;
}

/** `from`: goes on after its values, which keep their numbers. */
export function flowBuilder(from?: Pick<Flow, 'domains' | 'inputs' | 'params' | 'scans' | 'values'>): FlowBuilder {
  const domains: Domain[] = [...from?.domains ?? [{ kind: 'once' }, { kind: 'sequence' }, { kind: 'token' }] as const];
  const [inputs, params, values] = [[...from?.inputs ?? []], [...from?.params ?? []], [...from?.values ?? []]];
  const scans = [...from?.scans ?? []];
  const known = new Map(values.map(({ type: _, origin: __, ...body }, id) => [keyOf(body), id]));
  const typeAt = (id: ValueId): FlowType => values[id].type;
  const tables = { domains, inputs, params, type: typeAt };
  const put = (body: FlowBody, origin: Span): ValueId => {
    const key = keyOf(body);
    const same = known.get(key);
    if (same !== undefined) return same;
    known.set(key, values.length);
    return values.push({ ...body, type: typeOf(body, tables), origin }) - 1;
  };
  const build: FlowBuilder = {
    domains, inputs, params, scans, values, typeOf: typeAt,
    add: (body, origin) => simpler(build, body, origin) ?? put(body, origin),
    domain(domain) {
      const same = domains.findIndex((other) => sameDomain(other, domain));
      return same >= 0 ? same : domains.push(domain) - 1;
    },
    input(input, origin) {
      const same = inputs.findIndex((other) => other.name === input.name);
      return put({ kind: 'input', input: same >= 0 ? same : inputs.push(input) - 1 }, origin);
    },
    scan(scan) {
      const same = scans.findIndex((other) => other.path === scan.path);
      return same >= 0 ? same : scans.push(scan) - 1;
    },
    param(param, origin) {
      const same = params.findIndex((other) => other.path === param.path);
      return put({ kind: 'param', param: same >= 0 ? same : params.push(param) - 1 }, origin);
    },
  };
  return build;
}

function sameDomain(a: Domain, b: Domain): boolean {
  if (a.kind === 'slot') return b.kind === 'slot' && a.choice === b.choice && a.groups.length === b.groups.length;
  return a.kind === b.kind && (a.kind !== 'pair' || (b.kind === 'pair' && a.window.name === b.window.name));
}

/** A value that is there already, or one that says the same with less. */
function simpler(b: FlowBuilder, body: FlowBody, origin: Span): ValueId | undefined {
  switch (body.kind) {
    case 'lift': return b.typeOf(body.arg).where.length === 0 ? body.arg : undefined;
    case 'restrict': return b.typeOf(body.arg).where.includes(body.choice) ? body.arg : undefined;
    case 'gather': return body.to === b.typeOf(body.arg).domain ? body.arg : undefined;
    case 'logic': {
      if (body.op !== 'and') return undefined;
      const all = sorted(body.args);
      const needed = all.filter((c) => !all.some((other) => other !== c && implies(b, other, c)));
      const whole = needed.find((c) => covers(b, c, all));
      return needed.length === 1 && whole !== undefined ? whole : needed.length < body.args.length
        ? b.add({ ...body, args: needed }, origin) : undefined;
    }
    // The sum of a product's elements is a product that sums more.
    case 'fold': {
      const arg = b.values[body.arg];
      if (body.op !== 'sum' || arg.kind !== 'contract' || arg.along.to !== arg.type.domain || arg.along.ranks) return undefined;
      const { domain } = contracted(b, arg.left, arg.right);
      if (arg.along.to !== domain || arg.type.where.length > 0 || (body.along.to !== domain && body.along.to !== ONCE)) return undefined;
      return b.add({ ...arg, along: { ...body.along, axes: union(arg.along.axes, body.along.axes) } }, origin);
    }
    default: return undefined;
  }
}

function contracted(b: FlowBuilder, left: ValueId, right: ValueId): { readonly domain: DomainId } {
  return { domain: Math.max(b.typeOf(left).domain, b.typeOf(right).domain) };
}

/** Does `c` hold only where `d` does? */
export function implies(b: FlowBuilder, c: ValueId, d: ValueId): boolean {
  if (c === d) return true;
  const value = b.values[c];
  switch (value.kind) {
    case 'top': case 'first': return b.typeOf(value.arg).where.some((choice) => implies(b, choice, d));
    case 'lift': return value.type.kind === 'choice' && (implies(b, value.arg, d)
      || b.typeOf(value.arg).where.some((choice) => implies(b, choice, d)));
    case 'logic': return value.op === 'and' && value.args.some((choice) => implies(b, choice, d));
    default: return false;
  }
}

/** Has it the domain and the axes of all of them, and is it present everywhere? */
function covers(b: FlowBuilder, choice: ValueId, all: readonly ValueId[]): boolean {
  const { domain, axes, where } = b.typeOf(choice);
  return where.length === 0 && all.every(
    (other) => b.typeOf(other).domain <= domain && b.typeOf(other).axes.every((a) => includes(axes, a))
  );
}

export function along(axes: readonly Axis[], to: DomainId, more: Partial<Along> = {}): Along {
  return { axes, to, kept: [], by: 'row', ranks: false, ...more };
}

/** The value at every row of a domain; what exists once broadcasts, unless it has the groups' axes. */
export function at(b: FlowBuilder, id: ValueId, domain: DomainId, origin: Span, by: End = 'row'): ValueId {
  const type = b.typeOf(id);
  if (type.domain === domain) return id;
  const groups = groupsOf(b.domains[domain]);
  if (type.domain === ONCE && !type.axes.some((axis) => includes(groups, axis))) return id;
  return gather(b, id, domain, origin, by);
}

/** The same, but of that domain even where it exists once. Choices under which it stands come along. */
export function gather(b: FlowBuilder, id: ValueId, to: DomainId, origin: Span, by: End = 'row'): ValueId {
  const [value, domain] = [b.values[id], b.domains[to]];
  // Slots are where their choice holds.
  if (value.kind === 'restrict' && domain.kind === 'slot' && implies(b, domain.choice, value.choice)) {
    return at(b, value.arg, to, origin, by);
  }
  const made = b.add({ kind: 'gather', arg: id, to, by }, origin);
  const lost = b.typeOf(id).where.filter((choice) => !b.typeOf(made).where.includes(choice));
  return lost.reduce((value, choice) => restrict(b, value, gather(b, choice, to, origin, by), origin), made);
}

/** Slots of a choice are where it holds. */
export function restrict(b: FlowBuilder, arg: ValueId, choice: ValueId, origin: Span): ValueId {
  const held = b.values[choice];
  const domain = b.domains[held.type.domain];
  if (held.kind === 'gather' && domain.kind === 'slot' && implies(b, domain.choice, held.arg)) return arg;
  const [x, c] = together(b, [arg, choice], origin);
  return b.add({ kind: 'restrict', arg: x, choice: c }, origin);
}

/** The element of an index; it is absent where that was. */
export function pick(b: FlowBuilder, arg: ValueId, axis: Axis, index: ValueId, origin: Span): ValueId {
  const [x, i] = together(b, [arg, index], origin);
  const lost = b.typeOf(x).where.filter((choice) => includes(b.typeOf(choice).axes, axis));
  return lost.reduce((value, choice) => {
    return restrict(b, value, pick(b, b.add({ kind: 'lift', arg: choice }, origin), axis, i, origin), origin);
  }, b.add({ kind: 'pick', arg: x, axis, index: i }, origin));
}

/** The operands on one domain: the finest of them. */
export function together(b: FlowBuilder, ids: readonly ValueId[], origin: Span): readonly ValueId[] {
  const domain = ids.reduce((most, id) => Math.max(most, b.typeOf(id).domain), ONCE);
  return ids.map((id) => at(b, id, domain, origin));
}

export function map(b: FlowBuilder, fn: MathName | '%', args: readonly ValueId[], origin: Span): ValueId {
  const literals = args.map((id) => b.values[id]);
  const [x, y] = literals;
  const one = (value: FlowValue | undefined, is: number): boolean => {
    return value?.kind === 'literal' && value.value === is && value.axes.length === 0;
  };
  if (fn === 'mul' && one(x, 1)) return args[1];
  if ((fn === 'mul' || fn === 'div') && one(y, 1)) return args[0];
  return b.add({ kind: 'map', fn, args: together(b, args, origin) }, origin);
}

export function literal(b: FlowBuilder, value: number, origin: Span, axes: readonly Axis[] = []): ValueId {
  return b.add({ kind: 'literal', value, axes }, origin);
}

/** Sums the product over axes of both, on the finer of their domains. */
export function contract(b: FlowBuilder, left: ValueId, right: ValueId, axes: readonly Axis[], origin: Span): ValueId {
  const [l, r] = together(b, [left, right], origin);
  const domain = Math.max(b.typeOf(l).domain, b.typeOf(r).domain);
  return b.add({ kind: 'contract', left: l, right: r, along: along(axes, domain) }, origin);
}
