import type { MathName } from '../../ir/common/dag.js';
import type { TileOp } from '../../ir/tile/tile.js';
import { math } from '../../math/index.js';
import type { Cost } from '../../math/math.js';

/** How an operation gets its elements. */
export type Role =
  /** From nothing that costs anything. */
  | 'free'
  | 'load'
  /** From the elements of its operands at the same indices. */
  | 'pointwise'
  /** From one element of its operand at other indices. */
  | 'move'
  /** From many elements of its operands; its own elements do not depend on each other. */
  | 'fold'
  /** From its own earlier elements. */
  | 'scan';

/** Matrix products. */
export type Product = Extract<TileOp, { op: 'contract' | 'compose' }>;
export type Fold = Extract<TileOp, { op: 'contract' | 'compose' | 'reduce' | 'dscore' | 'dscoreRow' | 'dscoreCol' }>;
export type Scan = Extract<TileOp, { op: 'cumsum' | 'recur' | 'dgate' | 'inverse' }>;

export function roleOf(op: TileOp): Role {
  switch (op.op) {
    case 'literal': case 'zeros': case 'head': case 'heads': return 'free';
    case 'load': return 'load';
    case 'map': case 'keep': case 'round': case 'mask': return 'pointwise';
    case 'swap': case 'pick': case 'shift': case 'put': case 'take': return 'move';
    case 'contract': case 'compose': case 'reduce': case 'dscore': case 'dscoreRow': case 'dscoreCol': return 'fold';
    case 'cumsum': case 'recur': case 'dgate': case 'inverse': return 'scan';
  }
  op satisfies never;
}

export function isFold(op: TileOp): op is Fold {
  return roleOf(op) === 'fold';
}

export function isProduct(op: TileOp): op is Product {
  return op.op === 'contract' || op.op === 'compose';
}

export function isScan(op: TileOp): op is Scan {
  return roleOf(op) === 'scan';
}

const COSTS: Readonly<Record<Cost, number>> = { simple: 0.25, root: 2, series: 8 };

/** Time of a scalar function in reads of workgroup memory. */
export function scalarCost(fn: MathName): number {
  return COSTS[math[fn].cost];
}
