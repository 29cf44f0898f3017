import type { MathName } from '../../ir/common/dag.js';
import type { ScanBuilder } from '../../ir/scan/build.js';
import { nodeArguments, type NodeId } from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import { rangeOf } from '../normalize/ranges.js';

/** Above this, exponentials leave f32. */
const LARGEST_EXPONENT = 88;
const BOUNDED: readonly MathName[] = ['sigmoid', 'tanh', 'erf', 'sign', 'less', 'sin', 'cos'];

/** Tells which values may leave the numbers that f32 has though their inputs do not: exponentials, quotients, logarithms, and what is made of them. */
export function overflows(b: ScanBuilder, spec: Spec): (id: NodeId) => boolean {
  const known = new Map<NodeId, boolean>();
  const find = (id: NodeId): boolean => {
    const node = b.nodes[id];
    if (node.kind !== 'map') return nodeArguments(node).some(overflow);
    const [x, y] = node.args;
    switch (node.fn) {
      case 'exp': case 'expm1': return rangeOf(b, spec, x).hi > LARGEST_EXPONENT;
      case 'log': case 'log1p': case 'pow': return true;
      case 'div': {
        const { lo, hi } = rangeOf(b, spec, y);
        return !(lo > 0 || hi < 0) || overflow(x);
      }
      default: return !BOUNDED.includes(node.fn) && node.args.some(overflow);
    }
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
