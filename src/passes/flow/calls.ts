import { along, at, literal, map, restrict } from '../../ir/flow/build.js';
import { TOKEN, type DomainId } from '../../ir/flow/flow.js';
import { factsOf } from '../../ir/graph/facts.js';
import type { Graph, GraphNode, Instance } from '../../ir/graph/graph.js';
import { below, instancePath, lossPath } from '../../ir/graph/paths.js';
import { elements, includes, without } from '../../ir/graph/typing.js';
import { low, plainAxes, refuse, type Low, type Scope } from './scope.js';
import { scanOf } from './scans.js';
import { countRows, thereOf } from './rows.js';
import { groupsAt } from './slots.js';

type CallNode = Extract<GraphNode, { kind: 'call' }>;

/** An output of a part that is called: its text with the arguments in place of its inputs, on a domain of the caller. */
export function resultOf(scope: Scope, node: Extract<GraphNode, { kind: 'result' }>, domain: DomainId): Low {
  const { making, graph } = scope;
  const { b, value } = making;
  const call = graph.nodes[node.call];
  if (call.kind !== 'call') return refuse(scope, 'it is a result of no call', node);
  const { part } = graph.instances[call.instance];
  if (part.kind === 'scan') return scanOf(scope, node, call, part, domain);
  if (atSome(scope, call, domain)) {
    return refuse(scope, `${part.name} looks at other tokens, and is called on some of them`, node, 'choice');
  }
  const inner = opened(scope, node.call, call, domain);
  const made = value(inner, part.outputs[node.output].value);
  // A member of a family that has no weights gives the same as the others.
  const missing = without(plainAxes(scope, node.type.axes), [...b.typeOf(made.id).axes, ...groupsAt(b, domain)]);
  const whole = missing.length === 0 ? made.id : map(b, 'mul', [made.id, literal(b, 1, node.origin, missing)], node.origin);
  const id = node.type.restricted.reduce((out, choice) => {
    return restrict(b, out, at(b, value(scope, choice).id, domain, node.origin), node.origin);
  }, whole);
  return low(id, made);
}

/** Is a part that looks at other tokens called on some of them? */
function atSome({ graph }: Scope, call: CallNode, domain: DomainId): boolean {
  const { part } = graph.instances[call.instance];
  if (part.kind === 'scan' || factsOf(part).tokenwise) return false;
  return domain !== TOKEN || call.args.some((arg) => graph.nodes[arg].type.restricted.length > 0);
}

/** The scope of a call on a domain; its losses and rows are counted when it is first asked for. */
function opened(scope: Scope, id: number, call: CallNode, domain: DomainId): Scope {
  const key = `${id}@${domain}`;
  const known = scope.calls.get(key);
  if (known !== undefined) return known;
  const { making, graph } = scope;
  const instance = graph.instances[call.instance];
  const inner = openScope(scope, id, instance, call, domain);
  scope.calls.set(key, inner);
  gatherLosses(inner);
  if (inner.graph.updates.length > 0) making.updated.push(inner);
  if (instance.family.length > 0) countRows(scope, id, call, inner);
  return inner;
}

function openScope(scope: Scope, id: number, instance: Instance, call: CallNode, domain: DomainId): Scope {
  const { making, named } = scope;
  const path = below(scope.path, instancePath(instance));
  const part = graphOf(instance);
  const signature = new Set([
    ...part.inputs.flatMap(({ type }) => type.axes), ...part.outputs.flatMap(({ axes }) => axes)
  ].map((axis) => axis.name));
  const family = instance.family.map(named);
  return {
    making, graph: part, path, place: `${scope.place}/${id}`, domain,
    family: [...scope.family, ...family],
    lanes: [...scope.lanes, ...family, ...without(call.mapped.map(named), family)],
    some: scope.some || domain !== TOKEN, before: undefined, there: () => thereOf(scope, id, call, domain),
    named: (axis) => (signature.has(axis.name) ? named({ ...axis, name: call.renamed.get(axis.name) ?? axis.name })
      : axis.past ? axis : { ...axis, name: `${path}.${axis.name}` }),
    input: (index) => making.at(scope, call.args[index], domain),
    made: new Map(), calls: new Map(),
  };
}

function graphOf({ part, name }: Instance): Graph {
  if (part.kind === 'scan') throw new Error(`${name} is a scan`);
  return part;
}

/** Losses of a part, and of those that it calls whether or not their values are read. */
export function gatherLosses(scope: Scope): void {
  const { making, graph, path, lanes } = scope;
  const { b } = making;
  graph.nodes.forEach((node, id) => {
    if (node.kind !== 'call') return;
    const { part } = graph.instances[node.instance];
    if (part.kind === 'scan' || !factsOf(part).effects) return;
    if (atSome(scope, node, scope.domain)) {
      refuse(scope, `${part.name} looks at other tokens, and is called on some of them`, node, 'choice');
    } else opened(scope, id, node, scope.domain);
  });
  for (const loss of graph.losses) {
    const { id } = making.value(scope, loss.value);
    const { axes, domain } = b.typeOf(id);
    const own = axes.filter((axis) => includes(lanes, axis));
    const lifted = b.add({ kind: 'lift', arg: id }, loss.origin);
    const sum = own.length === 0 ? lifted : b.add({ kind: 'fold', op: 'sum', arg: lifted, along: along(own, domain) }, loss.origin);
    const times = elements(without(lanes, own));
    const value = map(b, 'mul', [literal(b, times, loss.origin), sum], loss.origin);
    making.losses.push({ name: below(path, lossPath(loss)), axes: [], value });
  }
}
