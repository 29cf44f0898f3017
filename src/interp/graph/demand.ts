import { readUnder } from '../../ir/graph/demand.js';
import type { Axis } from '../../ir/graph/types.js';
import { restrictionOf } from './choice.js';
import type { Scope } from './scope.js';
import type { Frame } from './tokens.js';
import { hasAxis, presence, sizeOf, union } from './value.js';

/** Where the outputs of a call are read: 1 over the copies of a frame and `lanes`; undefined: everywhere. */
export function demandOf(scope: Scope, call: number, frame: Frame, lanes: readonly Axis[]): Float64Array | undefined {
  const alternatives = readUnder(scope.graph, call);
  if (alternatives === undefined || alternatives.length === 0) return undefined;
  const all = alternatives.map((choices) => {
    const masks = choices.map((choice) => restrictionOf({ tokens: scope.tokens, tape: undefined }, scope.run.valueOf(scope, choice)));
    const axes = union(lanes, ...masks.map((mask) => mask.of.axes));
    return anyOf(presence(scope.tokens, masks, frame, axes, false), sizeOf(axes) / sizeOf(lanes));
  });
  if (all.some((one) => one === undefined)) return undefined;
  return all.reduce((a, b) => a?.map((x, i) => Math.max(x, b?.[i] ?? 0)));
}

/** Over the innermost `width` elements. */
function anyOf(there: Float64Array | undefined, width: number): Float64Array | undefined {
  if (there === undefined || width === 1) return there;
  const out = new Float64Array(there.length / width);
  there.forEach((x, i) => {
    if (x !== 0) out[Math.floor(i / width)] = 1;
  });
  return out;
}

/** Have all of these axes a place among the lanes? */
export function within(axes: readonly Axis[], lanes: readonly Axis[]): boolean {
  return axes.every((axis) => hasAxis(lanes, axis));
}
