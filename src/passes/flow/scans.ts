import { at, gather } from '../../ir/flow/build.js';
import { TOKEN, type DomainId } from '../../ir/flow/flow.js';
import type { GraphNode, ScanPart } from '../../ir/graph/graph.js';
import { below, instancePath } from '../../ir/graph/paths.js';
import type { Axis } from '../../ir/graph/types.js';
import { union, without } from '../../ir/graph/typing.js';
import { low, refuse, type Low, type Scope } from './scope.js';
import { groupsAt, isAlong } from './slots.js';

/** An output of a scan that is called: along the tokens, or along the slots at which its arguments are present. */
export function scanOf(
  scope: Scope, node: Extract<GraphNode, { kind: 'result' }>, call: Extract<GraphNode, { kind: 'call' }>, part: ScanPart, domain: DomainId,
): Low {
  const { making, graph, named } = scope;
  const { b } = making;
  const { origin } = node;
  const { spec, sizes } = part;
  const instance = graph.instances[call.instance];
  const path = below(scope.path, instancePath(instance));
  const groups = groupsAt(b, domain);
  const restricted = call.args.some((arg) => graph.nodes[arg].type.restricted.length > 0);
  if (scope.domain !== TOKEN || scope.family.length > 0) return refuse(
    scope, `the scan ${part.name} is called at some of the tokens`, node,
  );
  if (domain === TOKEN ? restricted : !isAlong(scope, call.args, domain, node)) {
    return refuse(scope, `the scan ${part.name} goes along some of the tokens only`, node);
  }
  const numbered = spec.nodes.some(({ kind }) => kind === 'head' || kind === 'heads');
  if (domain !== TOKEN && (spec.params.length > 0 || numbered)) {
    return refuse(scope, `the scan ${part.name} has heads that differ, each along tokens of its own`, node);
  }
  const family = instance.family.map(named);
  const mapped = [...family, ...without(call.mapped.map(named), family)];
  const all = mapped.length > 0 ? mapped : part.heads.map(named);
  const own = (axes: readonly string[]): readonly Axis[] => axes.map((name) => {
    return named({ name: call.renamed.get(name) ?? name, size: sizes.get(name) ?? NaN, past: false });
  });
  const inputs = call.args.map((arg) => (domain === TOKEN ? making.value(scope, arg) : making.at(scope, arg, domain)));
  // A part that is mapped over more axes has a state for each of their indices.
  const more = without(inputs.flatMap(({ id }, i) => without(b.typeOf(id).axes, own(spec.inputs[i].axes))), all);
  const heads = [...union(more), ...without(all, groups)];
  if (more.length > 0 && numbered) return refuse(scope, `the scan ${part.name} has heads that differ, and is called several times`, node);
  const scan = b.scan({
    path, part, args: [...spec.inputs, ...spec.params].map(({ axes }) => own(axes)), outputs: spec.outputs.map(({ axes }) => own(axes)),
  });
  const params = spec.params.map(({ name, axes }) => {
    return at(b, b.param({ path: below(path, name), axes: [...all, ...own(axes)], buffer: false }, origin), domain, origin);
  });
  const args = [...inputs.map(({ id }) => gather(b, id, domain, origin)), ...params];
  const axes = [...heads, ...own(spec.outputs[node.output].axes)];
  return low(b.add({ kind: 'scan', scan, args, output: node.output, heads, axes, domain }, origin));
}
