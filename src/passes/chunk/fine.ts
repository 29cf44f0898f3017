import type { Axis } from '../../ir/common/axes.js';
import { nodeArguments, type NodeId } from '../../ir/scan/scan.js';
import type { Context } from './context.js';
import { memo } from './graph.js';
import type { Parts } from './parts.js';

/**
 * Are operands that walks compute worth two products each (docs/algorithms.md: tolerances)? Where erases overwrite a state of few rows more
 * than once in a chunk, what is left of it is so much smaller than what it is made of that every rounding counts several times. And where
 * an erase may take away more than there is, what is written along one vector again and again takes turns in sign, and the roundings of a
 * chunk are not forgotten.
 */
export function isFine(cx: Context, parts: Parts): boolean {
  const { draft } = cx;
  const { length } = parts.erasing;
  if (!draft.halfOperands || length === 0) return false;
  return length * draft.chunk >= 2 * draft.sizeOf(parts.row) || parts.erasing.some((j) => strength(cx, parts, j) > 1);
}

/** The same for what a source writes and the scores of its reads: solved for, a sum of large terms of both signs that leave little. */
export function isFineSource(cx: Context, parts: Parts, source: number): boolean {
  return parts.erasing.includes(source) && isFine(cx, parts);
}

/**
 * And what gradients make of it: cotangents of its scores, of rows along vectors that resemble each other, cancel once more. f16 has digits
 * enough.
 */
export function isFineCotangent(cx: Context, parts: Parts, source: number): boolean {
  return !cx.draft.narrowRange && isFineSource(cx, parts, source);
}

/**
 * Largest |eigenvalue| of what a source takes away, as far as declared ranges tell: vectors count as of length 1, numbers of unknown size
 * as infinite.
 */
function strength(cx: Context, { row, sources }: Parts, j: number): number {
  const { col, erase } = sources[j];
  const reach = reachesOf(cx, row);
  return erase === undefined ? 0 : reach(col.node) * reach(erase.row.node);
}

/** How long the vector `id` may be, or how large the number. */
function reachesOf({ graph, range }: Context, row: Axis): (id: NodeId) => number {
  /** Is the value made of a sum of squares along the axis, as what brings a vector to length 1 is? */
  const isNorm = memo((id): boolean => {
    const node = graph.node(id);
    if (node.kind !== 'reduce') return nodeArguments(node).some(isNorm);
    const arg = graph.node(node.arg);
    return node.axis === row && arg.kind === 'map' && arg.fn === 'mul' && arg.args[0] === arg.args[1];
  });
  const reach = memo((id): number => {
    const node = graph.node(id);
    const { lo, hi } = range(id);
    const size = Math.max(Math.abs(lo), Math.abs(hi));
    if (node.kind === 'map' && node.axes.length === 0 && isNorm(id)) return 1;
    if (node.kind === 'map' && node.fn === 'neg') return reach(node.args[0]);
    if (node.kind === 'map' && node.fn === 'mul') return Math.min(size, reach(node.args[0]) * reach(node.args[1]));
    if (node.kind === 'map' && node.fn === 'div' && isNorm(node.args[1])) return reach(node.args[0]);
    return Number.isFinite(size) || node.axes.length === 0 ? size : 1;
  });
  return reach;
}

/** Does a decay depend on what a read gives? Then its error is an exponent's (docs/algorithms.md: tolerances). */
export function feedsDecay({ draft, graph, exact }: Context, stage: number, slot: number): boolean {
  return draft.halfOperands && [...exact].some((id) => {
    const node = graph.node(id);
    return node.kind === 'result' && node.stage === stage && node.slot === slot;
  });
}

/**
 * Is the decay itself made of what is read of a state? Its gradient at one token goes on to vectors that are judged as such, and is a sum
 * over the whole state, which may happen to be small: state and cotangent are kept in f32 for it.
 */
export function isReadGate({ draft, graph }: Context, { gate }: Parts): boolean {
  return draft.halfOperands && gate.kind !== 'none' && !graph.isGiven(gate.log);
}
