import type { Axis } from '../graph/types.js';
import { includes, union, without } from '../graph/typing.js';
import {
  ONCE, type Along, type Domain, type DomainId, type FlowBody, type FlowInput, type FlowParam, type FlowType, type ValueId,
} from './flow.js';

/** What types are made from. */
export interface Tables {
  readonly domains: readonly Domain[];
  readonly inputs: readonly FlowInput[];
  readonly params: readonly FlowParam[];
  type(id: ValueId): FlowType;
}

/** The type of a value, but for marks of folds of nothing (`marked`), which are values of their own. */
export function typeOf(body: FlowBody, tables: Tables): FlowType {
  const of = (id: ValueId): FlowType => tables.type(id);
  const number = (domain: DomainId, axes: readonly Axis[], where: readonly ValueId[] = []): FlowType => {
    return { kind: 'number', domain, axes, where };
  };
  switch (body.kind) {
    case 'literal': return number(ONCE, body.axes);
    case 'input': {
      const { domain, axes, of: index } = tables.inputs[body.input];
      return { ...number(domain, axes), kind: index === undefined ? 'number' : 'index' };
    }
    case 'param': return number(ONCE, tables.params[body.param].axes);
    case 'count': return number(body.of === 'time' ? 1 : ONCE, []);
    case 'index': case 'scan': return number(body.domain, body.axes);
    case 'unscan': return number(body.to, body.axes);
    case 'draw': return number(body.domain, without(union(body.lanes, body.axes), groupsOf(tables.domains[body.domain])));
    case 'map': return joined(body.args.map(of), 'number');
    case 'compare': return joined([of(body.left), of(body.right)], 'choice');
    case 'logic': {
      const all = joined(body.args.map(of), 'choice');
      return body.op === 'not' ? all : { ...all, where: [] };
    }
    case 'contract': return folded(joined([of(body.left), of(body.right)], 'number'), body.along, of);
    case 'fold': return folded(of(body.arg), body.along, of);
    case 'softmax': case 'others': return of(body.arg);
    case 'top': case 'first': return { ...of(body.arg), kind: 'choice', where: [] };
    case 'gather': {
      const x = of(body.arg);
      const groups = groupsOf(tables.domains[body.to]);
      const stays = (choice: ValueId): boolean => of(choice).domain === ONCE && !of(choice).axes.some((axis) => includes(groups, axis));
      return { ...x, domain: body.to, axes: without(x.axes, groups), where: x.where.filter(stays) };
    }
    case 'restrict': {
      const [x, c] = [of(body.arg), of(body.choice)];
      const both = joined([x, c], x.kind);
      return { ...both, where: sorted([...both.where, body.choice]) };
    }
    case 'lift': return { ...of(body.arg), where: [] };
    case 'mask': return { ...of(body.choice), kind: 'number', where: [] };
    case 'pick': {
      const [x, i] = [of(body.arg), of(body.index)];
      const both = joined([{ ...x, axes: without(x.axes, [body.axis]) }, i], x.kind);
      return { ...both, where: sorted([...x.where.filter((choice) => !includes(of(choice).axes, body.axis)), ...i.where]) };
    }
    case 'place': {
      const both = joined([of(body.arg), of(body.index)], 'number');
      return { ...both, axes: [...both.axes, body.axis] };
    }
    case 'taps': return { ...of(body.arg), axes: [body.axis, ...of(body.arg).axes] };
    case 'untap': return { ...of(body.arg), axes: without(of(body.arg).axes, [body.axis]) };
    case 'rope': return joined([of(body.arg), { ...of(body.frequency), axes: without(of(body.frequency).axes, [body.turn]) }], 'number');
    case 'stop': case 'f32': case 'rounded': case 'sinkhorn': return of(body.arg);
  }
}

export function groupsOf(domain: Domain): readonly Axis[] {
  return domain.kind === 'slot' ? domain.groups : [];
}

/** Is a gathered value one number a slot, of those that a token has for each index? */
export function isSeat(from: FlowType, made: FlowType, to: Domain): boolean {
  return to.kind === 'slot' && from.domain !== ONCE && made.axes.length === 0 && from.axes.length > 0;
}

/** Axes by first appearance, the domain that is not `once`, present where all are. */
function joined(types: readonly FlowType[], kind: FlowType['kind']): FlowType {
  return {
    kind,
    domain: types.reduce((domain, type) => Math.max(domain, type.domain), ONCE),
    axes: union(...types.map((type) => type.axes)),
    where: sorted(types.flatMap((type) => type.where)),
  };
}

/** What folding leaves. A choice along what is folded ends. */
function folded(x: FlowType, { axes, to, kept }: Along, of: (id: ValueId) => FlowType): FlowType {
  const ends = (choice: ValueId): boolean => {
    const { domain, axes: own } = of(choice);
    return (domain !== ONCE && to !== x.domain) || own.some((axis) => includes(axes, axis));
  };
  return { ...x, domain: to, axes: [...kept, ...without(x.axes, axes)], where: x.where.filter((choice) => !ends(choice)) };
}

/** Does one row of `to` stand for rows of `from`? */
export function coarser(domains: readonly Domain[], to: DomainId, from: DomainId): boolean {
  const rank = (id: DomainId): number => Math.min(id, 3);
  return rank(to) < rank(from) && domains[from] !== undefined;
}

export function sorted(ids: readonly ValueId[]): readonly ValueId[] {
  return [...new Set(ids)].sort((a, b) => a - b);
}
