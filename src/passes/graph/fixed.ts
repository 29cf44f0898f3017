import type { FoldOp } from '../../ir/graph/graph.js';
import type { Silent } from '../../ir/graph/types.js';
import { math } from '../../math/index.js';

/** Axes that every value has without naming them. */
export const SILENT: readonly Silent[] = ['time', 'batch', 'tokens', 'ranks', 'calls'];

export const FOLDS: readonly FoldOp[] = ['sum', 'mean', 'max', 'min', 'prod', 'logsumexp'];

/** Functions of one value along axes. */
export const NORMS = ['softmax', 'log_softmax', 'l2norm', 'rmsnorm', 'layernorm'] as const;

const OTHERS = ['clamp', 'outer', 'top', 'mask', 'stop', 'f32', 'rope', 'conv', 'index', 'normal', 'uniform', 'orthogonal', 'dropout',
  'sinkhorn'] as const;

/** Functions of one value, entry by entry. */
const UNARY: readonly string[] = Object.values(math).filter((fn) => fn.spoken && fn.arity === 1).map((fn) => fn.name);

export type Norm = (typeof NORMS)[number];

export const FUNCTIONS: readonly string[] = [...FOLDS, ...NORMS, ...UNARY, ...OTHERS];

/** Names with a meaning of their own outside scans, and what it is. */
export const FIXED: ReadonlyMap<string, string> = new Map([
  ...FUNCTIONS.map((name): [string, string] => [name, `\`${name}\` is a function`]),
  ['time', '`time` are the tokens of one sequence'],
  ['batch', '`batch` are the sequences of a call'],
  ['tokens', '`tokens` are those of a call'],
  ['ranks', '`ranks` are the data-parallel ranks'],
  ['calls', '`calls` are those of one optimiser step'],
  ['past', '`past` are the tokens of this sequence up to this one'],
  ['position', '`position` is the place of the token in its sequence'],
  ['training', '`training` is 1 in the program `train`, else 0'],
  ['pi', '`pi` is a number'],
  ['inf', '`inf` is the infinite end of a range'],
  ['t', '`t` is the token, as in `x[t-1]`'],
]);

export function isSilent(name: string): name is Silent {
  return SILENT.some((known) => known === name);
}

export function isFold(name: string): name is FoldOp {
  return FOLDS.some((known) => known === name);
}

export function isNorm(name: string): name is Norm {
  return NORMS.some((known) => known === name);
}
