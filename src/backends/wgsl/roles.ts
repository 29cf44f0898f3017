import type { MathName } from '../../ir/common/dag.js';
import { hasRole, type OpOf } from '../../ir/tile/facts.js';
import type { TileOp } from '../../ir/tile/tile.js';
import { math } from '../../math/index.js';
import type { Cost } from '../../math/math.js';

/** Matrix products. */
export type Product = Extract<TileOp, { op: 'contract' | 'compose' }>;
export type Fold = OpOf<'fold'>;
export type Scan = OpOf<'scan'>;

export function isFold(op: TileOp): op is Fold {
  return hasRole(op, 'fold');
}

export function isProduct(op: TileOp): op is Product {
  return op.op === 'contract' || op.op === 'compose';
}

export function isScan(op: TileOp): op is Scan {
  return hasRole(op, 'scan');
}

const COSTS: Readonly<Record<Cost, number>> = { simple: 0.25, root: 2, series: 8 };

/** Time of a scalar function in reads of workgroup memory. */
export function scalarCost(fn: MathName): number {
  return COSTS[math[fn].cost];
}
