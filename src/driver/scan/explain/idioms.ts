import type { Axis } from '../../../ir/common/axes.js';
import type { NodeId, ScanNode } from '../../../ir/scan/scan.js';

/** A function of a whole vector, which the front end writes out. */
export interface Idiom {
  readonly name: 'l2norm' | 'rmsnorm' | 'softmax';
  readonly axis: Axis;
  readonly of: NodeId;
}

/** `l2norm`, `rmsnorm` or `softmax` along one axis, where a value is exactly what that is written out as (docs/language.md: functions). */
export function idiomOf(nodes: readonly ScanNode[], id: NodeId): Idiom | undefined {
  const quotient = mapped(nodes, id, 'div');
  if (quotient === undefined) return undefined;
  return softmaxOf(nodes, quotient) ?? normOf(nodes, quotient);
}

function mapped(nodes: readonly ScanNode[], id: NodeId, fn: string): readonly NodeId[] | undefined {
  const node = nodes[id];
  return node.kind === 'map' && node.fn === fn ? node.args : undefined;
}

/** e / sum e with e = exp(z - max z). */
function softmaxOf(nodes: readonly ScanNode[], [e, below]: readonly NodeId[]): Idiom | undefined {
  const sum = nodes[below];
  const exponent = mapped(nodes, e, 'exp');
  const [of, most] = exponent === undefined ? [] : mapped(nodes, exponent[0], 'sub') ?? [];
  if (sum.kind !== 'reduce' || sum.op !== 'sum' || sum.arg !== e || of === undefined || most === undefined) return undefined;
  const max = nodes[most];
  return max.kind === 'reduce' && max.op === 'max' && max.arg === of && max.axis === sum.axis
    ? { name: 'softmax', axis: sum.axis, of }
    : undefined;
}

/** x / sqrt(sum x² + 1e-6), x / sqrt(sum x² / K + 1e-5). */
function normOf(nodes: readonly ScanNode[], [of, below]: readonly NodeId[]): Idiom | undefined {
  const root = mapped(nodes, below, 'sqrt');
  const [squares, least] = root === undefined ? [] : mapped(nodes, root[0], 'add') ?? [];
  if (squares === undefined || least === undefined) return undefined;
  const mean = mapped(nodes, squares, 'div');
  const [sum, beside, size] = [
    nodes[mean === undefined ? squares : mean[0]], nodes[least], mean === undefined ? undefined : nodes[mean[1]],
  ];
  if (sum.kind !== 'reduce' || sum.op !== 'sum' || beside.kind !== 'literal') return undefined;
  const product = mapped(nodes, sum.arg, 'mul');
  if (product === undefined || product.some((factor) => factor !== of)) return undefined;
  if (size === undefined) return beside.value === 1e-6 ? { name: 'l2norm', axis: sum.axis, of } : undefined;
  return size.kind === 'size' && size.axis === sum.axis && beside.value === 1e-5 ? { name: 'rmsnorm', axis: sum.axis, of } : undefined;
}
