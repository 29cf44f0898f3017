import type { MathName } from '../../ir/common/dag.js';
import { math } from '../../math/index.js';

/** Functions of one value that are applied entry by entry. */
const UNARY: readonly MathName[] = Object.values(math).filter((fn) => fn.spoken && fn.arity === 1).map((fn) => fn.name);
/** Folds over the axes in brackets; `max` and `min` of two values are entry by entry instead. */
export const REDUCTIONS = ['sum', 'mean', 'max', 'min'] as const;
/** Functions of one value along an axis. */
export const ROWWISE = ['softmax', 'l2norm', 'rmsnorm'] as const;

export type Reduction = (typeof REDUCTIONS)[number];
export type Rowwise = (typeof ROWWISE)[number];

export const FUNCTIONS: readonly string[] = [...UNARY, ...REDUCTIONS, ...ROWWISE, 'clamp', 'outer'];

/** Names with a meaning of their own, and what it is. */
export const FIXED: ReadonlyMap<string, string> = new Map([
  ...FUNCTIONS.map((name): [string, string] => [name, `\`${name}\` is a function`]),
  ['head', '`head` is the index of the head, from 0'],
  ['heads', '`heads` is the number of heads'],
  ['inf', '`inf` is the infinite end of a range'],
  ['t', '`t` is the time step, as in `S[t-1]`'],
]);

/** Names that files and generated modules need for themselves. */
export const RESERVED: ReadonlyMap<string, string> = new Map([
  ['cu_seqlens', '`cu_seqlens` holds the offsets of packed sequences in files'],
  ['__metadata__', '`__metadata__` is no tensor in a safetensors file'],
  ...Object.getOwnPropertyNames(Object.prototype).map(
    (name) : [string, string] => [name, `every object of the generated TypeScript has a \`${name}\``]
  ),
]);

export function isUnary(name: string): name is MathName {
  return UNARY.some((known) => known === name);
}

export function isReduction(name: string): name is Reduction {
  return REDUCTIONS.some((known) => known === name);
}

export function isRowwise(name: string): name is Rowwise {
  return ROWWISE.some((known) => known === name);
}
