import type { Range } from '../../ir/common/range.js';
import type { ScanBuilder } from '../../ir/scan/build.js';
import { nodeArguments, type NodeId } from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import { math } from '../../math/index.js';
import { rangeOf } from '../normalize/ranges.js';

/**
 * Tells which values may leave the numbers that f32 has though their inputs do not: exponentials, quotients, logarithms, and what is made
 * of them.
 */
export function overflows(b: ScanBuilder, spec: Spec): (id: NodeId) => boolean {
  const known = new Map<NodeId, boolean>();
  const ranges = new Map<NodeId, Range>();
  const find = (id: NodeId): boolean => {
    const node = b.nodes[id];
    if (node.kind !== 'map') return nodeArguments(node).some(overflow);
    const [x, y = x] = node.args.map((arg) => ({ range: rangeOf(b, spec, arg, ranges), get overflows() { return overflow(arg); } }));
    return math[node.fn].overflows(x, y);
  };
  const overflow = (id: NodeId): boolean => {
    const found = known.get(id);
    if (found !== undefined) return found;
    const made = find(id);
    known.set(id, made);
    return made;
  };
  return overflow;
}
