import type { Span } from '../../ir/common/span.js';
import { at, type FlowBuilder } from '../../ir/flow/build.js';
import { TOKEN, type Domain, type DomainId, type ValueId } from '../../ir/flow/flow.js';
import { groupsOf } from '../../ir/flow/typing.js';
import type { GraphNode } from '../../ir/graph/graph.js';
import type { Axis } from '../../ir/graph/types.js';
import { elements, includes, without } from '../../ir/graph/typing.js';
import type { Scope } from './scope.js';

/** The rows at which all of some choices hold. */
export function slotsOf(b: FlowBuilder, choices: readonly ValueId[], origin: Span): DomainId {
  const held = choices.map((choice) => b.add({ kind: 'lift', arg: at(b, choice, TOKEN, origin) }, origin));
  const choice = held.length === 1 ? held[0] : b.add({ kind: 'logic', op: 'and', args: held }, origin);
  const groups = b.typeOf(choice).axes;
  const domain: Domain = { kind: 'slot', choice, groups, perToken: mostOf(b, choice), origin };
  return b.domain(domain);
}

/** At how many indices of its axes a choice may hold for one token. */
function mostOf(b: FlowBuilder, choice: ValueId): number {
  const value = b.values[choice];
  const { axes } = value.type;
  const all = elements(axes);
  switch (value.kind) {
    case 'top': {
      const { along, arg, count } = value;
      const within = Math.min(all, ...b.typeOf(arg).where.map((under) => mostOf(b, under) * elements(without(axes, b.typeOf(under).axes))));
      const wanted = b.values[count];
      if (along.to !== value.type.domain || wanted.kind !== 'literal') return within;
      return Math.min(within, Math.max(0, Math.floor(wanted.value)) * elements(without(axes, along.axes)));
    }
    case 'lift': return mostOf(b, value.arg);
    case 'gather': return mostOf(b, value.arg);
    case 'logic': {
      const each = value.args.map((arg) => mostOf(b, arg) * elements(without(axes, b.typeOf(arg).axes)));
      return value.op === 'and' ? Math.min(all, ...each) : value.op === 'or' ? Math.min(all, each.reduce((sum, n) => sum + n, 0)) : all;
    }
    default: return all;
  }
}

/** Axes that rows of a domain of slots are told apart by. */
export function groupsAt(b: FlowBuilder, domain: DomainId): readonly Axis[] {
  return groupsOf(b.domains[domain]);
}

export function meets(a: readonly Axis[], b: readonly Axis[]): boolean {
  return a.some((axis) => includes(b, axis));
}

/** Are the rows of a domain of slots just those at which some values are present, so that the one before is the slot before? */
export function isAlong(scope: Scope, args: readonly number[], domain: DomainId, { origin }: GraphNode): boolean {
  const { making: { b, value }, graph: { nodes } } = scope;
  const restricted = [...new Set(args.flatMap((arg) => nodes[arg].type.restricted))];
  return restricted.length > 0 && slotsOf(b, restricted.map((choice) => value(scope, choice).id), origin) === domain;
}
