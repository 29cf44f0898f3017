import { ANY, type Range } from '../../ir/common/range.js';
import type { ScanBuilder } from '../../ir/scan/build.js';
import type { NodeId } from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import { math } from '../../math/index.js';

/** Interval analysis: where a value is known to lie, from the declared ranges and the functions used. */
export function rangeOf(b: ScanBuilder, spec: Spec, id: NodeId, known = new Map<NodeId, Range>()): Range {
  const found = known.get(id);
  if (found !== undefined) return found;
  const range = rangeOfNode(b, spec, id, (arg) => rangeOf(b, spec, arg, known));
  known.set(id, range);
  return range;
}

function rangeOfNode(b: ScanBuilder, spec: Spec, id: NodeId, of: (id: NodeId) => Range): Range {
  const node = b.nodes[id];
  switch (node.kind) {
    case 'literal': return { lo: node.value, hi: node.value };
    case 'size': return { lo: 1, hi: Infinity };
    case 'head': return { lo: 0, hi: Infinity };
    case 'heads': return { lo: 1, hi: Infinity };
    case 'input': return spec.inputs[node.input].range;
    case 'param': return spec.params[node.param].range;
    case 'past': case 'ahead': case 'last': case 'cotangent': case 'result': return ANY;
    case 'map': {
      const [x, y = x] = node.args;
      return math[node.fn].range(of(x), of(y), x === y);
    }
    case 'reduce': {
      const range = of(node.arg);
      if (node.op !== 'sum') return range;
      return { lo: range.lo >= 0 ? range.lo : -Infinity, hi: range.hi <= 0 ? range.hi : Infinity };
    }
  }
}
