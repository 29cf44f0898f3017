import { includesAll, type Axis } from '../ir/common/axes.js';
import type { Span } from '../ir/common/span.js';
import type { Spec, SpecNode } from '../ir/spec/spec.js';
import { math } from '../math/index.js';

/** What a formula computes differently once an axis is longer, its tensors filled up with zeros. */
export interface PaddingChange {
  readonly kind: 'size' | 'fold';
  readonly origin: Span;
}

/**
 * The first place where padding the tensors along `axis` with zeros changes what the scan means; undefined if results are the same but for
 * more zeros, or entries to be cut off. `sum[K](q * k)` and `l2norm[K](k)` stay the same; `sqrt(K)`, `rmsnorm[K]` and `softmax[K]` do not.
 */
export function paddingChange(spec: Spec, axis: Axis): PaddingChange | undefined {
  const size = spec.nodes.find((node) => node.kind === 'size' && node.axis === axis);
  if (size !== undefined) return { kind: 'size', origin: size.origin };
  const filled = fillValues(spec, axis);
  const fold = spec.nodes.find((node) => node.kind === 'reduce' && node.axis === axis && !(node.op === 'sum' && filled[node.arg] === 0));
  return fold === undefined ? undefined : { kind: 'fold', origin: fold.origin };
}

/**
 * The value of every node at a padded entry; undefined where it may be anything. States hold zeros there as long as their updates give
 * zeros.
 */
function fillValues(spec: Spec, axis: Axis): readonly (number | undefined)[] {
  const open = new Set<number>();
  for (;;) {
    const values: (number | undefined)[] = [];
    for (const node of spec.nodes) values.push(fillValue(node, axis, spec, values, open));
    const grown = spec.states.findIndex((state, i) => !open.has(i) && state.axes.includes(axis) && values[state.next] !== 0);
    if (grown < 0) return values;
    open.add(grown);
  }
}

function fillValue(
  node: SpecNode, axis: Axis, spec: Spec, values: readonly (number | undefined)[], open: ReadonlySet<number>,
): number | undefined {
  switch (node.kind) {
    case 'literal': return node.value;
    case 'size': case 'head': case 'heads': return undefined;
    case 'input': case 'param': return node.axes.includes(axis) ? 0 : undefined;
    case 'prev': return node.axes.includes(axis) && !open.has(node.state) ? 0 : undefined;
    case 'reduce': return undefined;
    case 'map': {
      const [x, y] = node.args.map((arg) => values[arg]);
      if (node.args.every((arg) => values[arg] !== undefined)) return math[node.fn].f64(x ?? 0, y ?? 0);
      if (node.fn === 'mul' && (x === 0 || y === 0)) return 0;
      // What does not vary along the axis is as finite as it was.
      if (node.fn === 'div' && x === 0 && !includesAll(spec.nodes[node.args[1]].axes, [axis])) return 0;
      return undefined;
    }
  }
}
