import type { Span } from '../../../ir/common/span.js';
import type { NodeId, ScanProgram } from '../../../ir/scan/scan.js';
import type { Spec } from '../../../ir/spec/spec.js';

/**
 * Values of a scan that its text has a name for: those whose formula stands where the value of the `let` does. What a `let` makes of states
 * has no value of its own in the normal form, and what is written out (a norm is five operations) ends with its last.
 */
export function letNames(spec: Spec, scan: ScanProgram): ReadonlyMap<NodeId, string> {
  const stateful: boolean[] = [];
  spec.nodes.forEach((node, id) => {
    const args = node.kind === 'map' ? node.args : node.kind === 'reduce' ? [node.arg] : [];
    stateful[id] = node.kind === 'prev' || args.some((arg) => stateful[arg]);
  });
  const finished = new Set(spec.states.map(({ next }) => next));
  const found = new Map<NodeId, string>();
  for (const { name, value } of spec.lets ?? []) {
    const wanted = spec.nodes[value];
    if (stateful[value] || finished.has(value) || (wanted.kind !== 'map' && wanted.kind !== 'reduce')) continue;
    const id = scan.nodes.findLastIndex((node) => (
      (node.kind === 'map' && wanted.kind === 'map' ? node.fn === wanted.fn : node.kind === 'reduce' && wanted.kind === 'reduce')
        && same(node.origin, wanted.origin)
    ));
    if (id >= 0 && !found.has(id)) found.set(id, name);
  }
  return found;
}

function same(a: Span, b: Span): boolean {
  return a.file === b.file && a.start === b.start && a.end === b.end;
}
